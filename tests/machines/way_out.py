"""The last step of docs/real-machines.md, "The way out in any case", as commands: the tests run what operators read."""

from __future__ import annotations

import re

from ansible_run import TOP

# What the comment of a line says → the program that configures the NIC. Lines with another comment are for all NICs.
ONLY_WITH = {"with systemd-networkd or netplan": "networkd", "with ifupdown": "ifupdown"}
OTHER_DATAPATH = "with node_datapath_type: netdev"


def way_out(nic: str, bridge: str, manager: str) -> str:
    """Return the shell commands that take ``nic`` out of ``bridge``. ``manager``: "networkd" or "ifupdown"."""
    page = (TOP / "docs/real-machines.md").read_text()
    block = page[page.index("**The way out in any case**") :]
    lines = re.findall(r"^ {7}(\S.*)$", block, re.M)
    assert any("del-port br-ex eth0" in line for line in lines), lines
    commands = []
    for line in lines:
        command, _, comment = line.partition("  # ")
        if comment != OTHER_DATAPATH and ONLY_WITH.get(comment, manager) == manager:
            commands.append(command.strip().replace("eth0", nic).replace("br-ex", bridge))
    return "; ".join(commands)
