"""systemd units of ours, in batches: one call reads the state of all, one starts (stops, reloads) all.

What does not belong here: the text of any unit; that lives in the subsystem whose daemon it runs.
"""

from __future__ import annotations

import os
import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path

from .files import read_text, write_file
from .netns import NETNS_DIR
from .process import ToolError, has_tool, run

UNIT_DIR = Path("/etc/systemd/system")
RUNTIME_DIR = Path("/run/systemd/system")
BOOTED = Path("/run/systemd/system")  # exists when systemd is what runs here: sd_booted(3)

UNREAD = Path("/run/headworks/units-changed")  # there while systemd may know an older unit file than there is
_INSTANCE = r"[A-Za-z0-9][A-Za-z0-9_.-]{0,127}"


@dataclass(frozen=True)
class UnitState:
    """What systemd says of a unit: ``active`` and ``sub`` in its own words."""

    active: str
    sub: str = ""

    @property
    def running(self) -> bool:
        """Whether it is up and serves (not starting, not waiting to be started again). One that says of itself that it
        is reloading (haproxy's master) serves meanwhile."""
        return self.active in {"active", "reloading"}

    @property
    def text(self) -> str:
        """For people: ``failed``, ``activating (auto-restart)``."""
        return self.active if self.sub in ("", self.active) else f"{self.active} ({self.sub})"


ABSENT = UnitState("inactive", "dead")


def available() -> bool:
    """Whether systemd runs on this node (not so in a build chroot)."""
    return BOOTED.is_dir() and has_tool("systemctl")


def unit_name(template: str, instance: str) -> str:
    """The unit of ``instance`` of a template: ``unit_name("headworks-dhcp", "x")`` = ``headworks-dhcp@x.service``.

    :raises ValueError: the instance is more than a plain name (it ends up in paths and on command lines).
    """
    if not re.fullmatch(_INSTANCE, instance):
        raise ValueError(f"{template}: {instance!r} is no name: letters, digits and _ . - only, and at most 128")
    return f"{template}@{instance}.service"


def instance_name(unit: str) -> str:
    """The instance of a template unit's name."""
    return unit.partition("@")[2].removesuffix(".service")


def read_states(pattern: str) -> dict[str, UnitState]:
    """State of every unit that systemd has in memory and whose name matches the glob ``pattern``, keyed by name.

    A unit that was never started, or was stopped, may be missing: take ``ABSENT`` for it. This is ``list-units``, one
    question to systemd however many units; ``show`` asks for each (120 ms for 40 units, against 12 ms).
    """
    if not available():
        return {}
    return parse_states(run(["systemctl", "list-units", "--all", "--plain", "--no-legend", "--full", pattern]))


def parse_states(text: str) -> dict[str, UnitState]:
    """What ``systemctl list-units`` prints: unit, load state, active state, sub-state, description."""
    rows = (line.split(None, 4) for line in text.splitlines())
    return {row[0]: UnitState(row[2], row[3]) for row in rows if len(row) >= 4}


def in_namespace(pid: str, netns: str) -> bool:
    """Whether a process (its id as text, as read from a file) runs in the network namespace of that name *as it is now*
    ("" = the root's).

    A namespace that was removed and made again has the old name, and a daemon still sits in the old one, talking to
    nobody.
    """
    try:
        target = NETNS_DIR / netns if netns else Path("/proc/1/ns/net")
        return os.stat(f"/proc/{int(pid)}/ns/net").st_ino == target.stat().st_ino
    except (OSError, ValueError):
        return False


def installed(units: Mapping[str, str], runtime: bool = False) -> bool:
    """Whether the unit files (name → text) are there with just that text, no other overrides them, and systemd has read
    them. See ``install``."""
    here, other = _places(runtime)
    return not UNREAD.exists() and all(
        read_text(here / name) == text and (other is None or not (other / name).exists())
        for name, text in units.items()
    )


def install(units: Mapping[str, str], runtime: bool = False) -> None:
    """Write unit files (name → text). systemd finds new ones by itself; it is told to read everything again (a quarter
    of a second) only when one changed, or when a run was killed in between.

    :param runtime: until the next boot (in /run): for what is made anew then. The same name in /etc would win over it,
        so it goes.
    """
    here, other = _places(runtime)
    here.mkdir(parents=True, exist_ok=True)
    known = {name: read_text(here / name) for name in units}
    overriding = [other / name for name in units if other is not None and (other / name).exists()]
    changed = overriding or any(known[name] not in (None, text) for name, text in units.items())
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
    """Remove unit files of stopped units, which systemd has forgotten by then."""
    here, _ = _places(runtime)
    for name in names:
        (here / name).unlink(missing_ok=True)


def _places(runtime: bool) -> tuple[Path, Path | None]:
    """Where unit files go, and where others of the same name would override them."""
    return (RUNTIME_DIR, UNIT_DIR) if runtime else (UNIT_DIR, None)


def start(names: Collection[str]) -> None:
    """Start all at once and wait until they serve. See ``_act``."""
    _act("start", names)


def restart(names: Collection[str]) -> None:
    """Restart all at once. See ``_act``."""
    _act("restart", names)


def reload(names: Collection[str]) -> None:
    """Have all read their files again, without a restart. See ``_act``."""
    _act("reload", names)


def stop(names: Collection[str]) -> None:
    """Stop all at once, and forget that any of them failed, so that nothing of them stays."""
    if not names:
        return
    # Exit 5 and 1: some are not even loaded, which is what is wanted.
    run(["systemctl", "stop", *sorted(names)], ok=(0, 5))
    run(["systemctl", "reset-failed", *sorted(names)], ok=(0, 1))


def _act(verb: str, names: Collection[str]) -> None:
    """One ``systemctl`` call for all of ``names``.

    :raises ToolError: some failed; the message has the last lines that each of them logged.
    """
    if not names:
        return
    try:
        run(["systemctl", verb, *sorted(names)])
    except ToolError as error:
        raise ToolError(_reasons(verb, names) or str(error)) from error


def _reasons(verb: str, names: Collection[str]) -> str:
    """Why units do not run, in their own words; at most three of them."""
    states = read_states("headworks-*")
    failed = [name for name in sorted(names) if not states.get(name, ABSENT).running]
    said = []
    for name in failed[:3]:
        log = run(["journalctl", "--unit", name, "--lines=5", "--output=cat", "--no-pager"], ok=(0, 1))
        said.append(f"{name} is {states.get(name, ABSENT).text}: " + " / ".join(log.split("\n")).strip(" /"))
    if len(failed) > 3:
        said.append(f"and {len(failed) - 3} more")
    return f"systemctl {verb}: " + "; ".join(said) if said else ""
