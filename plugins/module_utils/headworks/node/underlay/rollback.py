"""The rollback of a move: a systemd timer takes the NIC out of the bridge again, unless the control node confirms the
move in time.

Every move is armed, because any address may be the one that the control node, or something else, reaches the node by.
Until the move is confirmed, a second unit takes the NIC out of the bridge at the next boot. What does not belong here:
the texts of these units (``undo_units.py``), and what is noted about a move (``moves.py``).
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from ...system import rtnl, systemd
from ...system.files import write_file, write_link
from ...system.process import run
from ...system.unit_text import Command, unit_part
from . import config
from .carry import UNDERLAY_DIR, Carried, delete_carried, lines_after_move, lines_before_move, read_carried
from .dhcp_client import undo_client_commands
from .moves import CONFIRMED, Move, begin_move, forget_move, pending_nics, read_move, set_stage, undone_nics
from .undo_units import Undo, boot_service, rollback_service, rollback_timer

WANTED_BY = "multi-user.target.wants"
UNDO_SECONDS = 60.0  # how long a rollback that is under way may take


@dataclass
class Confirmed:
    """The result of ``confirm``. ``nics``: the moves that are confirmed now. ``left``: NICs that need a further call,
    over a new connection, because the system's configuration was changed. ``undone``: NICs that the node has taken out
    of their bridge. ``failures`` maps NIC → what could not be done."""

    nics: list[str] = field(default_factory=list)
    left: list[str] = field(default_factory=list)
    undone: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    failures: dict[str, str] = field(default_factory=dict)


def arm(
    move: Move, carried: Carried, unplug: Command, *, quiet_bridge: bool, ovsdb_service: str, vswitchd_service: str
) -> None:
    """Install the units that take the move back, and start the timer. Without systemd, only note that the move is not
    confirmed. A rollback of an earlier move that is under way ends first: it would take this move back half-way.

    :param carried: the addresses and routes that the NIC gets back.
    :param unplug: the command that takes the NIC out of the bridge.
    :param quiet_bridge: the bridge's device has no addresses of its own.
    """
    nic, bridge = move.nic, move.bridge
    prolong([nic])
    _await_rollback(nic)
    begin_move(move)
    if not systemd.available():
        return
    UNDERLAY_DIR.mkdir(parents=True, exist_ok=True)
    first, finish = UNDERLAY_DIR / f"{nic}.first", UNDERLAY_DIR / f"{nic}.finish"
    write_file(first, _batch(lines_before_move(carried, nic)))
    write_file(finish, _batch(lines_after_move(carried, bridge, nic)))
    clients = undo_client_commands(nic, bridge)
    configuration = config.undo_commands(nic, bridge)
    undo = Undo(move, unplug, first, finish, configuration, clients, quiet_bridge, _unit_files(nic))
    boot = systemd.UNIT_DIR / _boot_unit(nic)
    write_file(boot, boot_service(undo, ovsdb_service, vswitchd_service))
    (systemd.UNIT_DIR / WANTED_BY).mkdir(exist_ok=True)
    write_link(systemd.UNIT_DIR / WANTED_BY / boot.name, str(boot))
    systemd.RUNTIME_DIR.mkdir(parents=True, exist_ok=True)
    write_file(systemd.RUNTIME_DIR / f"{_rollback(nic)}.service", rollback_service(undo))
    write_file(systemd.RUNTIME_DIR / f"{_rollback(nic)}.timer", rollback_timer(move))
    run(["systemctl", "daemon-reload"])
    run(["systemctl", "restart", f"{_rollback(nic)}.timer"])


def prolong(nics: Sequence[str]) -> None:
    """Give the control node the whole time again to confirm the moves of these NICs: it confirms them all together,
    after the last one has moved."""
    timers = [f"{_rollback(nic)}.timer" for nic in nics]
    installed = [timer for timer in timers if (systemd.RUNTIME_DIR / timer).exists()]
    if installed and systemd.available():
        run(["systemctl", "restart", *installed])


def disarm(nic: str) -> None:
    """Stop the timer of the NIC and delete the units. A rollback that is under way is waited for."""
    if not systemd.available():
        return
    _stop_timer(nic)
    paths = [*_unit_files(nic), *(UNDERLAY_DIR / f"{nic}.{name}" for name in ("first", "finish"))]
    present = [path for path in paths if path.is_symlink() or path.exists()]
    for path in present:
        path.unlink(missing_ok=True)
    if present:
        run(["systemctl", "daemon-reload"])


def undo_leftovers() -> None:
    """Take back the moves that were not confirmed before the last boot. The units of the boot do this before Open
    vSwitch starts; this is for the case that they could not, because the database of Open vSwitch did not answer."""
    if not systemd.available():
        return
    for nic in pending_nics():
        if not (systemd.RUNTIME_DIR / f"{_rollback(nic)}.timer").exists():
            run(["systemctl", "start", _boot_unit(nic)], ok=range(256))


def confirm() -> Confirmed:
    """Confirm all moves, and let the bridges get the NICs' addresses from the system's configuration at each boot.

    A change of this configuration can disconnect the node, too. So the timer goes on after it, and the NIC is in
    ``left``: call this function again, over a new connection.
    """
    result = Confirmed()
    for nic in pending_nics():
        _stop_timer(nic)
        if nic in undone_nics():
            continue
        move = read_move(nic)
        if move is not None and not move.leaves and not _configure(move, result):
            continue
        _finish(nic, move)
        result.nics.append(nic)
    result.undone = forget_undone()
    return result


def forget_undone() -> list[str]:
    """Delete what is noted about moves that were taken back. Returns their NICs."""
    nics = undone_nics()
    for nic in nics:
        disarm(nic)
        forget_move(nic)
    return nics


def _configure(move: Move, result: Confirmed) -> bool:
    """Write the system's configuration for a NIC in its bridge. Returns whether the move is complete with it."""
    nic, bridge = move.nic, move.bridge
    if not rtnl.links([bridge]) or config.is_written(nic, bridge):
        return True
    prolong([nic])
    try:
        result.notes += config.write(nic, bridge, read_carried(bridge))
    except (OSError, RuntimeError, ValueError) as error:
        result.failures[nic] = (
            f"nic {nic}: the system's network configuration does not give its addresses to {bridge}: {error}; "
            "only headworks moves them after a boot"
        )
        return True
    result.left.append(nic)
    return False


def _finish(nic: str, move: Move | None) -> None:
    """Note that the move is confirmed, then delete the units: a boot in between finds nothing to undo."""
    if move is None or move.leaves:
        forget_move(nic)
    else:
        set_stage(nic, CONFIRMED)
        if config.manager_of(nic) in config.KEEPS_BRIDGE:
            delete_carried(nic)  # the bridge has its addresses from there now, and these may change
    disarm(nic)


def _unit_files(nic: str) -> list[Path]:
    """Return all files of the units of the NIC."""
    boot = systemd.UNIT_DIR / _boot_unit(nic)
    runtime = [systemd.RUNTIME_DIR / f"{_rollback(nic)}.{kind}" for kind in ("timer", "service")]
    return [*runtime, systemd.UNIT_DIR / WANTED_BY / boot.name, boot]


def _stop_timer(nic: str) -> None:
    """Stop the timer. If it has expired just now, wait until the rollback has ended."""
    if systemd.available():
        run(["systemctl", "stop", f"{_rollback(nic)}.timer"], ok=(0, 5))
        _await_rollback(nic)


def _await_rollback(nic: str) -> None:
    """Wait until a rollback that is under way has ended."""
    service, end = f"{_rollback(nic)}.service", time.monotonic() + UNDO_SECONDS
    while systemd.available() and time.monotonic() < end:
        if run(["systemctl", "is-active", service], ok=range(256)).strip() != "activating":
            return
        time.sleep(0.1)


def _boot_unit(nic: str) -> str:
    return f"headworks-undo-{unit_part(nic)}.service"


def _rollback(nic: str) -> str:
    return f"headworks-rollback-{unit_part(nic)}"


def _batch(lines: Sequence[str]) -> str:
    return "".join(f"{line}\n" for line in lines)
