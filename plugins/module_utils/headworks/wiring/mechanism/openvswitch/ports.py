"""Open vSwitch bridges, ports and NICs of a node.

What does not belong here: flows (``flows_int.py``, ``flows_tun.py``, ``flows_provider.py``).
"""

from __future__ import annotations

from ....plan.cloud import Node, Port
from ....state.ovs import OvsBridge, OvsPort
from ....state.underlay import NicAttachment
from ...devices import switch_device
from ...node_view import NodeView
from ...owners import owner_of
from . import names


def bridges(view: NodeView) -> list[OvsBridge]:
    """Return br-int, br-tun and the provider bridges with fail_mode secure: without flows, they drop all packets.

    A provider bridge that carries the node's own addresses is standalone: the node must be reachable while the bridge
    has no flows. br-int has none then either, so packets of guests do not pass. br-phy only switches the underlay, so
    it is standalone, too. A userspace node has br-phy also without tunnels.
    """
    if not view.carries_network:
        return []
    datapath = view.node.datapath_type
    secure = {names.BR_INT, names.BR_TUN} | {mapping.bridge for mapping in view.node.mappings}
    standalone = {mapping.bridge for mapping in view.node.mappings if mapping.addressed}
    records = [
        OvsBridge(name=name, datapath_type=datapath, fail_mode="standalone" if name in standalone else "secure")
        for name in secure
    ]
    if needs_br_phy(view.node):
        records.append(OvsBridge(name=names.BR_PHY, datapath_type=datapath, fail_mode="standalone"))
    return sorted(records, key=lambda bridge: bridge.name)


def ports(view: NodeView) -> list[OvsPort]:
    """Return the patch ports between bridges, the tunnel ports, and the ports of guests, routers and DHCP services."""
    if not view.carries_network:
        return []
    records = _patch_pair(names.PATCH_TUN, names.BR_INT, names.PATCH_INT, names.BR_TUN)
    for bridge in {mapping.bridge for mapping in view.node.mappings}:
        records += _patch_pair(names.int_patch(bridge), names.BR_INT, names.phy_patch(bridge), bridge)
    records += [_tunnel(view.node, kind, remote) for kind, remote in view.tunnels]
    records += [_access(view, port) for port in view.ports]
    return sorted(records, key=lambda port: port.name)


def underlay(view: NodeView) -> list[NicAttachment] | None:
    """Return the NICs that are ports of bridges. None means unknown, so that the node does not change its NICs: the
    tunnel NIC of a userspace node was not found, and removing it from br-phy would disconnect the node."""
    if not view.carries_network:
        return []
    node = view.node
    bridge_of = {mapping.interface: mapping.bridge for mapping in node.mappings if mapping.interface}
    if needs_br_phy(node):
        if not node.tunnel_interface:
            return None
        bridge_of[node.tunnel_interface] = names.BR_PHY
    return [
        NicAttachment(
            name=nic,
            bridge=bridge_of[nic],
            datapath_type=node.datapath_type,
            rollback_seconds=node.rollback_seconds,
        )
        for nic in sorted(bridge_of)
    ]


def needs_br_phy(node: Node) -> bool:
    """Whether the node needs br-phy. The userspace datapath sends tunnel packets only through a bridge that has the
    tunnel address. If the tunnel NIC is in a provider bridge, the provider bridge has it."""
    provider_nics = {mapping.interface for mapping in node.mappings if mapping.interface}
    return node.datapath_type == "netdev" and node.tunnel_interface not in provider_nics


def _patch_pair(port: str, bridge: str, far_port: str, far_bridge: str) -> list[OvsPort]:
    return [
        OvsPort(name=port, bridge=bridge, type="patch", options={"peer": far_port}),
        OvsPort(name=far_port, bridge=far_bridge, type="patch", options={"peer": port}),
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
