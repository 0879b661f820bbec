"""The rollback of a move: a systemd timer takes the NIC out of the bridge again, unless the control node confirms the
move in time.

The timer is started only if the moved addresses carry the connection to the control node. The units are below /run and
run the tools directly: they need neither headworks nor the network.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from ...state.nft import TABLE
from ...system.ancestors import inherited
from ...system.files import write_file
from ...system.process import has_tool, run, tool_path
from .carry import UNDERLAY_DIR, Carried, lines_after_move, lines_before_move
from .userspace import quiet_chain

SECONDS = 180  # longer than a run takes from the move to the confirmation
UNITS = Path("/run/systemd/system")
_PREFIX = "headworks-underlay-undo-"


def is_management(carried: Carried) -> bool:
    """Return whether the control node reaches the node through these addresses: the SSH connection ends at one of them,
    or the default route is among the routes."""
    words = inherited("SSH_CONNECTION").split()
    server = words[2] if len(words) == 4 else ""
    return any(address.text.split("/")[0] == server for address in carried.addresses) or any(
        route.startswith("default ") for route in carried.routes
    )


def start_timer(nic: str, bridge: str, carried: Carried, unplug: Sequence[str], seconds: int = SECONDS) -> None:
    """Start the timer that moves ``nic`` out of ``bridge`` and its addresses back. Does nothing without systemd.

    :param unplug: the command that takes the NIC out of the bridge.
    """
    if not has_tool("systemctl") or not UNITS.parent.is_dir():
        return
    UNDERLAY_DIR.mkdir(parents=True, exist_ok=True)
    first, finish = UNDERLAY_DIR / f"{nic}.first", UNDERLAY_DIR / f"{nic}.finish"
    write_file(first, "\n".join(lines_before_move(carried, nic)) + "\n")
    write_file(finish, "\n".join(lines_after_move(carried, bridge, nic)) + "\n")
    UNITS.mkdir(parents=True, exist_ok=True)
    write_file(UNITS / f"{_PREFIX}{nic}.service", service_text(nic, bridge, unplug, first, finish))
    write_file(UNITS / f"{_PREFIX}{nic}.timer", _timer(nic, seconds))
    run(["systemctl", "daemon-reload"])
    run(["systemctl", "restart", f"{_PREFIX}{nic}.timer"])


def unconfirmed_nics() -> list[str]:
    """Return the NICs whose move is not confirmed. The timer may have undone the move already."""
    return sorted(path.name.removeprefix(_PREFIX).removesuffix(".timer") for path in UNITS.glob(f"{_PREFIX}*.timer"))


def confirm() -> list[str]:
    """Confirm all moves: stop and delete their timers. Returns the NICs whose move was not confirmed before."""
    nics = unconfirmed_nics()
    for nic in nics:
        timer = UNITS / f"{_PREFIX}{nic}.timer"
        run(["systemctl", "stop", timer.name])
        batches = (UNDERLAY_DIR / f"{nic}.first", UNDERLAY_DIR / f"{nic}.finish")
        for path in (timer, timer.with_suffix(".service"), *batches):
            path.unlink(missing_ok=True)
    if nics:
        run(["systemctl", "daemon-reload"])
    return nics


def service_text(nic: str, bridge: str, unplug: Sequence[str], first: Path, finish: Path) -> str:
    """Return the unit that takes the NIC out of the bridge and moves its addresses back."""
    ip, nft = (tool_path(name) or f"/usr/bin/{name}" for name in ("ip", "nft"))
    return f"""\
[Unit]
Description=headworks: take {nic} out of {bridge}, because the move was not confirmed

[Service]
Type=oneshot
ExecStart={ip} -force -batch {first}
ExecStart=-{" ".join(unplug)}
ExecStart=-{nft} delete chain netdev {TABLE} {quiet_chain(nic)}
ExecStart={ip} -force -batch {finish}
"""


def _timer(nic: str, seconds: int) -> str:
    return f"""\
[Unit]
Description=headworks: wait until the move of {nic} is confirmed

[Timer]
OnActiveSec={seconds}
AccuracySec=1
"""
