"""Facts: parsing of what the system says."""

from __future__ import annotations

from pathlib import Path

from headworks.node.host import facts


def test_distribution_is_id_and_version(tmp_path: Path) -> None:
    (tmp_path / "os-release").write_text('PRETTY_NAME="Debian"\nID=debian\nVERSION_ID="12"\n')
    assert facts.distribution(tmp_path / "os-release") == "debian-12"


def test_memory_is_in_mebibytes(tmp_path: Path) -> None:
    (tmp_path / "meminfo").write_text("MemTotal:       24576000 kB\nMemFree: 1 kB\n")
    assert facts.ram_mb(tmp_path / "meminfo") == 24000


def test_a_device_that_is_not_kvm_does_not_count() -> None:
    assert facts.kvm_usable("/dev/null") is False
    assert facts.kvm_usable("/dev/does-not-exist") is False


def test_a_nic_in_our_bridge_is_reported_with_its_addresses(monkeypatch) -> None:
    links = """[
      {"ifname": "lo", "link_type": "loopback", "mtu": 65536, "addr_info": []},
      {"ifname": "eth1", "link_type": "ether", "address": "02:00:00:00:00:01", "mtu": 1500, "addr_info": []},
      {"ifname": "tapx", "link_type": "ether", "group": "26743", "mtu": 1450, "addr_info": []},
      {"ifname": "br-phy", "link_type": "ether", "mtu": 1500, "linkinfo": {"info_kind": "tun"},
       "addr_info": [{"local": "10.92.0.21", "prefixlen": 24, "scope": "global"},
                     {"local": "fe80::1", "prefixlen": 64, "scope": "link"}]}]"""
    rows = {
        "Port": '{"data": [[["uuid", "p1"], ["map", [["headworks-nic", "eth1"]]]], [["uuid", "p2"], ["map", []]]]}',
        "Bridge": '{"data": [["br-phy", ["set", [["uuid", "p1"], ["uuid", "p2"]]]]]}',
    }
    monkeypatch.setattr(facts, "run", lambda args, **_: links if args[0] == "ip" else rows[args[-1]])
    monkeypatch.setattr(facts, "has_tool", lambda _: True)
    monkeypatch.setattr(facts.Path, "exists", lambda _: True)
    assert facts.nics() == {
        "eth1": {"mac": "02:00:00:00:00:01", "mtu": 1500, "bridge": "br-phy", "addresses": ["10.92.0.21/24"]}
    }
