"""Subsystems whose objects are daemons: each daemon is an instance of a systemd template unit. DHCP servers and
metadata proxies share this code.

The files of a daemon and its record are in ``<root>/<name>/``. The roots and the unit files are below /run: after a
boot the namespaces do not exist, and the node restores all of it from its node state. Besides, dnsmasq waits for the
disk at each lease, so in memory it serves ten times as many guests. What does not belong here: the content of the
files, and what a single kind of daemon does (the subclasses in ``dhcp/`` and ``metadata/``).
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar, TypeVar

from ...state.codec import decode, encode
from ...system import systemd
from ...system.files import read_link, read_text, write_file, write_link
from ...system.netns import NETNS_DIR
from ...system.process import ToolError
from ..subsystem import Applied, Change, Effect, Note, Reading, Scope, Subsystem

RECORD = "record.json"  # the record that the files were made from, and its cloud
PENDING = "pending"  # exists while files and daemon may differ; the next run sees by it that a run was killed
PID = "pid"  # the daemon, or its master process, writes its process id here
PID_SECONDS = 1.0  # how long an empty pid file is read again
NETNS_LINK = "netns"  # a link to the network namespace that the unit runs in

D = TypeVar("D", bound=Any)


class DaemonSubsystem(Subsystem[D]):
    """Base of these subsystems. The record has the fields ``name`` and ``problems``. ``problems`` is empty in a desired
    record; in a record that was read, it lists where the node differs from the record.

    When a file changes, the daemon is reloaded; when a file of ``restart_files`` changes, it is restarted.
    """

    template: ClassVar[str]  # the unit's name without "@.service"
    program: ClassVar[str]  # the daemon's name, for messages
    restart_files: ClassVar[frozenset[str]] = frozenset()

    def __init__(self, owner: str | None, root: Path) -> None:
        super().__init__(owner)
        self.root = root

    def unit_text(self) -> str:
        """Return the template unit. In ``<root>/%i/`` it uses the daemon's files and the link ``netns``, and expects
        the process id in ``pid``."""
        raise NotImplementedError

    def files(self, daemon: D) -> dict[str, str]:
        """Return all files of a daemon, name → text.

        :raises ValueError: a value does not fit into its file.
        """
        raise NotImplementedError

    def netns(self, daemon: D) -> str:
        """Return the namespace that the daemon runs in; "" is the root namespace."""
        raise NotImplementedError

    def service_problems(self, daemon: D) -> list[str]:
        """Return further problems of a running daemon, which only its own kind of service has."""
        return []

    def before_start(self, daemon: D) -> None:
        """Called before the daemon is started, while it does not run."""

    def after_reload(self, changes: Sequence[Change[D]]) -> dict[str, str]:
        """Called after all daemons are started or reloaded, with the changes of those that were not (re)started. Return
        name → why, for the daemons that failed."""
        return {}

    def directory(self, name: str) -> Path:
        """Return the directory of a daemon's files."""
        return self.root / name

    def unit(self, name: str) -> str:
        """Return the name of a daemon's unit."""
        return systemd.unit_name(self.template, name)

    def read(self, desired: Mapping[str, D], scope: Scope | None = None) -> Reading[D]:
        """Return the records in the daemons' directories; ``problems`` says where the node differs from a record."""
        directories = self._directories()
        states = self._states() if directories or (systemd.RUNTIME_DIR / self._unit_file).exists() else {}
        names = directories | {name for name, state in states.items() if state.active != "inactive"}
        if scope is not None:
            names &= set(scope)
        unit_current = systemd.installed({self._unit_file: self.unit_text()}, runtime=True)
        objects: dict[str, D] = {}
        owned = set()
        for name in names:
            cloud, daemon = self._load(name)
            # A killed run can leave a directory without a record, or a unit without a directory.
            ours = self.owner is not None and cloud in (None, self.owner)
            if ours or name in desired:
                problems = self._problems(daemon, cloud, states.get(name, systemd.ABSENT))
                if not unit_current:
                    problems.append("its unit file is missing or of another version")
                objects[name] = replace(daemon, problems=tuple(problems))
            if ours:
                owned.add(name)
        return Reading(objects, frozenset(owned))

    def requires(self, daemon: D) -> Mapping[str, Collection[str]]:
        """Return the namespace that the daemon runs in, which must be ours. It stays as long as the daemon does."""
        return {"netns": {self.netns(daemon)}}

    def foreseen(self, change: Change[D]) -> Sequence[Note]:
        """Return a note if the change restarts a daemon that works. A reload interrupts nothing."""
        before, after = change.before, change.after
        if before is None or after is None or before.problems:
            return ()
        try:
            unit, old, new = self.unit(change.name), self.files(before), self.files(after)
        except ValueError:  # apply refuses the value
            return ()
        same_files = all(old.get(file) == new.get(file) for file in self.restart_files)
        if same_files and self.netns(before) == self.netns(after):
            return ()
        return (self.note(change.name, f"{self.program} ({unit}) is restarted", Effect.OUTAGE),)

    def apply(self, changes: Sequence[Change[D]]) -> Applied:
        """Write the files that differ, then start all daemons with one call to systemd and reload all with another. A
        daemon that fails stops no other."""
        failures = self._remove_each([change.name for change in changes if change.after is None])
        desired = {change.name: change.after for change in changes if change.after is not None}
        for name, daemon in desired.items():  # refuse bad values before any file is written
            failures |= self._attempt(name, self._check, daemon)
        desired = {name: daemon for name, daemon in desired.items() if name not in failures}
        return Applied(failures={**failures, **(self._serve(desired, changes) if desired else {})})

    def _serve(self, desired: Mapping[str, D], changes: Sequence[Change[D]]) -> dict[str, str]:
        """Write the files of the daemons, and start or reload them. Return name → why, for those that fail."""
        systemd.install({self._unit_file: self.unit_text()}, runtime=True)
        states = self._states()
        failures: dict[str, str] = {}
        to_start: dict[str, D] = {}
        to_reload: list[str] = []

        def write(daemon: D) -> None:
            restart, reload = self._write(daemon)
            state = states.get(daemon.name, systemd.ABSENT)
            if restart or not state.running or not self._in_its_namespace(daemon):
                to_start[daemon.name] = daemon
            elif reload:
                to_reload.append(self.unit(daemon.name))

        for name, daemon in desired.items():
            failures |= self._attempt(name, write, daemon)
        active = [name for name in to_start if states.get(name, systemd.ABSENT).active != "inactive"]
        failures |= self.restart(to_start, active)
        failures |= self._by_name(systemd.reload_each(to_reload))
        settled = [change for change in changes if change.name in desired.keys() - to_start.keys() - failures.keys()]
        failures |= self.after_reload(settled)
        for name in desired.keys() - failures.keys():
            (self.directory(name) / PENDING).unlink(missing_ok=True)
        return failures

    def restart(self, daemons: Mapping[str, D], running: Collection[str]) -> dict[str, str]:
        """Stop the ``running`` daemons, then start all ``daemons``, with one call to systemd for each step. Return
        name → why, for the daemons that fail."""
        systemd.stop([self.unit(name) for name in running])
        failures: dict[str, str] = {}
        for name, daemon in daemons.items():
            failures |= self._attempt(name, self.before_start, daemon)
        units = [self.unit(name) for name in daemons if name not in failures]
        return {**failures, **self._by_name(systemd.start_each(units))}

    def _attempt(self, name: str, action: Callable[[Any], object], subject: Any) -> dict[str, str]:
        """Run ``action`` on ``subject``. Return ``name`` and the reason if that fails."""
        try:
            action(subject)
        except (OSError, ToolError, ValueError) as error:
            return {name: f"{self.program} {name}: {error}"}
        return {}

    def _by_name(self, reasons: Mapping[str, str]) -> dict[str, str]:
        """Return ``reasons`` (unit → why) by the names of the daemons."""
        return {systemd.instance_name(unit): f"{self.program}: {reason}" for unit, reason in reasons.items()}

    def _check(self, daemon: D) -> None:
        """Refuse a record that does not fit into its unit or its files.

        :raises ValueError: a value does not fit.
        """
        self.unit(daemon.name)
        self.files(daemon)

    def _remove_each(self, names: Sequence[str]) -> dict[str, str]:
        """Remove daemons; if that fails, one by one. Return name → why, for those that fail."""
        failures: dict[str, str] = {}
        if self._attempt("", self._remove, names):
            for name in names:
                failures |= self._attempt(name, self._remove, [name])
        return failures

    @property
    def _unit_file(self) -> str:
        return f"{self.template}@.service"

    def _directories(self) -> set[str]:
        return {path.name for path in self.root.iterdir() if path.is_dir()} if self.root.is_dir() else set()

    def _states(self) -> dict[str, systemd.UnitState]:
        return {systemd.instance_name(unit): state for unit, state in systemd.read_states(f"{self.template}@*").items()}

    def _load(self, name: str) -> tuple[str | None, D]:
        """Return the cloud and the record of a daemon. The cloud is "" if a module alone made the daemon, and None if
        the record is missing or cannot be read."""
        try:
            data = json.loads(read_text(self.directory(name) / RECORD) or "")
            daemon: D = decode(self.record, {**data["record"], "name": name})
            self.files(daemon)  # a record whose files cannot be rendered counts as unreadable
            return str(data["cloud"]), daemon
        except (ValueError, KeyError, TypeError):
            return None, self.record(name=name)

    def _problems(self, daemon: D, cloud: str | None, state: systemd.UnitState) -> list[str]:
        """Return where the node differs from the record of a daemon."""
        directory = self.directory(daemon.name)
        if cloud is None:
            return ["its record is missing or cannot be read"]
        problems = []
        if self.owner and cloud != self.owner:
            problems.append(f"it belongs to cloud {cloud}" if cloud else "it belongs to no cloud")
        if (directory / PENDING).exists():
            problems.append("an earlier run did not complete")
        differing = [name for name, text in self.files(daemon).items() if read_text(directory / name) != text]
        if differing:
            problems.append(f"files differ from its record: {', '.join(differing)}")
        if not state.running:
            problems.append(f"{self.program} is {state.text}")
        elif not self._in_its_namespace(daemon):
            problems.append(f"{self.program} runs in another namespace")
        else:
            problems += self.service_problems(daemon)
        return problems

    def _in_its_namespace(self, daemon: D) -> bool:
        """Return whether the unit's link and the running daemon are in the namespace of the record."""
        directory = self.directory(daemon.name)
        linked = read_link(directory / NETNS_LINK) == _netns_path(self.netns(daemon))
        return linked and systemd.in_namespace(_pid(directory / PID), self.netns(daemon))

    def _write(self, daemon: D) -> tuple[bool, bool]:
        """Write the files that differ. Returns whether the daemon needs a restart, and whether it needs a reload."""
        directory = self.directory(daemon.name)
        directory.mkdir(mode=0o755, parents=True, exist_ok=True)
        # After a killed run it is unknown which files the daemon has read.
        restart, reload = (directory / PENDING).exists(), False
        # The record first: if this run is killed from here on, the next run knows the daemon's cloud.
        mark = {"cloud": self.owner or "", "record": encode(replace(daemon, problems=()))}
        write_file(directory / PENDING, "")
        write_file(directory / RECORD, json.dumps(mark, indent=1) + "\n")
        restart |= write_link(directory / NETNS_LINK, _netns_path(self.netns(daemon)))
        for name, text in self.files(daemon).items():
            if write_file(directory / name, text):
                restart, reload = restart or name in self.restart_files, True
        return restart, reload

    def _remove(self, names: Sequence[str]) -> None:
        """Stop the daemons and delete their directories; with the last daemon also the template unit."""
        import shutil

        if not names:
            return
        states = self._states()
        systemd.stop([self.unit(name) for name in names if name in states])
        if not self._directories() - set(names):
            # Before the directories: if this run is killed, the next run sees by them that the removal is incomplete.
            systemd.uninstall([self._unit_file], runtime=True)
        for name in names:
            if self.directory(name).is_dir():
                shutil.rmtree(self.directory(name))
        if not self._directories():
            shutil.rmtree(self.root, ignore_errors=True)


def _netns_path(netns: str) -> str:
    return str(NETNS_DIR / netns) if netns else "/proc/1/ns/net"


def _pid(file: Path) -> str:
    """Return the content of a daemon's pid file. A daemon that was reloaded writes the file again, so an empty file is
    read again for a short time."""
    end = time.monotonic() + PID_SECONDS
    while not (text := (read_text(file) or "").strip()) and time.monotonic() < end:
        time.sleep(0.02)
    return text
