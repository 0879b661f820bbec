"""Names that could escape from a path or a command, and misspelt keys, are refused with a message each."""

from __future__ import annotations

import pytest
from inventories import instance
from refusals import Change, all_of, in_cloud, in_node, in_vm, messages_about, nic_of_vm2, put

INTERNAL = "networks|internal|subnets|internal"

ONE_MESSAGE = {
    # Names that could escape
    "instance named like a command": (
        put("instances|vm1;reboot", instance()),
        "instances.vm1;reboot: 'vm1;reboot': must be",
    ),
    "instance named like an option": (put("instances|-rf", instance()), "must be a host name"),
    "instance with two dots": (put("instances|web1..example", instance()), "must be a host name"),
    "instance with a label too long": (put(f"instances|{'a' * 64}.example", instance()), "must be a host name"),
    "instance named like an address": (put("instances|10.0.0.5", instance()), "this looks like an address"),
    "instance with a newline": (
        put("instances|a\nb", instance()),
        "instances.a\N{REPLACEMENT CHARACTER}b: 'a\\nb': must be",
    ),
    "network named like a path": (in_cloud("networks|../x", {}), "cloud_networks.../x: '../x': must be a name"),
    "network with a trailing newline": (in_cloud("networks|x\n", {}), "'x\\n': must be a name"),
    "router named like an option": (in_cloud("routers|-x", {}), "'-x': must be a name"),
    "flavor with two dots": (in_cloud("flavors|a..b", {"vcpus": 1, "ram_mb": 1}), "'a..b': must be a name"),
    "cloud named like a path": (in_cloud("name", "a/b"), "cloud_name: 'a/b': must be a name"),
    "domain with a newline": (in_cloud("networks|internal|dns_domain", "x\ny"), "must be a DNS domain"),
    "bridge with a space": (
        in_node("network1", "bridge_mappings", {"physnet1": {"bridge": "br ex"}}),
        "'br ex': must be a network device's name",
    ),
    "NIC with a name too long": (
        in_node("network1", "bridge_mappings", {"physnet1": {"bridge": "br-ex", "interface": "a" * 16}}),
        "must be a network device's name: at most 15",
    ),
    "keypair of two lines": (in_cloud("keypairs|two", "ssh-ed25519 AAAA\nssh-rsa AAAA"), "must be one line"),
    "keypair that is private": (
        in_cloud("keypairs|two", "-----BEGIN OPENSSH PRIVATE KEY-----"),
        "cloud_keypairs.two: '…': is a private key; give the public one",
    ),
    "user data with NUL": (
        in_vm("vm2", "user_data", "#!/bin/sh\n\0"),
        "instances.vm2.instance_user_data: '…': must not contain NUL",
    ),
    "metadata with a newline": (
        in_vm("vm2", "metadata", {"role": "a\nb"}),
        "instance_metadata.role: '…': must be one line",
    ),
    "MAC declared twice": (
        all_of(
            nic_of_vm2(mac="fa:16:3e:00:00:01"),
            in_vm("vm1", "networks", [{"network": "internal", "mac": "FA-16-3E-00-00-01"}]),
        ),
        "instances.vm2.instance_networks.0.mac: 'fa:16:3e:00:00:01': is also the MAC of "
        "instances.vm1.instance_networks.0",
    ),
    "multicast MAC": (nic_of_vm2(mac="01:00:5e:00:00:01"), "must be a unicast MAC address"),
    # Misspelt
    "misspelt cloud variable": (
        put("cloud|cloud_netwroks", {}),
        "cloud_netwroks: is not a known variable; did you mean 'cloud_networks'?",
    ),
    "misspelt node variable": (
        in_node("compute1", "virttype", "kvm"),
        "nodes.compute1.node_virttype: is not a known variable; did you mean 'node_virt_type'?",
    ),
    "misspelt instance variable": (
        in_vm("vm1", "falvor", "x"),
        "instances.vm1.instance_falvor: is not a known variable; did you mean 'instance_flavor'?",
    ),
    "misspelt key": (
        in_cloud(f"{INTERNAL}|enable_dchp", False),
        "cloud_networks.internal.subnets.internal.enable_dchp: False: is not a known key; did you mean 'enable_dhcp'?",
    ),
    "unknown type": (
        in_cloud("networks|internal|type", "vxlam"),
        "cloud_networks.internal.type: 'vxlam': must be 'vxlan', 'gre'",
    ),
    "missing flavor": (
        put("instances|vm9", {"vars": {"instance_image": "nano"}}),
        "instances.vm9.instance_flavor: is required",
    ),
    "a boolean for a number": (
        in_cloud("flavors|m1.nano|vcpus", True),
        "cloud_flavors.m1.nano.vcpus: True: must be a number",
    ),
    "not available yet": (
        in_cloud("l2_mechanism", "linuxbridge"),
        "cloud_l2_mechanism: 'linuxbridge': is not available yet",
    ),
}


@pytest.mark.parametrize(("change", "expected"), ONE_MESSAGE.values(), ids=ONE_MESSAGE.keys())
def test_an_invalid_name_or_misspelt_key_is_refused(change: Change, expected: str) -> None:
    messages = messages_about(change)
    assert len(messages) == 1, messages
    assert expected in messages[0]
