"""A repair restores some sections of the kept document and leaves everything else alone, also the document."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from distributions import DEBIAN
from headworks.engine import boot, doors, repair
from headworks.engine.converge import Result
from headworks.engine.order import ORDER
from headworks.state.codec import encode
from headworks.state.document import SECTIONS

DOCUMENT = {
    "version": 2,  # of an older engine, without the newer names of the distribution
    "cloud": "lab",
    "node": "network1",
    "lineage": "a",
    "serial": 3,
    "removals": ["a guest"],
    "distribution": {
        name: value
        for name, value in encode(DEBIAN).items()
        if name not in ("ovsdb_service", "vswitchd_service", "libvirt_guests_service")
    },
    "sections": {name: [] for name in SECTIONS},
}


@pytest.fixture
def walks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """The arguments of the walks that were started."""
    calls: list[dict[str, Any]] = []

    def converge(steps: Any, **more: Any) -> Result:
        calls.append({"kinds": [subsystem.kind for subsystem, _ in steps], **more})
        return Result()

    monkeypatch.setattr(doors, "KEPT_DOCUMENT", tmp_path / "node-state.json")
    monkeypatch.setattr(doors, "LOCK_FILE", tmp_path / "converge.lock")
    monkeypatch.setattr(repair, "converge", converge)
    return calls


def test_a_repair_has_only_its_sections_in_play_and_changes_no_file(
    walks: list[dict[str, Any]], tmp_path: Path
) -> None:
    doors.KEPT_DOCUMENT.write_text(json.dumps(DOCUMENT))
    before = doors.KEPT_DOCUMENT.read_text()
    for part in ("switch", "filters"):
        repair.repair(repair.PARTS[part])
    assert walks == [
        {"kinds": ["ovs_bridge", "ovs_port", "flow", "nic"], "restore": True, "remove": False},
        {"kinds": ["nic", "nft"], "restore": True, "remove": False},
    ]
    assert doors.KEPT_DOCUMENT.read_text() == before
    assert {path.name for path in tmp_path.iterdir()} == {"node-state.json", "converge.lock"}


def test_without_a_document_nothing_is_repaired(walks: list[dict[str, Any]]) -> None:
    kept, result = repair.repair(repair.PARTS["switch"])
    assert (kept.data, result.changed, walks) == (None, False, [])


def test_the_sections_of_parts_and_networks_exist() -> None:
    known = {name for name, _ in ORDER}
    assert {*repair.NETWORK, *(name for part in repair.PARTS.values() for name in part)} <= known
    assert known - repair.NETWORK == {"boot", "images", "retention", "disks", "domains"}


@pytest.mark.parametrize(
    ("part", "needless"), [("switch", ("compute", "services", "nft", "l3")), ("filters", ("compute", "services", "l3"))]
)
def test_a_repair_imports_only_what_it_needs(part: str, needless: tuple[str, ...], tmp_path: Path) -> None:
    archive = tmp_path / "engine.zip"
    archive.write_bytes(boot.build_archive(boot.package_sources()))
    code = (
        f"import sys; sys.path.insert(0, {str(archive)!r})\n"
        "from headworks.engine import command_line, order, repair\n"
        f"sections = repair.PARTS[{part!r}]\n"
        f"order.pipeline({ {**DOCUMENT, 'removals': []} !r}, sections)\n"
        "print('\\n'.join(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-IS", "-c", code], capture_output=True, text=True, check=True)
    loaded = done.stdout.split()
    assert "headworks.engine.repair" in loaded
    for area in needless:
        assert [name for name in loaded if name.startswith(f"headworks.node.{area}")] == []
