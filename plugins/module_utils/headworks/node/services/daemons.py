"""One daemon per object, as an instance of a systemd template unit: what DHCP servers and metadata proxies share.

An object's files, and the record they were made from, are in ``<root>/<name>/``. The roots are below /run, and so are
the unit files: nothing of it is of use after a boot, when the namespaces are gone and the node is restored from its
state; and dnsmasq, which waits for the disk at every lease, serves ten times as many guests. What does not belong here:
what is in the files, and anything only one kind of daemon does; subclasses say that.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar, TypeVar

from ...state.codec import decode, encode
from ...system import systemd
from ...system.files import read_link, read_text, write_file, write_link
from ...system.netns import NETNS_DIR
from ..subsystem import Applied, Change, Reading, Scope, Subsystem

RECORD = "record.json"  # the record the files were made from, and whose it is
PENDING = "pending"  # there while files and daemon may disagree: a run that was cut off is seen by the next
PID = "pid"  # where the daemon, or its master process, writes its process id
NETNS_LINK = "netns"  # where the unit finds the network namespace to run in

D = TypeVar("D", bound=Any)


class DaemonSubsystem(Subsystem[D]):
    """Base of such subsystems. The record has the fields ``name`` and ``problems``; the latter is empty in what is
    desired, and says in what was read why the node is not as its own record says.

    A changed file is a reload, unless it is among ``restart_files``.
    """

    template: ClassVar[str]  # the unit's name without "@.service"
    program: ClassVar[str]  # what it runs, for people
    restart_files: ClassVar[frozenset[str]] = frozenset()

    def __init__(self, owner: str | None, root: Path) -> None:
        super().__init__(owner)
        self.root = root

    def unit_text(self) -> str:
        """The template unit. It finds an object's files in ``<root>/%i/``, its namespace by ``netns`` there; the daemon
        writes its process id into ``pid`` there."""
        raise NotImplementedError

    def files(self, one: D) -> dict[str, str]:
        """Every file of an object, name → text.

        :raises ValueError: a value that does not fit into such a file.
        """
        raise NotImplementedError

    def netns(self, one: D) -> str:
        """The namespace it runs in, "" = the root namespace."""
        raise NotImplementedError

    def more_problems(self, one: D) -> list[str]:
        """What else is wrong with a running daemon."""
        return []

    def prepare(self, one: D) -> None:
        """Called just before a start, while the daemon is down."""

    def settle(self, changes: Sequence[Change[D]]) -> None:
        """Called after all are started or reloaded, with the changes of those that were not (re)started."""

    def directory(self, name: str) -> Path:
        """Where an object's files are."""
        return self.root / name

    def unit(self, name: str) -> str:
        """An object's unit."""
        return systemd.unit_name(self.template, name)

    def read(self, desired: Mapping[str, D], scope: Scope | None = None) -> Reading[D]:
        """The records in the objects' directories, with whatever is wrong in ``problems``."""
        present = self._present()
        states = self._states() if present or (systemd.RUNTIME_DIR / self._unit_file).exists() else {}
        names = present | {name for name, state in states.items() if state.active != "inactive"}
        if scope is not None:
            names &= set(scope)
        unit_current = systemd.installed({self._unit_file: self.unit_text()}, runtime=True)
        objects: dict[str, D] = {}
        owned = set()
        for name in names:
            cloud, one = self._load(name)
            # A directory without a record, or a unit without a directory, is what a killed run left.
            ours = self.owner is not None and cloud in (None, self.owner)
            if ours or name in desired:
                problems = self._problems(one, cloud, states.get(name, systemd.ABSENT))
                if not unit_current:
                    problems.append("its unit file is missing or of another version")
                objects[name] = replace(one, problems=tuple(problems))
            if ours:
                owned.add(name)
        return Reading(objects, frozenset(owned))

    def apply(self, changes: Sequence[Change[D]]) -> Applied:
        """Write what differs, then one call to systemd for all that start, one for all that reload."""
        self._remove([change.name for change in changes if change.after is None])
        wanted = {change.name: change.after for change in changes if change.after is not None}
        if not wanted:
            return Applied()
        for name, one in wanted.items():  # bad values are refused before anything is written
            self.unit(name)
            self.files(one)
        systemd.install({self._unit_file: self.unit_text()}, runtime=True)
        states = self._states()
        to_start, to_reload = {}, []
        for name, one in wanted.items():
            state = states.get(name, systemd.ABSENT)
            restart, reload = self._write(one)
            if restart or not state.running or not self._in_place(one):
                to_start[name] = one
            elif reload:
                to_reload.append(self.unit(name))
        self.start_anew(to_start, [name for name in to_start if states.get(name, systemd.ABSENT).active != "inactive"])
        systemd.reload(to_reload)
        self.settle([change for change in changes if change.name in wanted and change.name not in to_start])
        for name in wanted:
            (self.directory(name) / PENDING).unlink(missing_ok=True)
        return Applied()

    def start_anew(self, objects: Mapping[str, D], running: Collection[str]) -> None:
        """Stop those that run, prepare all, start all: three calls at most, whatever their number."""
        systemd.stop([self.unit(name) for name in running])
        for one in objects.values():
            self.prepare(one)
        systemd.start([self.unit(name) for name in objects])

    @property
    def _unit_file(self) -> str:
        return f"{self.template}@.service"

    def _present(self) -> set[str]:
        return {one.name for one in self.root.iterdir() if one.is_dir()} if self.root.is_dir() else set()

    def _states(self) -> dict[str, systemd.UnitState]:
        return {systemd.instance_name(unit): state for unit, state in systemd.read_states(f"{self.template}@*").items()}

    def _load(self, name: str) -> tuple[str | None, D]:
        """Whose it is (None: nobody's, "" = made by a module used alone), and the record."""
        try:
            data = json.loads(read_text(self.directory(name) / RECORD) or "")
            one: D = decode(self.record, {**data["record"], "name": name})
            self.files(one)  # a record that cannot be rendered is none
            return str(data["cloud"]), one
        except (ValueError, KeyError, TypeError):
            return None, self.record(name=name)

    def _problems(self, one: D, cloud: str | None, state: systemd.UnitState) -> list[str]:
        directory = self.directory(one.name)
        if cloud is None:
            return ["it has no record that can be read"]
        problems = []
        if self.owner and cloud != self.owner:
            problems.append(f"it is marked as {cloud or 'nobody'}'s")
        if (directory / PENDING).exists():
            problems.append("an earlier run was cut off")
        altered = [name for name, text in self.files(one).items() if read_text(directory / name) != text]
        if altered:
            problems.append(f"not as written: {', '.join(altered)}")
        if not state.running:
            problems.append(f"{self.program} is {state.text}")
        elif not self._in_place(one):
            problems.append(f"{self.program} runs in another namespace")
        else:
            problems += self.more_problems(one)
        return problems

    def _in_place(self, one: D) -> bool:
        """Whether the daemon runs where it should."""
        directory = self.directory(one.name)
        linked = read_link(directory / NETNS_LINK) == _netns_path(self.netns(one))
        return linked and systemd.in_namespace(read_text(directory / PID) or "", self.netns(one))

    def _write(self, one: D) -> tuple[bool, bool]:
        """Write the files that differ; returns whether that takes a restart, and whether it takes a reload."""
        directory = self.directory(one.name)
        directory.mkdir(mode=0o755, parents=True, exist_ok=True)
        # Nobody can know what the daemon has read of a run that was cut off.
        restart, reload = (directory / PENDING).exists(), False
        # The record first: from here on it is known whose this is.
        mark = {"cloud": self.owner or "", "record": encode(replace(one, problems=()))}
        write_file(directory / PENDING, "")
        write_file(directory / RECORD, json.dumps(mark, indent=1) + "\n")
        restart |= write_link(directory / NETNS_LINK, _netns_path(self.netns(one)))
        for name, text in self.files(one).items():
            if write_file(directory / name, text):
                restart, reload = restart or name in self.restart_files, True
        return restart, reload

    def _remove(self, names: Sequence[str]) -> None:
        """Stop, then remove what there is of them; with the last one goes the template unit."""
        import shutil

        if not names:
            return
        states = self._states()
        systemd.stop([self.unit(name) for name in names if name in states])
        if not self._present() - set(names):
            # Before the directories: they are what tells the next run, if this one is killed, that something is left.
            systemd.uninstall([self._unit_file], runtime=True)
        for name in names:
            if self.directory(name).is_dir():
                shutil.rmtree(self.directory(name))
        if not self._present():
            shutil.rmtree(self.root, ignore_errors=True)


def _netns_path(netns: str) -> str:
    return str(NETNS_DIR / netns) if netns else "/proc/1/ns/net"
