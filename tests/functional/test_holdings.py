"""What a node holds, with real libvirt and namespaces, as the module node_facts returns it."""

from __future__ import annotations

import shutil
import subprocess
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest
from headworks.engine.converge import converge
from headworks.engine.holdings import holdings
from headworks.engine.order import pipeline
from headworks.node.compute.removed import REMOVED_DIR
from headworks.node.marks import MARKER_DIR
from modules import run_module
from small_cloud import CLOUD, empty_state, state_of_here


@pytest.fixture
def guests() -> Iterator[list[str]]:
    """The small cloud; the uuids of its guests on this node."""
    state = state_of_here()
    converge(pipeline(state))
    yield [disk["name"] for disk in state["sections"]["disks"]]
    converge(pipeline(empty_state()))
    for path in REMOVED_DIR.iterdir():
        shutil.rmtree(path)
    converge(pipeline(empty_state()))


def test_a_node_tells_its_guests_routers_and_networks(guests: list[str]) -> None:
    held = run_module("node_facts")["facts"]["holdings"]
    ours = {uuid: entry for uuid, entry in held["instances"].items() if entry["cloud"] == CLOUD}
    assert set(ours) == set(guests)
    assert {(entry["name"], entry["domain"], entry["state"]) for entry in ours.values()} == {
        ("vm1", "instance-00000001", "stopped"),
        ("vm3", "instance-00000003", "stopped"),
    }
    assert all(entry["disk_bytes"] > 0 for entry in ours.values())
    names = {path.name for path in MARKER_DIR.iterdir()}
    assert {f"qrouter-{router}" for router in held["routers"]} == {name for name in names if "qrouter" in name}
    assert {f"qdhcp-{network}" for network in held["networks"]} == {name for name in names if "qdhcp" in name}
    assert held["damaged"] == []


def test_a_removed_guest_is_told_and_a_guest_without_a_directory_too(guests: list[str], tmp_path: Path) -> None:
    converge(pipeline(state_of_here(with_internal2=False)))
    held = holdings()
    assert sorted(entry["state"] for entry in held["instances"].values()) == ["removed", "stopped"]
    assert held["removed_bytes"] > 0
    lost = holdings(instances_dir=tmp_path)
    stopped = {name: entry for name, entry in lost["instances"].items() if entry["state"] == "stopped"}
    assert [(entry["name"], entry["cloud"], entry["disk_bytes"]) for entry in stopped.values()] == [("vm1", CLOUD, 0)]


def test_a_running_a_paused_and_a_foreign_domain(tmp_path: Path) -> None:
    names = {state: str(uuid.uuid4()) for state in ("running", "paused", "foreign")}
    for state, name in names.items():
        mark = "<x:instance xmlns:x='https://headworks.invalid/xmlns/instance/1' cloud='lab' protected='true'/>"
        xml = tmp_path / f"{name}.xml"
        xml.write_text(
            f"<domain type='qemu'><name>hold-{name[:8]}</name><title>t-{state}</title><uuid>{name}</uuid>"
            f"<metadata>{mark if state != 'foreign' else ''}</metadata>"
            "<memory unit='MiB'>32</memory><os><type>hvm</type></os></domain>"
        )
        subprocess.run(["virsh", "define", str(xml)], check=True)
    try:
        subprocess.run(["virsh", "start", names["running"]], check=True)
        subprocess.run(["virsh", "start", "--paused", names["paused"]], check=True)
        held = holdings()["instances"]
        assert {(held[names[state]]["state"], held[names[state]]["name"]) for state in ("running", "paused")} == {
            ("running", "t-running"), ("paused", "t-paused"),
        }  # fmt: skip
        assert held[names["running"]]["protected"] is True
        assert names["foreign"] not in held
    finally:
        for name in names.values():
            subprocess.run(["virsh", "destroy", name], check=False)
            subprocess.run(["virsh", "undefine", name], check=True)
