"""Open vSwitch bridges, ports and NICs of a node. What does not belong here: flows (``flows_*.py``)."""

from __future__ import annotations

from ....plan.cloud import Node, Port
from ....state.ovs import OvsBridge, OvsPort
from ....state.underlay import NicAttachment
from ...devices import switch_device
from ...node_view import NodeView
from ...owners import owner_of
from . import names


def bridges(view: NodeView) -> list[OvsBridge]:
    """br-int, br-tun and the provider bridges, all fail_mode secure: without flows nothing passes. br-phy only switches
    the underlay, so it is standalone; a userspace node keeps it whether or not there is a tunnel at the moment."""
    if not view.carries_network:
        return []
    datapath = view.node.datapath_type
    secure = {names.BR_INT, names.BR_TUN} | {mapping.bridge for mapping in view.node.mappings}
    found = [OvsBridge(name=name, datapath_type=datapath) for name in secure]
    if _needs_br_phy(view.node):
        found.append(OvsBridge(name=names.BR_PHY, datapath_type=datapath, fail_mode="standalone"))
    return sorted(found, key=lambda bridge: bridge.name)


def ports(view: NodeView) -> list[OvsPort]:
    """Patches between bridges, tunnels, and the access ports of guests, routers and DHCP."""
    if not view.carries_network:
        return []
    found = _patch_pair(names.PATCH_TUN, names.BR_INT, names.PATCH_INT, names.BR_TUN)
    for bridge in {mapping.bridge for mapping in view.node.mappings}:
        found += _patch_pair(names.int_patch(bridge), names.BR_INT, names.phy_patch(bridge), bridge)
    found += [_tunnel(view.node, kind, remote) for kind, remote in view.tunnels]
    found += [_access(view, port) for port in view.ports]
    return sorted(found, key=lambda port: port.name)


def underlay(view: NodeView) -> list[NicAttachment] | None:
    """The NICs that are ports of bridges. None = unknown, leave the underlay as it is: the tunnel NIC of a userspace
    node was not found, and pulling it out of br-phy would cut the node off."""
    if not view.carries_network:
        return []
    node = view.node
    found = {one.interface: one.bridge for one in node.mappings if one.interface}
    if _needs_br_phy(node):
        if not node.tunnel_interface:
            return None
        found[node.tunnel_interface] = names.BR_PHY
    return [NicAttachment(name=nic, bridge=found[nic], datapath_type=node.datapath_type) for nic in sorted(found)]


def _needs_br_phy(node: Node) -> bool:
    """The userspace datapath sends tunnels only through a bridge that has the tunnel address; a provider bridge that
    holds the NIC already is such a bridge."""
    provider_nics = {mapping.interface for mapping in node.mappings if mapping.interface}
    return node.datapath_type == "netdev" and node.tunnel_interface not in provider_nics


def _patch_pair(one: str, bridge: str, other: str, far_bridge: str) -> list[OvsPort]:
    return [
        OvsPort(name=one, bridge=bridge, type="patch", options={"peer": other}),
        OvsPort(name=other, bridge=far_bridge, type="patch", options={"peer": one}),
    ]


def _tunnel(node: Node, kind: str, remote: Node) -> OvsPort:
    return OvsPort(
        name=names.tunnel_port(kind, remote.tunnel_ip),
        bridge=names.BR_TUN,
        type=kind,
        options={
            "df_default": "true",
            "in_key": "flow",
            "local_ip": node.tunnel_ip,
            "out_key": "flow",
            "remote_ip": remote.tunnel_ip,
        },
    )


def _access(view: NodeView, port: Port) -> OvsPort:
    identity = {"attached-mac": port.mac, "iface-id": port.id, "iface-status": "active"}
    if owner_of(port).vm_uuid:
        identity["vm-uuid"] = view.cloud.instances[port.device].id
    return OvsPort(
        name=switch_device(view.cloud, port),
        bridge=names.BR_INT,
        tag=view.vlan(port.network),
        mtu=view.cloud.networks[port.network].mtu,
        external_ids=identity,
    )
