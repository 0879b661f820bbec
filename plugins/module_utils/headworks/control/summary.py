"""The resolved cloud in plain words and numbers, for playbooks that show it or look things up in it. No secrets."""

from __future__ import annotations

from typing import Any

from ..plan.cloud import Cloud, Port


def summarize(cloud: Cloud) -> dict[str, Any]:
    """``{"name", "nodes", "networks", "routers", "floating_ips", "instances"}``, each a list of plain dictionaries."""
    floating = [one for router in cloud.routers.values() for one in router.floating_ips]
    return {
        "name": cloud.name,
        "nodes": [
            {
                "name": one.name,
                "roles": sorted(one.roles),
                "management_ip": one.management_ip,
                "tunnel_ip": one.tunnel_ip,
                "datapath": one.datapath_type,
            }
            for one in cloud.nodes.values()
        ],
        "networks": [
            {
                "name": one.name,
                "id": one.id,
                "type": one.type,
                "segmentation_id": one.segmentation_id,
                "external": one.external,
                "mtu": one.mtu,
                "subnets": [subnet.cidr for subnet in one.subnets],
                "netns": f"qdhcp-{one.id}",
                "dhcp_nodes": [port.node for port in cloud.dhcp_ports.get(one.name, ())],
            }
            for one in cloud.networks.values()
        ],
        "routers": [
            {
                "name": one.name,
                "id": one.id,
                "node": one.node,
                "netns": f"qrouter-{one.id}",
                "external_network": one.gateway.network if one.gateway else "",
                "external_ips": _addresses(one.gateway) if one.gateway else [],
                "networks": [port.network for port in one.interfaces],
            }
            for one in cloud.routers.values()
        ],
        "floating_ips": [
            {"address": one.address, "fixed": one.fixed, "instance": one.instance, "network": one.network}
            for one in floating
        ],
        "instances": [
            {
                "name": one.name,
                "id": one.id,
                "domain": f"instance-{one.number:08x}",
                "node": one.node,
                "state": one.state,
                "flavor": one.flavor,
                "image": one.image.name,
                "nics": [
                    {"network": port.network, "mac": port.mac, "tap": port.tap, "addresses": _addresses(port)}
                    for port in one.ports
                ],
                "floating_ips": [item.address for item in floating if item.instance == one.name],
            }
            for one in cloud.instances.values()
        ],
    }


def _addresses(port: Port) -> list[str]:
    return [one.address for one in port.fixed_ips]
