"""The texts of the units that run the engine on a node. The functional test test_restarts.py shows that they work."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import pytest
from distributions import ACCOUNTS, DEBIAN
from headworks.engine import doors, units
from headworks.engine.repair import PARTS
from headworks.engine.units import UNIT_DIR, unit_files
from headworks.node.compute.guest_states import SHUTDOWN_SECONDS
from headworks.node.services.dhcp.files import unit_text
from headworks.node.services.metadata import server
from headworks.node.services.metadata.proxy import MetadataProxySubsystem

MOUNTS = "var-lib-headworks-instances.mount var-lib-headworks-removed.mount"
RESTORE_OF_DEBIAN = f"""\
# headworks: brings this node back to its declared state after a power cycle, without Ansible.
[Unit]
Description=headworks: restore the node's networks, then its guests
RequiresMountsFor=/var/lib/headworks
Wants=openvswitch-switch.service libvirtd.service {MOUNTS}
After=openvswitch-switch.service ovs-vswitchd.service nftables.service {MOUNTS}
OnFailure=headworks-restore.timer
StartLimitIntervalSec=0

[Service]
Type=oneshot
RemainAfterExit=yes
ExecStart=/usr/bin/python3 /usr/lib/headworks/engine.zip restore
ExecStartPost=-/usr/bin/systemctl --no-block stop headworks-restore.timer
TimeoutStartSec=600

[Install]
WantedBy=multi-user.target
"""


def text(name: str) -> str:
    return unit_files(DEBIAN)[UNIT_DIR / name]


def values(name: str, key: str) -> list[str]:
    """Return the words of all lines ``key=`` of a unit."""
    return [word for line in re.findall(rf"^{key}=(.*)$", text(name), re.MULTILINE) for word in line.split()]


def test_the_restore_waits_for_the_switch_and_the_filters_but_not_for_libvirt_and_the_network() -> None:
    assert text("headworks-restore.service") == RESTORE_OF_DEBIAN


def test_the_names_of_units_are_those_of_the_distribution() -> None:
    renamed = {
        "openvswitch_service": "openvswitch.service",
        "ovsdb_service": "ovsdb.service",
        "vswitchd_service": "vswitchd.service",
        "libvirt_service": "virtqemud.service",
        "libvirt_guests_service": "guests.service",
        "nftables_service": "nft.service",
    }
    files = {
        str(path): text for path, text in unit_files(DEBIAN).items()
    }
    for key, name in renamed.items():
        files = {path.replace(getattr(DEBIAN, key), name): text.replace(getattr(DEBIAN, key), name)
                 for path, text in files.items()}
    files = {path: text.replace("libvirtd.socket", "virtqemud.socket") for path, text in files.items()}
    assert {str(path): text for path, text in unit_files(replace(DEBIAN, **renamed)).items()} == files


@pytest.mark.parametrize("part", PARTS)
def test_each_part_has_a_repair_that_is_tried_again_after_a_failure(part: str) -> None:
    name = f"headworks-repair-{part}"
    assert f"engine.zip repair {part}\n" in text(f"{name}.service")
    assert values(f"{name}.service", "OnFailure") == [f"{name}.timer"]
    assert f"stop {name}.timer\n" in text(f"{name}.service")
    assert values(f"{name}.timer", "Unit") == [f"{name}.service"]


@pytest.mark.parametrize("name", ["headworks-restore", "headworks-repair-switch", "headworks-repair-filters"])
def test_the_pauses_between_attempts_grow_and_end_within_an_hour(name: str) -> None:
    times = [int(word) for word in values(f"{name}.timer", "OnActiveSec")]
    pauses = [later - earlier for earlier, later in zip([0, *times], times, strict=False)]
    assert len(pauses) > 5
    assert pauses == sorted(pauses)
    assert times[-1] <= 3600


def test_nothing_waits_for_a_repair() -> None:
    """A repair waits for the lock of the node, and so for a run, which may wait for a service."""
    for path, lines in unit_files(DEBIAN).items():
        for line in lines.splitlines():
            if "systemctl" in line:
                assert re.match(r"Exec\w+=-/usr/bin/systemctl --no-block ", line), (path, line)
            if line.startswith(("After=", "Requires=", "Wants=")):
                assert "headworks-repair" not in line, (path, line)


def test_a_repair_runs_only_when_a_run_or_the_restore_at_boot_has_begun() -> None:
    for part in PARTS:
        assert values(f"headworks-repair-{part}.service", "ConditionPathExists") == [str(doors.LOCK_FILE)]


@pytest.mark.parametrize(
    ("service", "part", "hooks"),
    [
        ("ovs-vswitchd.service", "switch", ["ExecStartPost", "ExecReload"]),
        ("nftables.service", "filters", ["ExecStartPost", "ExecReload", "ExecStopPost"]),
    ],
)
def test_a_service_starts_the_repair_of_what_it_takes_away(service: str, part: str, hooks: list[str]) -> None:
    lines = text(f"{service}.d/headworks.conf").splitlines()
    assert [line.partition("=")[0] for line in lines if f"restart headworks-repair-{part}.service" in line] == hooks


@pytest.mark.parametrize(
    "service", ["openvswitch-switch.service", "ovs-vswitchd.service", "ovsdb-server.service", "libvirtd.service"]
)
def test_crashes_of_a_daemon_do_not_reach_a_limit(service: str) -> None:
    assert values(f"{service}.d/headworks.conf", "StartLimitIntervalSec") == ["0"]


def test_the_units_that_are_enabled_exist() -> None:
    for name in units.ENABLED:
        assert values(name, "WantedBy") == ["multi-user.target"]


def test_at_shutdown_the_guests_stop_before_all_that_they_need() -> None:
    """systemd stops units in the reverse order of their start."""
    after = values("headworks-guests.service", "After")
    assert {"libvirtd.service", "libvirtd.socket", "virt-guest-shutdown.target", "network.target"} <= set(after)
    assert {"openvswitch-switch.service", "ovs-vswitchd.service", "libvirt-guests.service"} <= set(after)
    dhcp = unit_text(Path("/run/headworks/dhcp"))
    proxy = MetadataProxySubsystem.of_node("lab", DEBIAN).unit_text()
    for unit in (dhcp, proxy, server.unit_text(Path("/run/headworks/metadata"), ACCOUNTS)):
        assert "\nBefore=headworks-guests.service\n" in unit


def test_guests_get_less_time_to_shut_down_than_systemd_waits() -> None:
    (wait,) = values("headworks-guests.service", "TimeoutStopSec")
    assert int(wait) > 2 * SHUTDOWN_SECONDS
