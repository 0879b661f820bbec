"""The way back: a timer of systemd that puts a NIC's addresses back, unless the move is confirmed in time.

Armed only when what is moved carries the connection by which the node is managed. The units are written to /run, with
the tools' own commands: they need neither us nor the network.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from ...system.files import write_file
from ...system.process import has_tool, run, tool_path
from .carry import Carried, to_finish, to_first

SECONDS = 180  # longer than a run takes from the move to the confirmation
UNITS = Path("/run/systemd/system")
STORE = Path("/run/headworks/underlay")
_PREFIX = "headworks-underlay-undo-"


def is_management(carried: Carried) -> bool:
    """Whether the node is reached through these addresses: the SSH connection ends there, or the default route
    leaves there."""
    words = os.environ.get("SSH_CONNECTION", "").split()
    here = words[2] if len(words) == 4 else ""
    return any(one.text.split("/")[0] == here for one in carried.addresses) or any(
        route.startswith("default ") for route in carried.routes
    )


def arm(nic: str, bridge: str, carried: Carried, unplug: Sequence[str], seconds: int = SECONDS) -> None:
    """Start the timer; what it undoes is the attachment of ``nic`` to ``bridge``. Without systemd there is none.

    :param unplug: the command that takes the NIC out of the bridge.
    """
    if not has_tool("systemctl") or not UNITS.parent.is_dir():
        return
    STORE.mkdir(parents=True, exist_ok=True)
    first, finish = STORE / f"{nic}.first", STORE / f"{nic}.finish"
    write_file(first, "\n".join(to_first(carried, nic)) + "\n")
    write_file(finish, "\n".join(to_finish(carried, bridge, nic)) + "\n")
    UNITS.mkdir(parents=True, exist_ok=True)
    write_file(UNITS / f"{_PREFIX}{nic}.service", service_text(nic, bridge, unplug, first, finish))
    write_file(UNITS / f"{_PREFIX}{nic}.timer", _timer(nic, seconds))
    run(["systemctl", "daemon-reload"])
    run(["systemctl", "restart", f"{_PREFIX}{nic}.timer"])


def waiting() -> list[str]:
    """The NICs whose move waits for confirmation (or was taken back for want of it)."""
    return sorted(one.name.removeprefix(_PREFIX).removesuffix(".timer") for one in UNITS.glob(f"{_PREFIX}*.timer"))


def confirm() -> list[str]:
    """Stop all timers: the moves stand. Returns the NICs that were waiting for it."""
    nics = waiting()
    for nic in nics:
        timer = UNITS / f"{_PREFIX}{nic}.timer"
        run(["systemctl", "stop", timer.name])
        for leftover in (timer, timer.with_suffix(".service"), STORE / f"{nic}.first", STORE / f"{nic}.finish"):
            leftover.unlink(missing_ok=True)
    if nics:
        run(["systemctl", "daemon-reload"])
    return nics


def service_text(nic: str, bridge: str, unplug: Sequence[str], first: Path, finish: Path) -> str:
    """The unit that takes the NIC out of the bridge and puts its addresses back."""
    ip, nft = (tool_path(name) or f"/usr/bin/{name}" for name in ("ip", "nft"))
    return f"""\
[Unit]
Description=headworks: take {nic} out of {bridge} again, for nobody confirmed the move

[Service]
Type=oneshot
ExecStart={ip} -force -batch {first}
ExecStart=-{" ".join(unplug)}
ExecStart=-{nft} delete chain netdev headworks nic-{nic}
ExecStart={ip} -force -batch {finish}
"""


def _timer(nic: str, seconds: int) -> str:
    return f"""\
[Unit]
Description=headworks: wait for the move of {nic} to be confirmed

[Timer]
OnActiveSec={seconds}
AccuracySec=1
"""
