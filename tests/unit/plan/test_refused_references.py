"""References to unknown names are refused with a message that names key, value and rule, all in one run."""

from __future__ import annotations

import pytest
from refusals import Change, Cloud, all_of, in_cloud, in_vm, messages_about, nic_of_vm2

ONE_MESSAGE = {
    # References
    "unknown network of an instance": (
        in_vm("vm2", "networks", ["intranal"]),
        "instances.vm2.instance_networks.0.network: 'intranal': there is no network of this name; "
        "did you mean 'internal'?",
    ),
    "unknown subnet of an instance": (
        nic_of_vm2(subnet="other"),
        "there is no subnet of this name in network internal",
    ),
    "unknown flavor": (
        in_vm("vm2", "flavor", "m1.mano"),
        "instances.vm2.instance_flavor: 'm1.mano': there is no flavor of this name; did you mean 'm1.nano'?",
    ),
    "protected and absent at the same time": (
        all_of(in_vm("vm2", "protected", True), in_vm("vm2", "state", "absent")),
        "instances.vm2: instance_protected: true and instance_state: absent contradict each other",
    ),
    "unknown image": (in_vm("vm2", "image", "debian"), "instance_image: 'debian': there is no image of this name"),
    "unknown keypair": (
        in_vm("vm2", "keypair", "op"),
        "instance_keypair: 'op': there is no keypair of this name; did you",
    ),
    "unknown security group": (in_vm("vm2", "security_groups", ["web"]), "there is no security group of this name"),
    "unknown security group of a NIC": (
        nic_of_vm2(security_groups=["web"]),
        "networks.0.security_groups.0: 'web': there is no",
    ),
    "unknown QoS policy": (nic_of_vm2(qos_policy="gold"), "there is no QoS policy of this name"),
    "unknown project": (in_vm("vm2", "project", "demo"), "instance_project: 'demo': there is no project of this name"),
    "unknown affinity group": (in_vm("vm2", "affinity_group", "g"), "there is no affinity group of this name"),
    "unknown volume": (
        in_vm("vm2", "volumes", ["data"]),
        "instance_volumes.0: 'data': there is no volume of this name",
    ),
    "unknown zone": (in_vm("vm3", "availability_zone", "mars"), "there is no availability zone of this name"),
    "unknown host": (
        in_vm("vm3", "host", "compute9"),
        "instance_host: 'compute9': there is no compute node of this name",
    ),
    "host that is no compute node": (in_vm("vm3", "host", "network1"), "there is no compute node of this name"),
    "unknown network of a router": (
        in_cloud("routers|r1|interfaces", ["internal", "internl2"]),
        "cloud_routers.r1.interfaces.1: 'internl2': there is no network of this name; did you mean 'internal2'?",
    ),
    "unknown external network": (
        in_cloud("routers|r2", {"external_network": "out"}),
        "cloud_routers.r2.external_network: 'out'",
    ),
    "unknown physical network": (
        in_cloud("networks|ext|physical_network", "physnet2"),
        "cloud_networks.ext.physical_network: 'physnet2': there is no physical network of this "
        "name; did you mean 'physnet1'?",
    ),
    "unknown remote group": (
        in_cloud("security_groups", {"web": {"rules": [{"remote_group": "wbe"}]}}),
        "cloud_security_groups.web.rules.0.remote_group: 'wbe': there is no security group of this "
        "name; did you mean 'web'?",
    ),
    "volume attached twice": (
        all_of(
            in_cloud("volumes", {"data": {"size_gb": 1}}),
            in_vm("vm1", "volumes", ["data"]),
            in_vm("vm2", "volumes", ["data"]),
        ),
        "instances.vm2.instance_volumes.0: 'data': is already attached to vm1",
    ),
}


@pytest.mark.parametrize(("change", "expected"), ONE_MESSAGE.values(), ids=ONE_MESSAGE.keys())
def test_a_reference_to_an_unknown_name_is_refused(change: Change, expected: str) -> None:
    messages = messages_about(change)
    assert len(messages) == 1, messages
    assert expected in messages[0]


def test_all_errors_are_reported_at_once() -> None:
    def change(inventory: Cloud) -> None:
        in_vm("vm1", "flavor", "huge")(inventory)
        in_vm("vm2", "image", "none")(inventory)
        in_cloud("networks|ext|physical_network", "nowhere")(inventory)

    messages = messages_about(change)
    assert [message.split(":")[0] for message in messages] == [
        "cloud_networks.ext.physical_network",
        "instances.vm1.instance_flavor",
        "instances.vm2.instance_image",
    ]


def test_secret_values_are_not_shown() -> None:
    assert "hunter2" not in str(messages_about(in_vm("vm2", "user_data", "password=hunter2\0")))
    assert "hunter2" not in str(messages_about(in_vm("vm2", "user_data", ["hunter2"])))


def test_a_private_key_is_not_shown() -> None:
    messages = messages_about(in_cloud("keypairs|two", "-----BEGIN OPENSSH PRIVATE KEY-----\nhunter2"))
    assert len(messages) == 1
    assert "hunter2" not in messages[0]
