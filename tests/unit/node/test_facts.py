"""Facts of a node: parsing of the files, of ``ip`` and of OVSDB."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from headworks.node.host import facts


def test_the_distribution_is_id_and_version(tmp_path: Path) -> None:
    (tmp_path / "os-release").write_text('PRETTY_NAME="Debian"\nID=debian\nVERSION_ID="12"\n')
    assert facts.distribution(tmp_path / "os-release") == "debian-12"


def test_the_memory_is_in_mebibytes(tmp_path: Path) -> None:
    (tmp_path / "meminfo").write_text("MemTotal:       24576000 kB\nMemFree: 1 kB\n")
    assert facts.ram_mb(tmp_path / "meminfo") == 24000


def test_kvm_is_not_usable_without_a_kvm_device() -> None:
    assert facts.kvm_usable("/dev/null") is False
    assert facts.kvm_usable("/dev/does-not-exist") is False


LINKS = """[
      {"ifname": "lo", "link_type": "loopback", "mtu": 65536, "addr_info": []},
      {"ifname": "eth1", "link_type": "ether", "address": "02:00:00:00:00:01", "mtu": 1500, "addr_info": []},
      {"ifname": "tapx", "link_type": "ether", "group": "26743", "mtu": 1450, "addr_info": []},
      {"ifname": "br-phy", "link_type": "ether", "mtu": 1500, "linkinfo": {"info_kind": "tun"},
       "addr_info": [{"local": "10.92.0.21", "prefixlen": 24, "scope": "global"},
                     {"local": "fe80::1", "prefixlen": 64, "scope": "link"}]}]"""

BRIDGES = [{"name": "br-phy", "ports": ["set", [["uuid", "p1"], ["uuid", "p2"]]]}]
PORTS = [
    {"_uuid": ["uuid", "p1"], "external_ids": ["map", [["headworks-nic", "eth1"]]]},
    {"_uuid": ["uuid", "p2"], "external_ids": ["map", []]},
]


@pytest.fixture
def database(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[socket.socket]:
    """A listening socket instead of ovsdb-server. ``ip`` prints ``LINKS``."""
    monkeypatch.setattr(facts, "run", lambda args: LINKS if args[0] == "ip" else pytest.fail(f"a process: {args}"))
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(tmp_path / "db.sock"))
        listener.listen(1)
        yield listener


def endpoint_of(listener: socket.socket) -> str:
    return f"unix:{listener.getsockname()}"


def eth1(bridge: str, *addresses: str) -> dict[str, Any]:
    link = {"mac": "02:00:00:00:00:01", "permanent_mac": "02:00:00:00:00:01", "mtu": 1500, "kind": "", "lower": ""}
    return {**link, "master": "", "bridge": bridge, "manager": "", "addresses": list(addresses)}


@pytest.mark.parametrize("ports", [BRIDGES[0]["ports"], ["uuid", "p1"]], ids=["two ports", "one port without a set"])
def test_a_nic_in_our_bridge_is_reported_with_the_bridges_addresses(database: socket.socket, ports: Any) -> None:
    rows = {"Bridge": [{**BRIDGES[0], "ports": ports}], "Port": PORTS}

    def answer() -> None:
        connection, _ = database.accept()
        with connection:
            request = json.loads(connection.recv(1 << 16))
            result = [{"rows": rows[operation["table"]]} for operation in request["params"][1:]]
            connection.sendall(json.dumps({"id": request["id"], "result": result, "error": None}).encode())

    server = threading.Thread(target=answer, daemon=True)
    server.start()
    assert facts.nics(endpoint_of(database)) == {"eth1": eth1("br-phy", "10.92.0.21/24")}
    server.join(5)


def test_a_nic_has_no_bridge_if_the_database_does_not_answer(
    database: socket.socket, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(facts, "DATABASE_SECONDS", 0.05)
    assert facts.nics(endpoint_of(database))["eth1"] == eth1("")


def test_a_nic_has_no_bridge_if_the_database_refuses_the_connection(database: socket.socket) -> None:
    endpoint = endpoint_of(database)
    database.close()
    assert facts.nics(endpoint)["eth1"] == eth1("")


@pytest.mark.usefixtures("database")
def test_a_nic_has_no_bridge_without_a_database(tmp_path: Path) -> None:
    assert facts.nics(f"unix:{tmp_path}/none")["eth1"] == eth1("")


@pytest.mark.parametrize(
    ("link", "expected"),
    [
        (
            {"master": "bond0", "permaddr": "02:00:00:00:00:07", "linkinfo": {"info_slave_kind": "bond"}},
            {"master": "bond0", "permanent_mac": "02:00:00:00:00:07"},
        ),
        ({"master": "ovs-system", "linkinfo": {"info_slave_kind": "openvswitch"}}, {}),
        (
            {"master": "br0", "linkinfo": {"info_kind": "veth", "info_slave_kind": "bridge"}},
            {"kind": "veth", "master": "br0"},
        ),
        ({"link": "eth0", "linkinfo": {"info_kind": "vlan"}}, {"kind": "vlan", "lower": "eth0"}),
        ({"link": "if7", "linkinfo": {"info_kind": "veth"}}, {"kind": "veth"}),
        ({"linkinfo": {"info_kind": "bond"}}, {"kind": "bond"}),
    ],
)
def test_kind_master_and_parent_of_a_nic_are_reported(
    link: dict[str, Any], expected: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    shown = {"ifname": "x1", "link_type": "ether", "address": "02:00:00:00:00:01", "mtu": 1500, "addr_info": [], **link}
    monkeypatch.setattr(facts, "run", lambda args: json.dumps([shown]))
    monkeypatch.setattr(facts, "manager_of", lambda device: "networkd")
    found = facts.nics("unix:/nonesuch")["x1"]
    assert found == {**eth1(""), "manager": "networkd", **expected}
