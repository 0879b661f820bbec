"""The lab's traces on the machine: rules in use, clashes of subnets, and the settings to restore."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from headworks_lab import host

IDLE = {
    "filter": ["-P FORWARD ACCEPT", "-N NETAVARK_FORWARD", "-A FORWARD -j NETAVARK_FORWARD"],
    "nat": ["-N NETAVARK-HOSTPORT-DNAT", "-A PREROUTING -m addrtype --dst-type LOCAL -j NETAVARK-HOSTPORT-DNAT"],
}


@pytest.mark.parametrize(
    ("table", "rule", "busy"),
    [
        ("filter", "", False),
        ("filter", "-A NETAVARK_FORWARD -s 10.88.0.0/16 -j ACCEPT", True),
        ("nat", "-N NETAVARK-1D8721804F16F", True),
        ("nat", "-A NETAVARK-HOSTPORT-DNAT -p tcp --dport 80 -j NETAVARK-DN-1D87", True),
    ],
)
def test_netavark_is_in_use_if_any_container_network_has_rules(
    monkeypatch: pytest.MonkeyPatch, table: str, rule: str, busy: bool
) -> None:
    monkeypatch.setattr(host, "_rules", lambda name: IDLE[name] + ([rule] if rule and name == table else []))
    assert host.netavark_in_use() is busy


def test_a_subnet_that_overlaps_a_route_or_a_name_server_is_a_clash(monkeypatch: pytest.MonkeyPatch) -> None:
    routes = [
        {"dst": "default", "dev": "eth0"},
        {"dst": "10.91.0.0/16", "dev": "tun0"},
        {"dst": "10.92.0.0/24", "dev": "hw-lab-tun"},
    ]
    monkeypatch.setattr(host, "run", lambda *args, **_: json.dumps(routes))
    monkeypatch.setattr(host, "nameservers", lambda: ["10.93.0.53"])
    messages = host.clashes(["10.91.0.0/24", "10.92.0.0/24", "10.93.0.0/24", "10.94.0.0/24"], ["hw-lab-tun"])
    assert messages == [
        "subnet 10.91.0.0/24 overlaps 10.91.0.0/16, a route of this machine by tun0",
        "subnet 10.93.0.0/24 overlaps 10.93.0.53, a name server of this machine",
    ]


def test_remember_keeps_the_settings_of_the_first_call(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    forwarding = tmp_path / "ip_forward"
    monkeypatch.setattr(host, "FORWARDING", forwarding)
    monkeypatch.setattr(host, "packet_filter_tables", list)
    forwarding.write_text("0\n")
    host.remember(tmp_path / "before")
    forwarding.write_text("1\n")
    host.remember(tmp_path / "before")
    assert json.loads((tmp_path / "before").read_text())["ip_forward"] == "0"


def test_restore_changes_nothing_while_a_container_network_is_in_use(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    before = tmp_path / "before"
    before.write_text('{"ip_forward": "0", "tables": []}')
    monkeypatch.setattr(host, "FORWARDING", tmp_path / "ip_forward")
    monkeypatch.setattr(shutil, "which", lambda name: f"/usr/sbin/{name}")
    monkeypatch.setattr(host, "netavark_in_use", lambda: True)
    assert host.restore(before) is False
    assert before.exists()
    assert not (tmp_path / "ip_forward").exists()
