"""What is kept of a removed guest in its directory: NVRAM and saved memory, and what is told if it cannot be kept."""

from __future__ import annotations

from pathlib import Path

import pytest
from headworks.node.compute import kept
from headworks.node.compute.domain_xml import build
from headworks.state.domains import Domain, DomainDisk

NAME = "6f1f5a3e-58f1-5d42-a2a1-55f4f4f1a001"


class Handle:
    """A domain that does not run, with the XML ``text``."""

    def __init__(self, text: str, saved: bool = False, snapshots: tuple[str, ...] = ()) -> None:
        self.text, self.saved, self.snapshots = text, saved, snapshots

    def XMLDesc(self, flags: int = 0) -> str:
        return self.text

    def hasManagedSaveImage(self) -> bool:
        return self.saved

    def listAllSnapshots(self) -> list[Snapshot]:
        return [Snapshot(name) for name in self.snapshots]


class Snapshot:
    def __init__(self, name: str) -> None:
        self.name = name

    def getName(self) -> str:
        return self.name


@pytest.fixture
def guest(tmp_path: Path) -> Domain:
    """A guest whose directory and disk exist."""
    (tmp_path / "disk").write_text("data")
    return Domain(NAME, "instance-00000001", "vm1", 1, 64, (DomainDisk(str(tmp_path / "disk"), "vda"),))


def test_nvram_is_kept_and_put_back_where_the_definition_says_but_never_over_a_file(
    tmp_path: Path, guest: Domain
) -> None:
    place = tmp_path / "instance_VARS.fd"
    place.write_text("variables")
    text = build(guest).replace("</os>", f"<nvram>{place}</nvram></os>")
    assert kept.keep_files(tmp_path, Handle(text), guest) == []
    place.unlink()
    kept.restore_nvram(tmp_path, text)
    assert place.read_text() == "variables"
    place.write_text("newer")
    kept.restore_nvram(tmp_path, text)
    assert place.read_text() == "newer"


def test_the_memory_of_a_suspended_guest_is_kept_and_a_further_removal_does_not_delete_it(
    tmp_path: Path, guest: Domain, monkeypatch: pytest.MonkeyPatch
) -> None:
    saves = tmp_path / "save"
    saves.mkdir()
    monkeypatch.setattr(kept, "MANAGED_SAVES", saves)
    (saves / "instance-00000001.save").write_text("memory")
    assert kept.keep_files(tmp_path, Handle(build(guest), saved=True), guest) == []
    assert (tmp_path / kept.MEMORY).read_text() == "memory"
    assert kept.keep_files(tmp_path, Handle(build(guest)), guest) == []
    assert (tmp_path / kept.MEMORY).read_text() == "memory"


def test_what_cannot_be_kept_is_returned_for_people(
    tmp_path: Path, guest: Domain, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kept, "MANAGED_SAVES", tmp_path / "elsewhere")
    assert kept.keep_files(tmp_path, Handle(build(guest), True, ("a", "b")), guest) == [
        "its saved memory",
        "libvirt's records of its snapshots a, b (the data of internal ones stays)",
    ]


def test_a_guest_without_a_directory_is_not_removed(tmp_path: Path, guest: Domain) -> None:
    with pytest.raises(kept.KeptError, match="is missing, so its definition cannot be kept"):
        kept.refuse_missing_directory(tmp_path / "none", guest)
    kept.refuse_missing_directory(tmp_path, guest)


def test_a_guest_is_defined_from_its_kept_definition_only_if_that_is_its_own(tmp_path: Path, guest: Domain) -> None:
    assert kept.definition(tmp_path, guest) is None
    path = tmp_path / kept.DEFINITION
    path.write_text(build(guest).replace("<devices>", "<devices><watchdog model='i6300esb' />"))
    assert "watchdog" in (kept.definition(tmp_path, guest) or "")
    for content in ("", "<domain>", build(guest).replace(NAME, "another")):
        path.write_text(content)
        with pytest.raises(kept.KeptError, match="is not one of this guest"):
            kept.definition(tmp_path, guest)
