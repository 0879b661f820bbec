"""The archive of the engine that the boot unit runs: it is complete, and the same code gives the same bytes."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

from distributions import DEBIAN
from headworks.engine.boot import build_archive, package_sources, unit_text


def test_the_same_sources_in_another_order_give_the_same_archive() -> None:
    assert build_archive(package_sources()) == build_archive(dict(reversed(list(package_sources().items()))))


def test_the_archive_needs_only_python_to_run(tmp_path: Path) -> None:
    archive = tmp_path / "engine.zip"
    archive.write_bytes(build_archive(package_sources()))
    done = subprocess.run([sys.executable, "-I", str(archive)], capture_output=True, text=True, check=False)
    assert done.returncode == 2, done.stderr
    assert "restore" in done.stderr


def test_the_archive_contains_only_the_packages_of_the_node_side() -> None:
    assert {path.split("/")[0] for path in package_sources()} == {"state", "engine", "node", "system", "__init__.py"}


MOUNTS = "var-lib-headworks-instances.mount var-lib-headworks-removed.mount"
UNIT_OF_DEBIAN = f"""\
# headworks: brings this node back to its declared state after a power cycle, without Ansible.
[Unit]
Description=headworks: restore the node's networks, then its guests
RequiresMountsFor=/var/lib/headworks
Wants=openvswitch-switch.service libvirtd.service network-online.target {MOUNTS}
After=openvswitch-switch.service libvirtd.service network-online.target nftables.service {MOUNTS}

[Service]
Type=oneshot
RemainAfterExit=yes
ExecStart=/usr/bin/python3 /usr/lib/headworks/engine.zip restore
TimeoutStartSec=600

[Install]
WantedBy=multi-user.target
"""


def test_the_unit_waits_for_the_services_of_the_distribution() -> None:
    assert unit_text(DEBIAN) == UNIT_OF_DEBIAN
    other = unit_text(replace(DEBIAN, openvswitch_service="openvswitch.service"))
    assert other == UNIT_OF_DEBIAN.replace("openvswitch-switch.service", "openvswitch.service")
