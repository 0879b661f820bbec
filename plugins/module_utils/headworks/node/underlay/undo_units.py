"""The texts of the units that take a NIC out of its bridge again, if the move is not confirmed.

They run the tools directly. They need neither headworks nor Python nor the network, and no step waits for the success
of another. What does not belong here: when the units are installed and removed (``rollback.py``).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from ...state.nft import TABLE
from ...system.systemd import program
from ...system.unit_text import Command, escaped, exec_lines
from .moves import PENDING, UNDONE, Move, marker
from .userspace import quiet_chain

LOCK_SECONDS = 10  # how long the rollback waits for a run that is at work


@dataclass(frozen=True)
class Undo:
    """What takes a move back. ``unplug`` is the command that takes the NIC out of the bridge; ``first`` and ``finish``
    are files for ``ip -batch``; ``configuration`` are the commands that give the NIC its own configuration back, and
    ``clients`` its DHCP client. ``quiet_bridge``: the bridge's device had no addresses before, so it is set down.
    ``units`` are the files of the units, which delete themselves at their end."""

    move: Move
    unplug: Command
    first: Path
    finish: Path
    configuration: Sequence[Command] = ()
    clients: Sequence[Command] = ()
    quiet_bridge: bool = True
    units: Sequence[Path] = ()

    @property
    def commands(self) -> list[Command]:
        """All commands, in their order. Each works by itself."""
        ip, nic = program("ip"), self.move.nic
        return [
            # A run that is just at work ends first. One that hangs is not waited for.
            [program("flock"), "--timeout", str(LOCK_SECONDS), "/run/headworks/converge.lock", program("true")],
            [ip, "-force", "-batch", str(self.first)],
            self.unplug,
            [program("nft"), "delete", "chain", "netdev", TABLE, quiet_chain(nic)],
            *([[ip, "link", "set", "dev", self.move.bridge, "down"]] if self.quiet_bridge else []),
            [ip, "-force", "-batch", str(self.finish)],
            *self.configuration,
            *self.clients,
            # Again, since a service that read its configuration anew may have removed them.
            [ip, "-force", "-batch", str(self.first)],
            [ip, "-force", "-batch", str(self.finish)],
            *self.end,
        ]

    @property
    def end(self) -> list[Command]:
        """The last commands: they note that the move is taken back, and delete the units."""
        nic = self.move.nic
        remove = [[program("rm"), "-f", *(str(path) for path in self.units)]] if self.units else []
        return [[program("mv"), "-f", str(marker(nic, PENDING)), str(marker(nic, UNDONE))], *remove]


def rollback_service(undo: Undo) -> str:
    """Return the unit that the timer starts."""
    return f"""\
[Unit]
Description=headworks: take {undo.move.nic} out of {undo.move.bridge}, because the move was not confirmed

[Service]
Type=oneshot
TimeoutStartSec=120
KillMode=process
{exec_lines(undo.commands)}
"""


def rollback_timer(move: Move) -> str:
    """Return the timer. It expires ``rollback_seconds`` after it was started."""
    return f"""\
[Unit]
Description=headworks: wait until the move of {move.nic} is confirmed

[Timer]
OnActiveSec={move.rollback_seconds}
AccuracySec=1
"""


def boot_service(undo: Undo, ovsdb_service: str, vswitchd_service: str) -> str:
    """Return the unit that takes the NIC out of the bridge at the next boot, before Open vSwitch takes it. The system
    then gives the NIC its own addresses."""
    pending = marker(undo.move.nic, PENDING)
    return f"""\
[Unit]
Description=headworks: take {undo.move.nic} out of {undo.move.bridge}, because the move was not confirmed
ConditionPathExists={escaped(str(pending))}
Wants={ovsdb_service}
After={ovsdb_service}
Before={vswitchd_service}

[Service]
Type=oneshot
TimeoutStartSec=120
{exec_lines([undo.unplug, *undo.configuration, *undo.end])}

[Install]
WantedBy=multi-user.target
"""
