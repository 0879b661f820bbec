"""Checks of the nodes: groups, host names, tunnel addresses, provider bridges, and the NICs that these need."""

from __future__ import annotations

from ..identity import natural
from ..mtu import OVERHEAD, tunnel_ip
from ..placement.services import serves_dhcp
from .context import Check
from .nics import check_moved_nic, check_nic


def check_nodes(check: Check) -> None:
    """Check that every needed group has a node, and check every node's variables against its facts."""
    _groups(check)
    _names(check)
    _tunnels(check)
    _mappings(check)
    _virtualization(check)


def _groups(check: Check) -> None:
    if not check.nodes_with("controller"):
        rule = "no node is in group controller, which serves the images"
        check.refuse("nodes", sorted(check.inventory.nodes), rule)
    if check.inventory.instances and not check.nodes_with("compute"):
        rule = "there are instances, but no node is in group compute"
        check.refuse("instances", len(check.inventory.instances), rule)
    if check.nodes_with("network"):
        return
    for name in check.cloud.routers:
        check.refuse(f"cloud_routers.{name}", name, "there is a router, but no node is in group network")
    for name, network in check.cloud.networks.items():
        if serves_dhcp(network) and network.type != "local":
            check.refuse(
                f"cloud_networks.{name}", name,
                "it has subnets with DHCP, but no node is in group network; "
                "add a node to the group or set enable_dhcp: false",
            )


def _names(check: Check) -> None:
    """Refuse names of nodes and instances that differ only in upper and lower case."""
    seen: dict[str, str] = {}
    for kind, names in (("nodes", check.inventory.nodes), ("instances", check.inventory.instances)):
        for name in names:
            key, folded = f"{kind}.{name}", name.lower()
            if folded in seen:
                rule = f"is the same host name as {seen[folded]}; host names must differ in more than case"
                check.refuse(key, name, rule)
            seen[folded] = key


def _tunnels(check: Check) -> None:
    """Check that every node that needs a tunnel address has its own address, and that a NIC of the node has it."""
    holders: dict[str, str] = {}
    tunnelled = any(network.type in OVERHEAD for network in check.cloud.networks.values())
    ends = [name for name, entry in check.inventory.nodes.items() if entry.roles & {"network", "compute"}]
    for name in sorted(ends, key=natural):
        entry, address = check.inventory.nodes[name], tunnel_ip(check.inventory, name)
        key = f"nodes.{name}.node_tunnel_ip"
        if not address:
            if tunnelled and len(ends) > 1:
                rule = f"is required: ansible_host {entry.management!r} is a name, but tunnels need an address"
                check.refuse(key, "", rule)
            continue
        if address in holders and (tunnelled or entry.model.tunnel_ip):
            check.refuse(key, address, f"is also the tunnel address of {holders[address]}; every node needs its own")
        holders.setdefault(address, name)
        facts = check.facts.get(name)
        if facts and tunnelled and entry.model.datapath_type == "netdev":
            check_moved_nic(check, name, key, facts.nic_with(address))  # it goes into br-phy
        if facts and not facts.nic_with(address) and (entry.model.tunnel_ip or tunnelled):
            nics = ", ".join(f"{device} {' '.join(nic.addresses) or '-'}" for device, nic in sorted(facts.nics.items()))
            check.refuse(key, address, f"no NIC of {name} has this address (NICs: {nics or 'none'})")


def _mappings(check: Check) -> None:
    for name, entry in check.inventory.nodes.items():
        facts = check.facts.get(name)
        bridges: dict[str, str] = {}
        interfaces: dict[str, str] = {}
        for physical, mapping in entry.model.bridge_mappings.items():
            key = f"nodes.{name}.node_bridge_mappings.{physical}"
            if mapping.bridge in bridges:
                check.refuse(f"{key}.bridge", mapping.bridge, f"is also the bridge of {bridges[mapping.bridge]}")
            bridges[mapping.bridge] = physical
            nic = mapping.interface
            if nic is None:
                continue
            if nic in interfaces:
                rule = f"is also the NIC of {interfaces[nic]}; a NIC can be in only one bridge"
                check.refuse(f"{key}.interface", nic, rule)
            interfaces[nic] = physical
            if nic == mapping.bridge:
                check.refuse(f"{key}.interface", nic, "is the name of the bridge itself")
                continue
            check_nic(check, name, f"{key}.interface", nic)
            if (
                facts and nic in facts.nics and entry.model.datapath_type == "netdev"
                and facts.nics[nic].has(tunnel_ip(check.inventory, name))
            ):
                rule = "carries the tunnel address; with node_datapath_type netdev, this NIC is already in br-phy"
                check.refuse(f"{key}.interface", nic, rule)


def _virtualization(check: Check) -> None:
    for name, entry in check.inventory.nodes.items():
        facts = check.facts.get(name)
        if "compute" in entry.roles and entry.model.virt_type == "kvm" and facts and not facts.kvm:
            check.refuse(f"nodes.{name}.node_virt_type", "kvm", f"{name} has no usable /dev/kvm; use auto or qemu")
