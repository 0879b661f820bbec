"""The system's own configuration of a NIC in a bridge: texts of .network files, hooks and units, and when which file is
written."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
from headworks.node.underlay import config
from headworks.node.underlay.carry import Address, Carried
from headworks.node.underlay.config import ifup, ifupdown, networkd, release
from headworks.node.underlay.config.network_text import Identity, bridge_text, nic_text, released_text, sections
from headworks.system import systemd

SOURCE = Path("/etc/systemd/network/20-lan.network")
TEXT = """\
# The uplink
[Match]
MACAddress=02:00:00:00:00:01

[Link]
MTUBytes=9000
RequiredForOnline=routable

[Network]
DHCP=ipv4
DNS=192.0.2.53
VLAN=eth0.100
LLDP=yes

[Route]
Destination=198.51.100.0/24
Gateway=192.0.2.9

[IPv6AcceptRA]
Token=prefixstable

[FairQueueing]
Parent=root
"""


def parts(text: str) -> list[tuple[str, tuple[str, ...]]]:
    return [(part.name, part.lines) for part in sections([text])]


def test_the_bridge_gets_the_sections_about_addresses() -> None:
    identity = Identity(iaid=7, leased=True, advertised=("2001:db8::5:6:7:8/64",))
    assert parts(bridge_text(SOURCE, "eth0", "br-ex", sections([TEXT]), identity)) == [
        ("Match", ("Name=br-ex",)),
        ("Network", ("ConfigureWithoutCarrier=yes", "KeepConfiguration=yes")),
        ("Link", ("RequiredForOnline=routable",)),
        ("Network", ("DHCP=ipv4", "DNS=192.0.2.53")),
        ("Route", ("Destination=198.51.100.0/24", "Gateway=192.0.2.9")),
        ("IPv6AcceptRA", ("Token=static:::5:6:7:8",)),
        ("DHCPv4", ("IAID=7",)),
        ("DHCPv6", ("IAID=7",)),
    ]


def test_the_nic_keeps_its_vlans_and_its_link_and_gets_no_addresses() -> None:
    assert parts(nic_text(SOURCE, "eth0", "br-ex", sections([TEXT]))) == [
        ("Match", ("Name=eth0",)),
        ("Link", ("MTUBytes=9000", "RequiredForOnline=no")),
        ("Network", ("LinkLocalAddressing=no", "IPv6AcceptRA=no", "DHCP=no", "VLAN=eth0.100", "LLDP=yes")),
        ("FairQueueing", ("Parent=root",)),
    ]


def test_a_released_nic_has_all_that_its_own_file_says() -> None:
    found = sections([TEXT])
    assert parts(released_text(SOURCE, "eth0", found))[0] == ("Match", ("Name=eth0",))
    assert parts(released_text(SOURCE, "eth0", found))[1:] == [(part.name, part.lines) for part in found[1:]]


def test_an_operator_s_own_identifier_and_settings_stay() -> None:
    text = "[Match]\nName=eth0\n[Network]\nAddress=192.0.2.5/24\nKeepConfiguration=no\n[DHCPv4]\nIAID=5\n"
    lines = bridge_text(SOURCE, "eth0", "br-ex", sections([text]), Identity(iaid=7)).splitlines()
    assert "IAID=7" not in lines
    assert lines.index("KeepConfiguration=yes") < lines.index("KeepConfiguration=no")


@pytest.fixture
def etc(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Simulate a node whose eth0 has a .network file with a drop-in. Commands that run are in ``commands``."""
    etc, run = tmp_path / "etc", tmp_path / "run"
    for directory in (etc, run):
        directory.mkdir()
    monkeypatch.setattr(networkd, "ETC", etc)
    monkeypatch.setattr(networkd, "RUN", run)
    monkeypatch.setattr(networkd, "_PLACES", (etc, run))
    source = run / "10-netplan-eth0.network"
    source.write_text("[Match]\nName=eth0\n[Network]\nDHCP=yes\n")
    (run / "10-netplan-eth0.network.d").mkdir()
    (run / "10-netplan-eth0.network.d/b.conf").write_text("[Network]\nDNS=192.0.2.1\n")
    (etc / "10-netplan-eth0.network.d").mkdir()
    (etc / "10-netplan-eth0.network.d/b.conf").write_text("[Network]\nDNS=192.0.2.2\n")
    (etc / "10-netplan-eth0.network.d/a.conf").write_text("[Network]\nNTP=192.0.2.3\n")
    monkeypatch.setattr(networkd, "networkd_file", lambda nic: str(source))
    monkeypatch.setattr(networkd, "networkd_lease", lambda nic: {"CLIENTID": "ffca53095a0002"} if nic == "eth0" else {})
    return etc


@pytest.fixture
def commands(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    commands: list[str] = []

    def run(args: list[str], **_: object) -> str:
        commands.append(" ".join(args))
        return ""

    for module in (networkd, release):
        monkeypatch.setattr(module, "run", run)
    return commands


def test_files_of_networkd_are_written_and_deleted(etc: Path, commands: list[str]) -> None:
    assert not networkd.is_written("eth0", "br-ex")
    networkd.write("eth0", "br-ex", Carried((Address("192.0.2.5/24"),)))
    assert networkd.is_written("eth0", "br-ex")
    assert parts((etc / "05-headworks-br-ex.network").read_text())[2:] == [
        ("Network", ("DHCP=yes",)),
        ("Network", ("NTP=192.0.2.3",)),
        ("Network", ("DNS=192.0.2.2",)),  # /etc wins over /run
        ("DHCPv4", (f"IAID={0xCA53095A}",)),
        ("DHCPv6", (f"IAID={0xCA53095A}",)),
    ]
    assert commands == ["ip neighbour flush dev eth0", "networkctl reload"]
    networkd.delete("eth0", "br-ex")
    assert [path.name for path in etc.iterdir()] == ["10-netplan-eth0.network.d"]
    assert networkd.delete("eth0", "br-ex") == []


@pytest.mark.usefixtures("commands")
@pytest.mark.parametrize("broken", ["05-headworks-br-ex.network", "05-headworks-eth0.network"])
def test_the_nic_loses_its_addresses_last(etc: Path, broken: str, monkeypatch: pytest.MonkeyPatch) -> None:
    original = networkd.write_file

    def write_file(path: Path, text: str) -> bool:
        if path.name == broken:
            raise OSError("no space left")
        return original(path, text)

    monkeypatch.setattr(networkd, "write_file", write_file)
    with pytest.raises(OSError, match="no space left"):
        networkd.write("eth0", "br-ex", Carried())
    assert not (etc / "05-headworks-eth0.network").exists()
    assert not networkd.is_written("eth0", "br-ex")


@pytest.mark.parametrize(
    ("source", "prefix"), [("10-a.network", "05"), ("05-a.network", "00"), ("00-a.network", "!"), ("a.network", "05")]
)
def test_our_files_sort_before_the_operator_s(source: str, prefix: str) -> None:
    assert networkd._prefix(source) == prefix
    names = [f"{prefix}-headworks-eth0.network", source, f"{prefix}--headworks-eth0.network"]
    assert sorted(names)[-1] == source
    assert sorted(names)[0] == f"{prefix}--headworks-eth0.network"  # the released NIC's file


def test_the_undo_commands_delete_every_file_and_run_without_a_shell(etc: Path, commands: list[str]) -> None:
    networkd.write("eth0", "br-ex", Carried())
    remove, reload = networkd.undo_commands("eth0", "br-ex")
    subprocess.run(remove, check=True)
    assert not networkd.is_written("eth0", "br-ex")
    assert [path.name for path in etc.iterdir()] == ["10-netplan-eth0.network.d"]
    assert remove.index(str(etc / "05-headworks-eth0.network")) < remove.index(str(etc / "05-headworks-br-ex.network"))
    assert reload[-1] == "reload"


@pytest.fixture
def interfaces(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(ifupdown, "NETWORK_DIR", tmp_path)
    monkeypatch.setattr(ifupdown, "delete_leases", lambda nic: None)
    monkeypatch.setattr(ifupdown, "forget_device", lambda nic: None)
    return tmp_path


def test_the_hook_of_ifupdown_is_installed_for_each_nic_and_deleted_with_the_last(interfaces: Path) -> None:
    for nic in ("eth0", "eth1.100"):
        assert not ifupdown.is_written(nic, "br-ex")
        ifupdown.write(nic, "br-ex")
        assert ifupdown.is_written(nic, "br-ex")
    assert not ifupdown.is_written("eth0", "br-other")
    hooks = [interfaces / directory / "headworks" for directory in ("if-pre-up.d", "if-up.d")]
    assert [hook.stat().st_mode & 0o777 for hook in hooks] == [0o755, 0o755]
    ifupdown.delete("eth0", "br-ex")
    assert all(hook.exists() for hook in hooks)
    assert not ifupdown.is_written("eth0", "br-ex")
    ifupdown.delete("eth1.100", "br-ex")
    assert not any(hook.exists() for hook in hooks)


def test_the_hook_is_a_correct_shell_script_that_ignores_other_devices(interfaces: Path) -> None:
    ifupdown.write("eth0", "br-ex")
    hook = interfaces / "if-up.d/headworks"
    subprocess.run(["sh", "-n", str(hook)], check=True)
    for name in ("--all", "lo", "eth0", ""):  # eth0 does not exist on the machine of the test, or is in no bridge
        environment = {"IFACE": name, "MODE": "start", "PHASE": "post-up"}
        done = subprocess.run([hook], env=environment, capture_output=True, text=True, check=True)
        assert (done.stdout, done.stderr) == ("", "")


def test_the_hook_calls_a_module_that_the_engine_on_the_nodes_disk_has() -> None:
    assert ifup.__name__ == ifupdown._MAIN  # Ansible sends what is imported, and the engine is made of that
    assert f"from {ifup.__name__} import main" in ifupdown.hook_text()
    assert ifupdown.ifup is ifup


def test_a_start_of_open_vswitch_that_is_under_way_is_waited_for() -> None:
    assert "\nAfter=ovs-vswitchd.service\n" in release.release_service("eth0", "br-ex", [["/bin/a"]])
    assert "\nAfter=ovs-vswitchd.service headworks-release-eth0.service\n" in release.take_service(
        "eth0", "br-ex", [["/bin/a"]]
    )


@pytest.mark.parametrize(
    ("route", "family", "moved"),
    [
        ("default via 192.0.2.1 onlink linkdown", "-4", "default via 192.0.2.1 onlink metric 7000000"),
        ("198.51.100.0/24 via 192.0.2.9 metric 100", "-4", "198.51.100.0/24 via 192.0.2.9 metric 7000100"),
        ("default via 2001:db8::1 metric 1024 pref medium", "-6", "default via 2001:db8::1 pref medium metric 7001024"),
        ("192.0.2.0/24 proto kernel scope link src 192.0.2.5", "-4", ""),
        ("default via fe80::9 proto ra metric 1024 expires 1790sec", "-6", ""),
        ("default via 192.0.2.1 metric 7000000", "-4", ""),
    ],
)
def test_a_configured_route_of_the_bridge_gets_a_large_metric_while_ifup_runs(
    route: str, family: str, moved: str
) -> None:
    assert ifup.with_large_metric(route, family) == moved


def test_the_units_of_a_released_nic_are_written_and_deleted(
    tmp_path: Path, commands: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(systemd, "UNIT_DIR", tmp_path)
    monkeypatch.setattr(systemd, "available", lambda: True)
    (tmp_path / "ovs-vswitchd.service.d").mkdir()
    (tmp_path / "ovs-vswitchd.service.d/other.conf").write_text("")
    assert not release.is_written("eth0")
    release.write("eth0", [["/bin/a"]], [["/bin/b"], ["/bin/c", "x y"]], "br-ex", release.VSWITCHD)
    assert release.is_written("eth0")
    service = (tmp_path / "headworks-release-eth0.service").read_text()
    assert "ExecStart=-/bin/a\n" in service
    assert "test -e '/sys/class/net/br-ex' && " in service
    taker = (tmp_path / "headworks-take-eth0.service").read_text()
    assert 'ExecCondition=/bin/b\nExecStart=-/bin/c "x y"\n' in taker
    dropin = (tmp_path / "ovs-vswitchd.service.d/headworks-release-eth0.conf").read_text()
    assert "OnFailure=headworks-release-eth0.service\n" in dropin
    assert "ExecStopPost=-/usr/bin/systemctl --no-block start headworks-release-eth0.timer\n" in dropin
    assert (tmp_path / "timers.target.wants/headworks-release-eth0.timer").is_symlink()
    release.delete("eth0")
    assert sorted(path.name for path in tmp_path.rglob("*") if not path.is_dir()) == ["other.conf"]
    assert commands[-1] == "systemctl daemon-reload"


def test_a_nic_that_no_program_configures_needs_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(config, "manager_of", lambda nic: "")
    assert config.is_written("eth0", "br-ex")
    assert config.write("eth0", "br-ex", Carried()) == []
    (note,) = config.write("eth0", "br-ex", Carried((Address("192.0.2.5/24"),)))
    assert "no program of the system configures it" in note
    monkeypatch.setattr(config, "manager_of", lambda nic: "dhcpcd")
    (note,) = config.write("eth0", "br-ex", Carried((Address("192.0.2.5/24"),)))
    assert "dhcpcd configures it" in note
