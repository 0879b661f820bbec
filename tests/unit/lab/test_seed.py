"""The files of a lab node before its first boot."""

from __future__ import annotations

import io
import json
import tarfile

from headworks_lab.definition import parse
from headworks_lab.seed import seed

LAB = parse(
    "lab",
    [{"name": "mgmt", "subnet": "10.91.0.0/24"}, {"name": "ext"}],
    [
        {
            "name": "outside1",
            "image": "bare",
            "addresses": ["203.0.113.10/32"],
            "interfaces": [
                {"device": "eth0", "network": "mgmt", "address": "10.91.0.30"},
                {"device": "eth2", "network": "ext", "address": "172.16.0.1/16", "tx_checksum": False},
            ],
        },
        {
            "name": "network1",
            "image": "bare",
            "interfaces": [
                {"device": "eth0", "network": "mgmt", "address": "10.91.0.11"},
                {"device": "eth2", "network": "ext"},
            ],
        },
    ],
)


def archive(index: int) -> tarfile.TarFile:
    data = seed(
        LAB,
        LAB.nodes[index],
        authorized_key="ssh-ed25519 AAAA lab",
        host_key=("PRIVATE", "PUBLIC"),
        resolv_conf="nameserver 192.0.2.53\n",
        hosts="192.0.2.9 mirror.example\n",
    )
    return tarfile.open(fileobj=io.BytesIO(data))


def text(index: int, path: str) -> str:
    member = archive(index).extractfile(path.lstrip("/"))
    assert member is not None
    return member.read().decode()


def test_the_boot_unit_sets_only_addresses_on_loopback_and_on_networks_without_a_subnet() -> None:
    wanted = json.loads(text(0, "/etc/headworks-lab/network.json"))
    assert wanted["addresses"] == [["lo", "203.0.113.10/32"], ["eth2", "172.16.0.1/16"]]
    assert wanted["no_tx_checksum"] == ["eth2"]


def test_a_nic_without_a_declared_address_gets_no_address() -> None:
    assert json.loads(text(1, "/etc/headworks-lab/network.json"))["addresses"] == []


def test_the_hosts_file_of_a_node_names_the_other_nodes_and_has_the_machines_lines() -> None:
    lines = text(0, "/etc/hosts").splitlines()
    assert "10.91.0.11 network1" in lines
    assert "192.0.2.9 mirror.example" in lines


def test_only_root_can_read_the_keys() -> None:
    members = {member.name: member for member in archive(0).getmembers()}
    for path in ("etc/ssh/ssh_host_ed25519_key", "root/.ssh/authorized_keys"):
        assert members[path].mode == 0o600
    assert members["root/.ssh"].mode == 0o700
    assert {member.uid for member in members.values()} == {0}


def test_every_node_has_its_own_machine_id() -> None:
    assert text(0, "/etc/machine-id") != text(1, "/etc/machine-id")


def test_the_program_of_the_boot_unit_is_valid_python() -> None:
    compile(text(0, "/usr/local/lib/headworks-lab/network"), "network", "exec")
