"""A NIC gets its own addresses when ovs-vswitchd does not come back, although systemd starts it without a limit."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from headworks.node.underlay.config import release
from headworks.system import systemd
from shell import sh
from test_underlay import wait_for

DAEMON = """\
[Unit]
StartLimitIntervalSec=0
[Service]
Type=forking
ExecStart=/bin/sh -c 'test -e {works} && sleep 1000 &'
ExecStartPost=/usr/bin/test -e {works}
Restart=on-failure
"""


@pytest.fixture
def daemon(unique: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """A unit in the place of ovs-vswitchd that runs as long as the file ``works`` exists, and the units of a NIC."""
    monkeypatch.setattr(release, "WAIT_SECONDS", 2)
    unit = f"{unique}.service"
    (systemd.UNIT_DIR / unit).write_text(DAEMON.format(works=tmp_path / "works"))
    (tmp_path / "works").touch()
    commands = [["/usr/bin/touch", str(tmp_path / name)] for name in ("released", "taken")]
    release.write(unique, commands[:1], commands[1:], f"br{unique}", unit)
    sh("systemctl", "start", unit)
    yield unit
    release.delete(unique, unit)
    sh("systemctl", "stop", unit)
    (systemd.UNIT_DIR / unit).unlink()
    (systemd.UNIT_DIR / f"{unit}.d").rmdir()
    sh("systemctl", "daemon-reload")


@pytest.mark.parametrize("fault", ["kill --signal=KILL", "stop"])
def test_a_nic_is_released_some_time_after_its_switch_went_away_and_taken_when_it_is_back(
    daemon: str, tmp_path: Path, fault: str
) -> None:
    wait_for((tmp_path / "taken").exists)
    (tmp_path / "taken").unlink()
    (tmp_path / "works").unlink()
    sh("systemctl", *fault.split(), daemon)
    assert not (tmp_path / "released").exists()
    wait_for((tmp_path / "released").exists)
    (tmp_path / "works").touch()
    sh("systemctl", "start", daemon)
    wait_for((tmp_path / "taken").exists)
