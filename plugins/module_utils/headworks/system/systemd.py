"""Install, start, stop and reload systemd units in batches: one ``systemctl`` call serves all units.

What does not belong here: the text of a unit; it is in the subsystem whose daemon the unit runs (``node/``).
"""

from __future__ import annotations

import os
import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path

from .files import read_text, write_file
from .netns import NETNS_DIR
from .process import ToolError, has_tool, run, tool_path

UNIT_DIR = Path("/etc/systemd/system")
RUNTIME_DIR = Path("/run/systemd/system")
BOOTED = Path("/run/systemd/system")  # exists if systemd is the init system: sd_booted(3)

LOGS = 3  # for so many failed units, a message has the last log lines
UNREAD = Path("/run/headworks/units-changed")  # exists while systemd may not have read a changed unit file
_INSTANCE = r"[A-Za-z0-9][A-Za-z0-9_.-]{0,127}"


@dataclass(frozen=True)
class UnitState:
    """The state of a unit: ``active`` and ``sub`` are systemd's ActiveState and SubState."""

    active: str
    sub: str = ""

    @property
    def running(self) -> bool:
        """Whether the unit serves. A unit that starts or waits for a restart does not. A unit that reports a reload
        (haproxy's master) does."""
        return self.active in {"active", "reloading"}

    @property
    def text(self) -> str:
        """The state as text for messages: ``failed``, ``activating (auto-restart)``."""
        return self.active if self.sub in ("", self.active) else f"{self.active} ({self.sub})"


ABSENT = UnitState("inactive", "dead")


def available() -> bool:
    """Whether systemd runs on this node (it does not in a build chroot)."""
    return BOOTED.is_dir() and has_tool("systemctl")


def program(name: str) -> str:
    """Full path of a program for ``ExecStart``. The distribution's own program comes first, so that a program that
    somebody installs below /usr/local does not change the units of a running cloud."""
    own = (f"{directory}/{name}" for directory in ("/usr/sbin", "/usr/bin"))
    return next((path for path in own if os.access(path, os.X_OK)), None) or tool_path(name) or f"/usr/sbin/{name}"


def unit_name(template: str, instance: str) -> str:
    """Return the name of a template's unit: ``unit_name("headworks-dhcp", "x")`` is ``headworks-dhcp@x.service``.

    :raises ValueError: ``instance`` is not a plain name, which paths and command lines need.
    """
    if not re.fullmatch(_INSTANCE, instance):
        raise ValueError(
            f"{template}: instance {instance!r}: must be 1 to 128 letters, digits and _ . -, first a letter or digit"
        )
    return f"{template}@{instance}.service"


def instance_name(unit: str) -> str:
    """Return the instance in the name of a template's unit."""
    return unit.partition("@")[2].removesuffix(".service")


def read_states(pattern: str) -> dict[str, UnitState]:
    """Return the states, by name, of the units that systemd has in memory and whose names match the glob ``pattern``.

    A unit that was never started, or was stopped, may be missing: use ``ABSENT`` for it. ``list-units`` sends one
    request for all units; ``show`` sends one request per unit (120 ms for 40 units, instead of 12 ms).
    """
    if not available():
        return {}
    return parse_states(run(["systemctl", "list-units", "--all", "--plain", "--no-legend", "--full", pattern]))


def parse_states(text: str) -> dict[str, UnitState]:
    """Parse the output of ``systemctl list-units``: unit, load state, active state, sub-state, description."""
    rows = (line.split(None, 4) for line in text.splitlines())
    return {row[0]: UnitState(row[2], row[3]) for row in rows if len(row) >= 4}


def in_namespace(pid: str, netns: str) -> bool:
    """Whether process ``pid`` (text, as read from a file) runs in the network namespace that ``netns`` names *now*
    ("": the root namespace).

    When a namespace was deleted and created again, its name is the same, but a daemon may still run in the deleted
    namespace and reach no network.
    """
    try:
        target = NETNS_DIR / netns if netns else Path("/proc/1/ns/net")
        return os.stat(f"/proc/{int(pid)}/ns/net").st_ino == target.stat().st_ino
    except (OSError, ValueError):
        return False


def installed(units: Mapping[str, str], runtime: bool = False) -> bool:
    """Whether the unit files (name → text) exist with exactly this text, no other unit file overrides them, and
    systemd has read them. See ``install``."""
    here, other = _places(runtime)
    return not UNREAD.exists() and all(
        read_text(here / name) == text and (other is None or not (other / name).exists())
        for name, text in units.items()
    )


def install(units: Mapping[str, str], runtime: bool = False) -> None:
    """Write unit files (name → text). systemd finds new unit files by itself. ``systemctl daemon-reload`` (a quarter of
    a second) runs only when a unit file changed, or when an earlier run was killed before its ``daemon-reload``.

    :param runtime: write to /run, for units that each boot creates again. A unit file of the same name in /etc would
        override this file, so this function deletes it.
    """
    here, other = _places(runtime)
    here.mkdir(parents=True, exist_ok=True)
    present = {name: read_text(here / name) for name in units}
    overriding = [other / name for name in units if other is not None and (other / name).exists()]
    changed = overriding or any(present[name] not in (None, text) for name, text in units.items())
    if changed:
        UNREAD.parent.mkdir(parents=True, exist_ok=True)
        UNREAD.touch()
    for path in overriding:
        path.unlink()
    for name, text in units.items():
        write_file(here / name, text)
    if changed or UNREAD.exists():
        run(["systemctl", "daemon-reload"])
        UNREAD.unlink(missing_ok=True)


def uninstall(names: Collection[str], runtime: bool = False) -> None:
    """Delete the unit files of stopped units. systemd no longer has these units in memory."""
    here, _ = _places(runtime)
    for name in names:
        (here / name).unlink(missing_ok=True)


def _places(runtime: bool) -> tuple[Path, Path | None]:
    """Return the directory of unit files, and the directory whose files would override them (None: no directory)."""
    return (RUNTIME_DIR, UNIT_DIR) if runtime else (UNIT_DIR, None)


def start(names: Collection[str]) -> None:
    """Start all units at once and wait until they serve. See ``_act``."""
    _act("start", names)


def start_each(names: Collection[str]) -> dict[str, str]:
    """Start all units at once and wait until they serve. Return unit → why, for those that do not.

    :raises ToolError: systemd does not answer.
    """
    try:
        _act("start", names)
    except ToolError:
        states = read_states("headworks-*")
        failed = [name for name in sorted(names) if not states.get(name, ABSENT).running]
        reasons = {name: _reason(name, states) for name in failed[:LOGS]}
        reasons |= {name: f"{name} is {states.get(name, ABSENT).text}" for name in failed[LOGS:]}
        if not reasons:
            raise
        return reasons
    return {}


def reload_each(names: Collection[str]) -> dict[str, str]:
    """Make all units read their files again. Return unit → why, for those that cannot. If the call for all of them
    fails, each unit is reloaded by itself."""
    try:
        _act("reload", names)
    except ToolError:
        reasons = {}
        for name in sorted(names):
            try:
                _act("reload", [name])
            except ToolError as error:
                reasons[name] = str(error)
        return reasons
    return {}


def restart(names: Collection[str]) -> None:
    """Restart all units at once. See ``_act``."""
    _act("restart", names)


def reload(names: Collection[str]) -> None:
    """Make all units read their files again, without a restart. See ``_act``."""
    _act("reload", names)


def stop(names: Collection[str]) -> None:
    """Stop all units at once and reset their failed states, so that systemd removes them from memory."""
    if not names:
        return
    # Exit codes 5 and 1: some units are not loaded. That is the desired state.
    run(["systemctl", "stop", *sorted(names)], ok=(0, 5))
    run(["systemctl", "reset-failed", *sorted(names)], ok=(0, 1))


def _act(verb: str, names: Collection[str]) -> None:
    """Run one ``systemctl`` call for all of ``names``.

    :raises ToolError: units failed. The message has the last log lines of up to three failed units.
    """
    if not names:
        return
    try:
        run(["systemctl", verb, *sorted(names)])
    except ToolError as error:
        raise ToolError(_reasons(verb, names) or str(error)) from error


def _reasons(verb: str, names: Collection[str]) -> str:
    """Return the states and last log lines of up to three units that do not run; "" if all units run."""
    states = read_states("headworks-*")
    failed = [name for name in sorted(names) if not states.get(name, ABSENT).running]
    reasons = [_reason(name, states) for name in failed[:LOGS]]
    if len(failed) > LOGS:
        reasons.append(f"and {len(failed) - LOGS} more")
    return f"systemctl {verb}: " + "; ".join(reasons) if reasons else ""


def _reason(name: str, states: Mapping[str, UnitState]) -> str:
    """Return the state and the last log lines of a unit."""
    log = run(["journalctl", "--unit", name, "--lines=5", "--output=cat", "--no-pager"], ok=(0, 1))
    return f"{name} is {states.get(name, ABSENT).text}: " + " / ".join(log.split("\n")).strip(" /")
