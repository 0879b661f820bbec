"""The NIC gets its own addresses while Open vSwitch does not run: after a boot of a kernel without its module, say.

The bridge does not exist then, or nothing serves it. ``headworks-release-<NIC>.service`` gives the addresses back to
the NIC; a timer starts it some time after each stop or crash of ovs-vswitchd and after a boot, and it does nothing if
the bridge is served again. The next successful start of ovs-vswitchd starts ``headworks-take-<NIC>.service``. None of
them needs headworks or Python.
What does not belong here: the commands for a program of the system (``networkd.py``, ``ifupdown.py``).
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from ....state.nft import TABLE
from ....system import systemd
from ....system.files import sync_directory, write_file, write_link
from ....system.process import run
from ....system.systemd import program
from ....system.unit_text import Command, exec_line, exec_lines, unit_part
from ..userspace import quiet_chain

VSWITCHD = "ovs-vswitchd.service"
WAIT_SECONDS = 40  # a bridge that is not served then is not waited for
_WANTS = "timers.target.wants"

def is_written(nic: str) -> bool:
    """Return whether the units of the NIC are installed."""
    return not systemd.available() or all((systemd.UNIT_DIR / name).exists() for name in _units(nic))


def write(nic: str, release: Sequence[Command], take: Sequence[Command], bridge: str, vswitchd: str) -> None:
    """Install the units of the NIC.

    :param release: the commands that give the NIC its own addresses.
    :param take: the commands that give them to the bridge again.
    """
    if not systemd.available():
        return
    directory = systemd.UNIT_DIR
    service, timer, taker = _units(nic)
    write_file(directory / service, release_service(nic, bridge, release, vswitchd))
    write_file(directory / taker, take_service(nic, bridge, take, vswitchd))
    write_file(directory / timer, _timer(nic))
    (directory / _WANTS).mkdir(exist_ok=True)
    write_link(directory / _WANTS / timer, str(directory / timer))
    (directory / f"{vswitchd}.d").mkdir(exist_ok=True)
    write_file(_dropin(nic, vswitchd), dropin_text(nic))
    run(["systemctl", "daemon-reload"])


def delete(nic: str, vswitchd: str = VSWITCHD) -> None:
    """Delete the units of the NIC. Without them, nothing takes its addresses back."""
    gone = [path for path in _paths(nic, vswitchd) if path.is_symlink() or path.exists()]
    for path in gone:
        path.unlink(missing_ok=True)
    if gone:
        sync_directory(systemd.UNIT_DIR)
        run(["systemctl", "stop", _units(nic)[1]], ok=range(256))
        run(["systemctl", "daemon-reload"], ok=range(256))


def undo_commands(nic: str, vswitchd: str = VSWITCHD) -> list[list[str]]:
    """Return the commands that delete the units of the NIC."""
    return [
        [program("rm"), "-f", *(str(path) for path in _paths(nic, vswitchd))],
        [program("systemctl"), "--no-block", "stop", _units(nic)[1]],
    ]


def release_service(nic: str, bridge: str, commands: Sequence[Command], vswitchd: str = VSWITCHD) -> str:
    """Return the unit that gives the NIC its own addresses, if Open vSwitch serves no bridge for it."""
    serves = (
        f"test -e {_quoted_for_shell(f'/sys/class/net/{bridge}')} && "
        f"{program('ovs-appctl')} --timeout=5 -t ovs-vswitchd version"
    )
    lines = [
        # A datapath of the kernel that nobody serves keeps the NIC.
        [program("ovs-dpctl"), "del-if", "ovs-system", nic],
        [program("nft"), "delete", "chain", "netdev", TABLE, quiet_chain(nic)],
        [program("ip"), "address", "flush", "dev", bridge, "scope", "global"],
        *commands,
    ]
    return f"""\
[Unit]
Description=headworks: NIC {nic} has its own addresses, because Open vSwitch does not run
# A start that is under way is waited for, on a slow machine.
After={vswitchd}

[Service]
Type=oneshot
TimeoutStartSec=180
KillMode=process
ExecCondition={exec_line([program("sh"), "-c", f"! {{ {serves}; }}"])}
{exec_lines(lines)}
"""


def take_service(nic: str, bridge: str, commands: Sequence[Command], vswitchd: str = VSWITCHD) -> str:
    """Return the unit that gives the NIC's addresses to the bridge again. The first command that fails ends it."""
    first, *rest = commands
    return f"""\
[Unit]
Description=headworks: bridge {bridge} has the addresses of NIC {nic}, because Open vSwitch runs
After={vswitchd} headworks-release-{unit_part(nic)}.service

[Service]
Type=oneshot
TimeoutStartSec=180
KillMode=process
{f"ExecCondition={exec_line(first)}" if rest else f"ExecStart=-{exec_line(first)}"}
{exec_lines(rest)}
"""


def dropin_text(nic: str) -> str:
    """Return the drop-in of ovs-vswitchd. It is restarted without a limit, so it never counts as failed for systemd's
    ``OnFailure=``, except if the database that it requires does not start."""
    service, timer, taker = _units(nic)
    return f"""\
# headworks: NIC {nic} gets its own addresses while Open vSwitch does not run, and its bridge gets them when it runs.
[Unit]
OnFailure={service}

[Service]
ExecStartPost=-{exec_line([program("systemctl"), "--no-block", "start", taker])}
ExecStopPost=-{exec_line([program("systemctl"), "--no-block", "start", timer])}
"""


def _timer(nic: str) -> str:
    """Return the timer. A start of the timer while it waits does nothing, so a daemon that crashes again and again does
    not put it off."""
    return f"""\
[Unit]
Description=headworks: wait until Open vSwitch serves the bridge of NIC {nic}

[Timer]
OnActiveSec={WAIT_SECONDS}
AccuracySec=1
RemainAfterElapse=no
Unit={_units(nic)[0]}

[Install]
WantedBy=timers.target
"""


def _units(nic: str) -> tuple[str, str, str]:
    """Return the names of the release service, its timer, and the take service."""
    part = unit_part(nic)
    return f"headworks-release-{part}.service", f"headworks-release-{part}.timer", f"headworks-take-{part}.service"


def _dropin(nic: str, vswitchd: str) -> Path:
    return systemd.UNIT_DIR / f"{vswitchd}.d" / _units(nic)[0].replace(".service", ".conf")


def _paths(nic: str, vswitchd: str) -> list[Path]:
    """Return all files, in the order in which they are deleted."""
    timer = _units(nic)[1]
    return [
        _dropin(nic, vswitchd),
        systemd.UNIT_DIR / _WANTS / timer,
        *(systemd.UNIT_DIR / name for name in _units(nic)),
    ]


def _quoted_for_shell(text: str) -> str:
    return "'" + text.replace("'", "'\\''") + "'"
