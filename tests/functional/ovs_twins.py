"""Two sets of bridges and ports with the same names but for a prefix. A module changes one, ovs-vsctl the other.

``@`` stands for the prefix in everything that is given here, and in what ``rows`` returns. So both
sides can be compared.
"""

from __future__ import annotations

import json
import shlex
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from modules import run_module
from shell import sh

COLUMNS = {
    "Bridge": (
        "name", "datapath_type", "fail_mode", "external_ids", "other_config", "stp_enable", "protocols", "flood_vlans",
        "mcast_snooping_enable", "ports",
    ),
    "Port": (
        "name", "tag", "trunks", "vlan_mode", "external_ids", "other_config", "fake_bridge", "bond_mode",
        "bond_updelay", "lacp", "interfaces",
    ),
    "Interface": (
        "name", "type", "options", "external_ids", "other_config", "mtu_request", "mac", "ofport_request",
        "ingress_policing_rate", "cfm_mpid", "lldp",
    ),
}  # fmt: skip


class Side:
    """The bridges, ports and devices whose names begin with ``prefix``."""

    def __init__(self, prefix: str) -> None:
        self.prefix = prefix

    def module(self, name: str, options: Any, check: bool = False) -> dict[str, Any]:
        """The answer of the module ``name``."""
        return run_module(name, check=check, **json.loads(self.named(json.dumps(options))))

    def named(self, text: str) -> str:
        """``text`` with the names of this side."""
        return text.replace("@", self.prefix)

    def prepare(self, lines: str) -> None:
        """Run ``lines`` in one ovs-vsctl; a line ``device NAME`` makes a network device."""
        commands: list[str] = []
        for line in filter(None, map(str.strip, lines.splitlines())):
            words = shlex.split(self.named(line))
            if words[0] == "device":
                sh("ip", "link", "add", words[1], "type", "veth", "peer", "name", f"{words[1]}p")
            else:
                commands += ["--", *words]
        if commands:
            sh("ovs-vsctl", *commands)

    def vsctl(self, command: str) -> str:
        """Run ``command`` as the modules of the collection run it; its error, "" if it succeeds."""
        words = ["ovs-vsctl", "-t", "20", *shlex.split(self.named(command))]
        done = subprocess.run(words, capture_output=True, text=True, check=False, timeout=60)
        return done.stderr if done.returncode else ""

    def rows(self) -> dict[str, Any]:
        """All rows of this side: table → name → column → value; references are names."""
        tables = {table: self._table(table) for table in COLUMNS}
        for table, column, target in (("Bridge", "ports", "Port"), ("Port", "interfaces", "Interface")):
            names = {row["_uuid"][1]: name for name, row in tables[target].items()}
            for row in tables[table].values():
                values = row[column][1] if row[column][0] == "set" else [row[column]]
                row[column] = sorted(names[value[1]] for value in values)
        found = {
            table: {name: row for name, row in rows.items() if name.startswith("@")} for table, rows in tables.items()
        }
        for rows in found.values():
            for row in rows.values():
                del row["_uuid"]
        return found

    def _table(self, table: str) -> dict[str, dict[str, Any]]:
        columns = ("_uuid", *COLUMNS[table])
        text = sh("ovs-vsctl", "--format=json", f"--columns={','.join(columns)}", "list", table)
        answer = json.loads(text.replace(self.prefix, "@"))
        rows = [dict(zip(answer["headings"], row, strict=True)) for row in answer["data"]]
        return {row["name"]: row for row in rows}

    def remove(self) -> None:
        """Remove all bridges and devices of this side."""
        bridges = [name for name in sh("ovs-vsctl", "list-br").split() if name.startswith(self.prefix)]
        sh("ovs-vsctl", *(word for name in bridges for word in ("--", "--if-exists", "del-br", name)))
        for line in sh("ip", "-o", "link", "show", "type", "veth").splitlines():
            name = line.split(": ")[1].split("@")[0]
            if name.startswith(self.prefix):
                sh("ip", "link", "delete", name, check=False)


@contextmanager
def prepared(stage: str, *prefixes: str) -> Iterator[list[Side]]:
    """A side for each prefix, with what ``stage`` makes; all of it is removed afterwards."""
    sides = [Side(prefix) for prefix in prefixes]
    try:
        for side in sides:
            side.prepare(stage)
        yield sides
    finally:
        for side in sides:
            side.remove()
