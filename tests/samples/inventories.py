"""Inventories as plain data, in the form that the action plugin passes to ``resolve``, and facts of their nodes."""

from __future__ import annotations

from typing import Any

KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJ5m1sPq2gTq0Vh5W8o7nH0w2rZ0vS7xk3m0oX4b9Qab ops@example"
SHA = "sha256:" + "ab" * 32


def node(*groups: str, tunnel: str = "", **variables: Any) -> dict[str, Any]:
    """A node. ``tunnel`` is its tunnel address, and its management address if ``ansible_host`` is not given."""
    host = variables.pop("ansible_host", tunnel)
    tunnelled = {"node_tunnel_ip": tunnel} if tunnel else {}
    return {"groups": list(groups), "vars": {"ansible_host": host, **tunnelled, **variables}}


def instance(*networks: Any, **variables: Any) -> dict[str, Any]:
    """An instance of flavor m1.nano. The names of ``variables`` lack the prefix ``instance_``."""
    defaults = {"flavor": "m1.nano", "image": "nano", "networks": list(networks)}
    return {"groups": [], "vars": {f"instance_{name}": value for name, value in {**defaults, **variables}.items()}}


def subnet(cidr: str, **more: Any) -> dict[str, Any]:
    """A subnet with ``cidr`` and further fields."""
    return {"cidr": cidr, **more}


def s1() -> dict[str, Any]:
    """Scenario S1: two tunnel networks, a router, an external network, a floating IP, three instances on two nodes."""
    outside = subnet(
        "172.16.0.0/16",
        gateway_ip="172.16.0.1",
        enable_dhcp=False,
        allocation_pools=[{"start": "172.16.19.1", "end": "172.16.19.254"}],
    )
    return {
        "cloud": {
            "cloud_name": "lab",
            "cloud_networks": {
                "internal": {"type": "vxlan", "subnets": {"internal": subnet("10.18.0.0/24")}},
                "internal2": {"type": "vxlan", "subnets": {"internal2": subnet("10.22.22.0/24")}},
                "ext": {"type": "flat", "physical_network": "physnet1", "external": True, "subnets": {"ext": outside}},
            },
            "cloud_routers": {"r1": {"external_network": "ext", "interfaces": ["internal", "internal2"]}},
            "cloud_floating_ips": {"172.16.19.232": {"network": "ext", "instance": "vm1", "fixed_network": "internal"}},
            "cloud_flavors": {"m1.nano": {"vcpus": 1, "ram_mb": 64, "disk_gb": 0}},
            "cloud_images": {"nano": {"path": "/srv/nano.qcow2", "checksum": SHA}},
            "cloud_keypairs": {"ops": KEY},
        },
        "nodes": {
            "controller1": node("controller", ansible_host="10.91.0.10"),
            "network1": node(
                "network",
                tunnel="10.92.0.11",
                node_bridge_mappings={"physnet1": {"bridge": "br-ex", "interface": "eth2"}},
            ),
            "compute1": node("compute", tunnel="10.92.0.21"),
            "compute2": node("compute", tunnel="10.92.0.22"),
        },
        "instances": {
            "vm1": instance("internal", keypair="ops", host="compute1"),
            "vm2": instance("internal", keypair="ops", host="compute2"),
            "vm3": instance("internal2", keypair="ops"),
        },
    }


def facts_of(inventory: dict[str, Any], **more: Any) -> dict[str, dict[str, Any]]:
    """Facts of every node that match its variables: a NIC eth1 with the tunnel address, and the mapped NICs.

    ``more`` replaces facts of all nodes: vcpus, ram_mb, disk_gb, kvm.
    """
    facts = {}
    for name, entry in inventory["nodes"].items():
        variables = entry["vars"]
        address = variables.get("node_tunnel_ip") or variables.get("ansible_host", "")
        nics = {"eth1": {"mac": "02:00:00:00:00:01", "mtu": 1500, "addresses": [f"{address}/24"], "bridge": ""}}
        for mapping in variables.get("node_bridge_mappings", {}).values():
            if mapping.get("interface"):
                nics[mapping["interface"]] = {"mac": "02:00:00:00:00:02", "mtu": 1500, "addresses": [], "bridge": ""}
        facts[name] = {"vcpus": 4, "ram_mb": 4096, "disk_gb": 50, "kvm": False, "nics": nics, **more}
    return facts


def flock(count: int, computes: int = 2, networks: int = 1) -> dict[str, Any]:
    """S1 with ``count`` instances web1… on ``networks`` large tunnel networks, and with ``computes`` compute nodes."""
    inventory = s1()
    inventory["cloud"]["cloud_floating_ips"] = {}
    inventory["cloud"]["cloud_networks"]["internal"]["subnets"] = {"internal": subnet("10.64.0.0/10")}
    for number in range(1, networks):
        inventory["cloud"]["cloud_networks"][f"n{number}"] = {"subnets": {"s": subnet(f"10.{number}.0.0/16")}}
    others = {name: entry for name, entry in inventory["nodes"].items() if not name.startswith("compute")}
    inventory["nodes"] = others | {
        f"compute{number}": node("compute", tunnel=f"10.92.{1 + number // 250}.{1 + number % 250}")
        for number in range(1, computes + 1)
    }
    names = ["internal", *(f"n{number}" for number in range(1, networks))]
    inventory["instances"] = {f"web{number}": instance(names[number % networks]) for number in range(1, count + 1)}
    return inventory
