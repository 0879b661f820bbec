"""Checks of the nodes: groups, tunnel addresses, provider bridges, and the NICs that all this needs."""

from __future__ import annotations

from ..identity import natural
from ..mtu import OVERHEAD, tunnel_ip
from ..placement.services import serves_dhcp
from .context import Check


def check(it: Check) -> None:
    """All of them."""
    _groups(it)
    _names(it)
    _tunnels(it)
    _mappings(it)
    _virtualization(it)


def _groups(it: Check) -> None:
    if not it.nodes_with("controller"):
        it.bad("nodes", sorted(it.inventory.nodes), "no node is in group controller, which serves the images")
    if it.inventory.instances and not it.nodes_with("compute"):
        it.bad("instances", len(it.inventory.instances), "there are instances, but no node is in group compute")
    if it.nodes_with("network"):
        return
    for name in it.cloud.routers:
        it.bad(f"cloud_routers.{name}", name, "there is a router, but no node is in group network")
    for name, network in it.cloud.networks.items():
        if serves_dhcp(network) and network.type != "local":
            it.bad(
                f"cloud_networks.{name}", name,
                "it has subnets with DHCP, but no node is in group network (or set enable_dhcp: false)",
            )


def _names(it: Check) -> None:
    seen: dict[str, str] = {}
    for kind, names in (("nodes", it.inventory.nodes), ("instances", it.inventory.instances)):
        for name in names:
            key, folded = f"{kind}.{name}", name.lower()
            if folded in seen:
                it.bad(key, name, f"is the same host name as {seen[folded]}; host names must differ in more than case")
            seen[folded] = key


def _tunnels(it: Check) -> None:
    ends: dict[str, str] = {}
    tunnelled = any(network.type in OVERHEAD for network in it.cloud.networks.values())
    ours = [name for name, entry in it.inventory.nodes.items() if entry.roles & {"network", "compute"}]
    for name in sorted(ours, key=natural):
        entry, address = it.inventory.nodes[name], tunnel_ip(it.inventory, name)
        key = f"nodes.{name}.node_tunnel_ip"
        if not address:
            if tunnelled and len(ours) > 1:
                it.bad(key, "", f"is required: ansible_host {entry.management!r} is a name, tunnels need an address")
            continue
        if address in ends and (tunnelled or entry.model.tunnel_ip):
            it.bad(key, address, f"is also the tunnel address of {ends[address]}; every node needs its own")
        ends.setdefault(address, name)
        facts = it.facts.get(name)
        if facts and not facts.nic_with(address) and (entry.model.tunnel_ip or tunnelled):
            there = ", ".join(f"{nic} {' '.join(one.addresses) or '-'}" for nic, one in sorted(facts.nics.items()))
            it.bad(key, address, f"no NIC of {name} has this address (it has {there or 'no NIC'})")


def _mappings(it: Check) -> None:
    for name, entry in it.inventory.nodes.items():
        facts = it.facts.get(name)
        bridges: dict[str, str] = {}
        interfaces: dict[str, str] = {}
        for physical, mapping in entry.model.bridge_mappings.items():
            key = f"nodes.{name}.node_bridge_mappings.{physical}"
            if mapping.bridge in bridges:
                it.bad(f"{key}.bridge", mapping.bridge, f"is also the bridge of {bridges[mapping.bridge]}")
            bridges[mapping.bridge] = physical
            nic = mapping.interface
            if nic is None:
                continue
            if nic in interfaces:
                it.bad(f"{key}.interface", nic, f"is also the NIC of {interfaces[nic]}; a NIC is in one bridge")
            interfaces[nic] = physical
            if nic == mapping.bridge:
                it.bad(f"{key}.interface", nic, "is the name of the bridge itself")
            elif facts and nic not in facts.nics:
                there = ", ".join(sorted(facts.nics)) or "none"
                it.bad(f"{key}.interface", nic, f"{name} has no NIC of this name (it has {there})")
            elif facts and entry.model.datapath_type == "netdev" and facts.nics[nic].has(tunnel_ip(it.inventory, name)):
                it.bad(f"{key}.interface", nic, "carries the tunnel address; with datapath netdev it is in br-phy")


def _virtualization(it: Check) -> None:
    for name, entry in it.inventory.nodes.items():
        facts = it.facts.get(name)
        if "compute" in entry.roles and entry.model.virt_type == "kvm" and facts and not facts.kvm:
            it.bad(f"nodes.{name}.node_virt_type", "kvm", f"{name} has no usable /dev/kvm; use auto or qemu")
