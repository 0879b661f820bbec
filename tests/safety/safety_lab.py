"""The cloud of the safety tests: its own lab of two nodes, a working copy of its inventory, and guests with markers.

What does not belong here: the slips and faults themselves (the ``test_*.py``), and ssh and podman (``tests/lab``).
"""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml
from ansible_run import TOP, Run, Running, run_playbook, start_playbook
from real_nodes import CACHE, RealNodes, eventually

HERE = Path(__file__).parent
OBSERVE = HERE / "on_node/observe.py"
DECLARED = HERE / "inventory"
LAB_VARIABLES = ("group_vars/lab_nodes.yml", "group_vars/all/lab.yml")  # of inventory/lab
NODES = ("node1", "node2")
GUESTS = {"node1": ("run1", "web1", "web2"), "node2": ("db1", "db2", "run2", "web3")}
EVERY = tuple(name for names in GUESTS.values() for name in names)
RUNNING = ("run1", "run2")
INSTANCES = "/var/lib/headworks/instances"
REMOVED = "/var/lib/headworks/removed"
ALLOCATIONS = "group_vars/all/allocations.yml"

Observed = dict[str, dict[str, dict[str, Any]]]


@dataclass
class SafetyLab(RealNodes):
    """The running cloud. ``home`` is the working copy of its inventory, which the slips change.

    ``touched``: since the last check, something else than a refused run was done.
    """

    name: str = "safety"
    prefix: str = "10.107.0"
    octets: Mapping[str, int] = field(default_factory=lambda: {"node1": 21, "node2": 22})
    ids: dict[str, str] = field(default_factory=dict)
    before: Observed = field(default_factory=dict)
    allocated: dict[str, Any] = field(default_factory=dict)
    touched: bool = False

    @property
    def home(self) -> Path:
        """The directory that ``-i`` names."""
        return CACHE / "lab" / f"{self.name}-inventory"

    # --- the inventory -----------------------------------------------------------------------------------------------

    def remove(self) -> None:
        """Remove the lab and the working copy of the inventory."""
        self.restore_inventory()
        self.playbook("playbooks/lab-down.yml").must_succeed()
        shutil.rmtree(self.home)

    def restore_inventory(self) -> None:
        """Make the working copy what it is declared to be, as ``git checkout`` does. The allocations stay."""
        kept = {path.name: path.read_bytes() for path in (self.home / "group_vars/all").glob("allocations.yml*")}
        shutil.rmtree(self.home, ignore_errors=True)
        shutil.copytree(DECLARED, self.home)
        for name in LAB_VARIABLES:
            shutil.copyfile(TOP / "inventory/lab" / name, self.home / name)
        for name, content in kept.items():
            (self.home / "group_vars/all" / name).write_bytes(content)

    def edit(self, file: str, old: str, new: str) -> None:
        """Replace a text of a file of the inventory."""
        path = self.home / file
        text = path.read_text()
        assert old in text, f"{file} has no {old!r}"
        path.write_text(text.replace(old, new))

    def declare(self, file: str, change: Callable[[Any], None]) -> None:
        """Change the data of a file of the inventory."""
        path = self.home / file
        data = yaml.safe_load(path.read_text())
        change(data)
        path.write_text(yaml.safe_dump(data, sort_keys=False))

    def guests(self, change: Callable[[dict[str, Any]], None]) -> None:
        """Change the groups of guests in instances.yml."""
        self.declare("instances.yml", lambda data: change(data["all"]["children"]))

    @property
    def allocations(self) -> Path:
        """The allocations file."""
        return self.home / ALLOCATIONS

    def read_allocations(self) -> dict[str, Any]:
        """What the allocations assign, without what changes with every run."""
        data: dict[str, Any] = json.loads(self.allocations.read_text())["cloud_allocations"]
        for instance in data["instances"].values():
            instance.pop("built", None)  # the run after the one that makes a guest notes that it is there
        return {key: data.get(key) for key in ("networks", "routers", "instances", "vlans", "lineage")}

    # --- runs --------------------------------------------------------------------------------------------------------

    def site(self, *options: str, sources: Sequence[Path] = ()) -> Run:
        """Run site.yml, with the working copy as inventory unless ``sources`` are given."""
        self.touched = True
        return run_playbook("site.yml", sources or [self.home], *options)

    def start_site(self, *options: str) -> Running:
        """Start site.yml in the background."""
        self.touched = True
        return start_playbook("site.yml", [self.home], *options)

    def playbook(self, path: str, *options: str) -> Run:
        """Run another playbook."""
        self.touched = True
        return run_playbook(path, [self.home], *options)

    # --- what the nodes hold -----------------------------------------------------------------------------------------

    def observe(self, *arguments: str, nodes: Sequence[str] = NODES) -> Observed:
        """node → its disks and domains, by name of guest. Guests that a test adds are left out."""
        scripts = {node: self.start_script(node, OBSERVE, *arguments) for node in nodes}
        seen = {node: json.loads(script.result()) for node, script in scripts.items()}
        for node in seen.values():
            self.ids.update({domain["title"]: uuid for uuid, domain in node["domains"].items()})
        names = {self.ids[name]: name for name in EVERY if name in self.ids}
        return {
            node: {kind: {names[uuid]: item for uuid, item in found[kind].items() if uuid in names} for kind in found}
            for node, found in seen.items()
        }

    def directory(self, guest: str) -> str:
        """The directory of a guest on its node."""
        return f"{INSTANCES}/{self.ids[guest]}"

    def on(self, node: str, command: str) -> str:
        """Run a shell command on a node; it must succeed. Return its output."""
        self.touched = True
        done = self.node(node).run(command)
        assert done.rc == 0, f"{node}: {command}: {done.stderr}"
        return str(done.stdout)

    def put(self, node: str, path: str, text: str) -> None:
        """Write a file of a node."""
        command = [*self.ssh(node), f"umask 077; cat > {path}"]
        subprocess.run(command, input=text, text=True, check=True, timeout=60)

    def power_cut(self, node: str) -> None:
        """Cut the power of a node and boot it; wait until its restore has ended."""
        self.playbook("playbooks/lab-restart.yml", "-e", f"node={node}").must_succeed()
        state = "systemctl show -p ActiveState --value headworks-restore.service"
        host = self.node(node)
        eventually(
            lambda: host.run(state).stdout.strip() in ("active", "failed"), f"the restore of {node} has ended", 120
        )

    # --- expectations ------------------------------------------------------------------------------------------------

    def remember(self) -> None:
        """Remember the guests and their allocations as they are now."""
        self.before, self.allocated = self.observe(), self.read_allocations()

    def nothing_is_lost(self, *, moved: Sequence[str] = ()) -> Observed:
        """Check that every guest has its disk with its marker; those in ``moved`` among the removed ones."""
        seen = self.observe()
        for node, names in GUESTS.items():
            for name in names:
                disk, was = seen[node]["disks"].get(name), self.before[node]["disks"][name]
                assert disk, f"{name}: {node} has no directory of it"
                assert disk["marker"] == "kept", f"{name}: {disk}"
                assert disk["inode"] == was["inode"], f"{name}: has another disk"
                assert disk["place"] == ("removed" if name in moved else "instances"), f"{name}: {disk}"
        return seen

    def is_as_before(self) -> None:
        """Check that every guest is what it was: disk, marker, name, MACs, state; and the allocations."""
        assert self.nothing_is_lost() == self.before
        assert self.read_allocations() == self.allocated

    def refused(self, *says: str, options: Sequence[str] = (), sources: Sequence[Path] = ()) -> Run:
        """Run site.yml: it must fail before it changes anything, and its message must say all of ``says``."""
        allocations = self.allocations.read_bytes() if self.allocations.exists() else None
        touched = self.touched
        run = self.site(*options, sources=sources)
        text = said(run)
        assert run.rc != 0, f"the run was not refused:\n{run.output[-4000:]}"
        for phrase in says:
            assert phrase in text, f"the message lacks {phrase!r}:\n{run.output[-4000:]}"
        assert run.changed_tasks() == []
        assert (self.allocations.read_bytes() if self.allocations.exists() else None) == allocations
        self.nothing_is_lost()
        self.touched = touched
        return run

    def comes_back(self, *options: str) -> Run:
        """Run site.yml with the inventory as declared; all must then be as before."""
        self.restore_inventory()
        run = self.site(*options).must_succeed()
        self.is_as_before()
        return run

    def needs_no_run(self) -> None:
        """Check that a run with the inventory as declared would change nothing."""
        self.restore_inventory()
        run, self.touched = self.site("-e", "cloud_plan_only=true"), False
        assert run.rc == 0, f"a run would change something:\n{run.output[-4000:]}"


def said(run: Run) -> str:
    """All that a run said to a person, in one line."""
    texts = [run.output, *(str(result.get("msg") or "") for result in run.results)]
    texts += [str(note) for result in run.results for note in result.get("notes") or ()]
    return re.sub(r"\s+", " ", " ".join(texts))


def prepare_inventory(lab: SafetyLab) -> None:
    """A first working copy of the inventory, and a copy of the image that stays as long as the lab."""
    lab.state.mkdir(parents=True, exist_ok=True)
    lab.restore_inventory()
    shutil.copyfile(CACHE / "nano.qcow2", lab.state / "nano.qcow2")
