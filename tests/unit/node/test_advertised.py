"""Router advertisements: the bridge accepts them as its NIC did, and makes the same addresses."""

from __future__ import annotations

from pathlib import Path

import pytest
from headworks.node.underlay import advertised

ADDRESSES = """[{"addr_info": [
  {"local": "2001:db8::1:2:3:4", "prefixlen": 64, "scope": "global", "dynamic": true, "temporary": true},
  {"local": "2001:db8::5:6:7:8", "prefixlen": 64, "scope": "global", "dynamic": true},
  {"local": "fe80::1", "prefixlen": 64, "scope": "link"}]}]"""


@pytest.fixture
def conf(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Simulate the settings of NIC eth0, which makes private addresses, and of br-ex."""
    monkeypatch.setattr(advertised, "CONF", tmp_path)
    settings = {"accept_ra": "2", "forwarding": "1", "addr_gen_mode": "3", "router_solicitations": "-1"}
    for device in ("eth0", "br-ex"):
        (tmp_path / device).mkdir()
        for name, value in settings.items():
            (tmp_path / device / name).write_text(f"{value if device == 'eth0' else '0'}\n")
    monkeypatch.setattr(advertised, "run", lambda args, ok=(): "[]" if "token" in args else ADDRESSES)
    return tmp_path


def test_the_bridge_gets_the_settings_of_its_nic(conf: Path) -> None:
    (conf / "eth0/disable_ipv6").write_text("1\n")
    (conf / "br-ex/disable_ipv6").write_text("0\n")
    advertised.copy_settings("eth0", "br-ex")
    read = {path.name: path.read_text().strip() for path in (conf / "br-ex").iterdir()}
    assert read == {
        "accept_ra": "2", "forwarding": "1", "addr_gen_mode": "3", "router_solicitations": "-1",
        "disable_ipv6": "0",  # the kernel would delete the bridge's addresses
    }  # fmt: skip


def test_settings_that_one_of_the_devices_lacks_are_left_out(conf: Path) -> None:
    advertised.copy_settings("eth0", "br-none")
    advertised.copy_settings("none", "br-ex")
    assert (conf / "br-ex/accept_ra").read_text() == "0\n"


def test_a_private_identifier_becomes_the_token_of_the_bridge(conf: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert advertised.read_token("eth0") == "::5:6:7:8"
    (conf / "eth0/addr_gen_mode").write_text("0\n")
    assert advertised.read_token("eth0") == ""
    monkeypatch.setattr(advertised, "run", lambda args, ok=(): '[{"token": "::9", "ifname": "eth0"}]')
    assert advertised.read_token("eth0") == "::9"


@pytest.mark.parametrize(("name", "value"), [("accept_ra", "1"), ("accept_ra", "0"), ("router_solicitations", "0")])
def test_a_device_that_ignores_advertisements_has_no_token(conf: Path, name: str, value: str) -> None:
    (conf / "eth0" / name).write_text(f"{value}\n")
    assert advertised.read_token("eth0") == ""
