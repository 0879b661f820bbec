"""systemd-tmpfiles and what is left of removed guests: it deletes by the time of the removal, and not what is
locked."""

from __future__ import annotations

import fcntl
import os
import subprocess
import time
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest
from headworks.node.compute import removed
from headworks.node.compute.rule import rule_text


@pytest.fixture
def top() -> Iterator[Path]:
    """A directory that is not below /tmp and /var/tmp, where systemd-tmpfiles has rules of its own."""
    path = Path("/var/lib") / f"functional-{uuid.uuid4().hex[:8]}"
    (path / "instances").mkdir(parents=True)
    yield path
    subprocess.run(["rm", "-rf", str(path)], check=True)


def guest(top: Path, name: str) -> Path:
    home = top / "instances" / name
    home.mkdir()
    for file in ("disk", "headworks.json", "console.log"):
        (home / file).write_text(name)
        os.utime(home / file, (0, 0))
    return home


def clean(top: Path, age: str) -> None:
    """Run systemd-tmpfiles with our rule and another age."""
    rule = top / "headworks.conf"
    rule.write_text(rule_text(7, top / "removed").replace("cB:7d", f"cB:{age}"))
    subprocess.run(["systemd-tmpfiles", "--clean", str(rule)], check=True)


def test_the_age_of_a_removed_guest_begins_with_its_removal(top: Path) -> None:
    old, control = guest(top, "old"), guest(top, "control")
    time.sleep(3)
    kept = removed.set_aside(old, top / "removed", {"name": "old"})
    os.rename(control, top / "removed" / "control.1")  # a rename alone: the status of the files is old
    clean(top, "2s")
    assert sorted(os.listdir(kept)) == ["console.log", "disk", "headworks.json", "removed.json"]
    assert list((top / "removed").glob("control.1/*")) == [], "the rule deletes nothing at all"
    assert not (top / "removed" / "control.1").exists()
    clean(top, "7d")
    assert kept.exists()
    time.sleep(3)
    clean(top, "2s")
    assert not kept.exists()


def test_with_0_days_the_next_run_deletes(top: Path) -> None:
    kept = removed.set_aside(guest(top, "old"), top / "removed", {"name": "old"})
    clean(top, "0d")
    assert not kept.exists()


def test_a_directory_that_comes_back_is_not_deleted_meanwhile(top: Path) -> None:
    kept = removed.set_aside(guest(top, "old"), top / "removed", {"name": "old"})
    descriptor = os.open(kept, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        clean(top, "0d")
        assert sorted(os.listdir(kept)) == ["console.log", "disk", "headworks.json", "removed.json"]
    finally:
        os.close(descriptor)
    clean(top, "0d")
    assert not kept.exists()
