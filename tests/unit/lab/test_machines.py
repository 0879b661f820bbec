"""The machine lab without machines: definitions, files of a machine, QEMU's command line, and whose processes end."""

from __future__ import annotations

import gzip
import io
import os
import subprocess
import sys
import tarfile
import time
from pathlib import Path
from typing import Any

import pytest
from headworks_lab.definition import DefinitionError
from headworks_lab.machines import networks, processes, qemu, seed
from headworks_lab.machines.definition import Lab, load, parse

NIC = {"device": "enp0s16", "network": "mgmt", "manager": "networkd", "addresses": ["10.93.0.11/24"]}
NETWORK = {"name": "mgmt", "host": ["10.93.0.1/24"]}


def lab(*nics: dict[str, Any], network: dict[str, Any] | None = None, **machine: Any) -> Lab:
    """A lab of one machine."""
    node = {"name": "node1", "address": "10.93.0.11", "nics": list(nics or (NIC,)), **machine}
    return parse("trial", [{**NETWORK, **(network or {})}], [node])


def test_a_lab_is_the_same_after_it_was_written_and_read() -> None:
    made = lab({**NIC, "methods": ["dhcp"], "gateway": "10.93.0.1"}, files={"/etc/a": "b"}, units=["a.service"])
    assert load(made.document()) == made


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"device": "eth0"}, "nics.eth0.device: eth0: must be enp0s3 to enp0s29"),
        ({"device": "enp0s2"}, "nics.enp0s2.device: enp0s2"),
        ({"network": "none"}, "network: none: the lab has no such network"),
        ({"manager": "wicked"}, "manager: wicked: one of networkd, ifupdown, netplan"),
        ({"methods": ["bootp"]}, "methods: bootp: one of static, dhcp, slaac"),
        ({"addresses": ["10.93.0.11"]}, "give the prefix length"),
        ({"addresses": ["10.93.0.300/24"]}, "addresses: 10.93.0.300/24"),
    ],
)
def test_a_nic_that_breaks_a_rule_is_refused(change: dict[str, Any], message: str) -> None:
    with pytest.raises(DefinitionError, match=message):
        lab({**NIC, **change})


@pytest.mark.parametrize(
    ("network", "message"),
    [
        ({"dhcp": ["10.93.0.50", "10.93.0.60"]}, "networks.mgmt.outside: missing"),
        ({"dhcp": ["10.93.0.50"], "outside": ["10.93.0.2/24"]}, "give the first and the last address"),
        ({"name": "management"}, "networks.name: management"),
    ],
)
def test_a_network_that_breaks_a_rule_is_refused(network: dict[str, Any], message: str) -> None:
    with pytest.raises(DefinitionError, match=message):
        lab(network=network)


@pytest.mark.parametrize("name", ["", "Lab", "toolongname", "a-b"])
def test_a_name_that_does_not_fit_into_names_of_devices_is_refused(name: str) -> None:
    with pytest.raises(DefinitionError, match="lab: "):
        parse(name, [NETWORK], [])


def test_names_on_the_host_differ_between_labs() -> None:
    one, other = lab(), parse("other", [NETWORK], [{"name": "node1", "address": "10.9.0.1", "nics": [NIC]}])
    assert one.namespace != other.namespace
    assert one.host_device("mgmt") != other.host_device("mgmt")
    assert one.mac("node1", one.machines[0].nics[0]) != other.mac("node1", other.machines[0].nics[0])
    assert len(parse("sevench", [{"name": "mgmt"}], []).host_device("mgmt")) <= 15


def test_a_changed_nic_makes_the_machine_outdated() -> None:
    assert lab().digest(lab().machines[0]) != (changed := lab({**NIC, "device": "enp0s20"})).digest(changed.machines[0])


@pytest.mark.parametrize(
    ("nic", "path", "lines"),
    [
        (
            {"gateway": "10.93.0.1"},
            "/etc/systemd/network/20-enp0s16.network",
            ["DHCP=no", "IPv6AcceptRA=no", "Address=10.93.0.11/24", "Gateway=10.93.0.1"],
        ),
        ({"methods": ["dhcp", "slaac"]}, "/etc/systemd/network/20-enp0s16.network", ["DHCP=ipv4", "IPv6AcceptRA=yes"]),
        (
            {"manager": "ifupdown", "addresses": ["10.93.0.11/24", "fd93::11/64"], "gateway": "10.93.0.1"},
            "/etc/network/interfaces.d/enp0s16",
            [
                "iface enp0s16 inet static",
                "    gateway 10.93.0.1",
                "iface enp0s16 inet6 static",
                "    address fd93::11/64",
            ],
        ),
        (
            {"manager": "ifupdown", "methods": ["dhcp"]},
            "/etc/network/interfaces.d/enp0s16",
            ["iface enp0s16 inet dhcp"],
        ),
        (
            {"manager": "netplan"},
            "/etc/netplan/60-enp0s16.yaml",
            ["      addresses: ['10.93.0.11/24']", "      dhcp4: false"],
        ),
    ],
)
def test_a_nic_is_configured_in_the_files_of_its_manager(nic: dict[str, Any], path: str, lines: list[str]) -> None:
    made = lab({**NIC, **nic})
    files = seed.network_files(made.machines[0])
    assert list(files) == [path]
    assert set(lines) <= set(files[path].splitlines())


def test_an_address_that_dhcp_gives_is_reserved_and_not_static() -> None:
    made = lab(
        {**NIC, "methods": ["dhcp"]}, network={"outside": ["10.93.0.2/24"], "dhcp": ["10.93.0.50", "10.93.0.60"]}
    )
    assert "10.93.0.11" not in "".join(seed.network_files(made.machines[0]).values())
    mac = made.mac("node1", made.machines[0].nics[0])
    assert f"--dhcp-host={mac},10.93.0.11" in networks.dnsmasq(made, made.networks[0], Path("/x"))


def test_a_machine_enables_only_what_configures_its_nics() -> None:
    units = [path.rpartition("/")[2] for path in seed.links(lab({**NIC, "manager": "ifupdown"}).machines[0])]
    assert "networking.service" in units
    assert "systemd-networkd.service" not in units


def test_netplan_is_left_out_where_it_is_not_used() -> None:
    path = "/etc/systemd/system/netplan-ovs-cleanup.service"
    assert seed.links(lab().machines[0])[path] == "/dev/null"
    assert path not in seed.links(lab({**NIC, "manager": "netplan"}).machines[0])


def test_the_initramfs_has_every_file_with_its_mode_and_owner() -> None:
    made = lab(files={"/etc/NetworkManager/system-connections/a": "secret"})
    files = seed.files(made, made.machines[0], authorized_key="ssh-ed25519 AAAA", host_key=("private", "public"))
    packed = seed.initramfs(files, {"/etc/systemd/system/a.service": "/dev/null"})
    members = _unpack(packed)
    assert members["etc/hostname"].mode == 0o644
    assert members["etc/ssh/ssh_host_ed25519_key"].mode == 0o600
    assert members["etc/NetworkManager/system-connections/a"].mode == 0o600
    assert members["home/ops/.ssh/authorized_keys"].uid == 1000
    assert members["root/.ssh"].mode == 0o700
    assert members["etc/systemd/system/a.service"].linkname == "/dev/null"
    assert "etc" not in members  # the modes of the image's own directories stay


def _unpack(packed: bytes) -> dict[str, tarfile.TarInfo]:
    """The members of the seed, unpacked as the kernel does: by the sizes in the headers."""
    data = gzip.decompress(packed)
    fields = [int(data[6 + 8 * i : 14 + 8 * i], 16) for i in range(13)]
    start = 110 + fields[11]
    start += -start % 4
    with tarfile.open(fileobj=io.BytesIO(data[start : start + fields[6]])) as archive:
        return {member.name: member for member in archive.getmembers()}


def test_a_nic_can_be_left_out_or_put_into_another_slot() -> None:
    second = {**NIC, "device": "enp0s17", "addresses": ["10.93.0.12/24"]}
    made = lab(NIC, second)
    files = qemu.Files(Path("/state/machines/node1"), Path("/run/x"))

    def devices(slots: dict[str, int | None]) -> list[str]:
        args = qemu.command(made, made.machines[0], files, Path("/kernel"), kvm=False, slots=slots)
        return [arg.rpartition("addr=")[2] for arg in args if arg.startswith("virtio-net-pci")]

    assert devices({}) == ["0x10,romfile=", "0x11,romfile="]
    assert devices({"enp0s16": None}) == ["0x11,romfile="]
    assert devices({"enp0s16": 20}) == ["0x14,romfile=", "0x11,romfile="]


def test_kvm_that_runs_no_kernel_is_not_used(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    outputs = iter([b"KVM internal error", b"VFS: Unable to mount root fs on unknown-block(0,0)"])
    monkeypatch.setattr(qemu, "DEVICE", tmp_path)
    monkeypatch.setattr(
        subprocess, "run", lambda *a, **k: subprocess.CompletedProcess(a, 0, stdout=next(outputs), stderr=b"")
    )
    assert not qemu.kvm_works(Path("/kernel"), tmp_path / "one")
    assert not qemu.kvm_works(Path("/kernel"), tmp_path / "one")  # the answer is kept
    assert qemu.kvm_works(Path("/kernel"), tmp_path / "two")


def test_a_process_that_has_a_used_id_is_not_ended(tmp_path: Path) -> None:
    pid_file = tmp_path / "pid"
    with subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)", "guest=mine"]) as process:
        pid_file.write_text(str(process.pid))
        assert not processes.end(pid_file, "guest=other\0")
        assert process.poll() is None
        process.kill()
    pid_file.write_text(str(os.getpid()))
    assert processes.running(pid_file, "guest=mine\0") is None


def test_the_process_of_a_machine_is_ended(tmp_path: Path) -> None:
    pid_file = tmp_path / "pid"
    with subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)", "guest=mine"]) as process:
        pid_file.write_text(str(process.pid))
        while not processes.is_ours(process.pid, "guest=mine\0"):  # the new process has not begun its program yet
            time.sleep(0.01)
        assert processes.end(pid_file, "guest=mine\0")
        assert process.wait(5) == -9
