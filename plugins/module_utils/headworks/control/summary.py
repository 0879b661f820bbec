"""The resolved cloud as plain data, for playbooks that show it or look up values in it. It holds no secrets."""

from __future__ import annotations

from typing import Any

from ..plan.cloud import Cloud, Instance, Network, Node, Port, Router
from ..state.places import DHCP_DIR, DHCP_LEASES
from ..wiring.devices import guest_device


def summarize(cloud: Cloud) -> dict[str, Any]:
    """``{"name", "nodes", "networks", "routers", "floating_ips", "instances", "guests"}``.

    Each value except the name is a dictionary of plain dictionaries by name (floating IPs: by address). ``guests`` says
    how to log in to an instance: ``{"address", "netns", "node"}``, from the DHCP namespace of one of its networks on
    that node.
    """
    floating_ips = [floating for router in cloud.routers.values() for floating in router.floating_ips]
    return {
        "name": cloud.name,
        "nodes": {name: _node(node) for name, node in cloud.nodes.items()},
        "networks": {name: _network(network, cloud) for name, network in cloud.networks.items()},
        "routers": {name: _router(router) for name, router in cloud.routers.items()},
        "floating_ips": {
            floating.address: {"fixed": floating.fixed, "instance": floating.instance, "network": floating.network}
            for floating in floating_ips
        },
        "instances": {
            name: {
                **_instance(instance, cloud),
                "floating_ips": [floating.address for floating in floating_ips if floating.instance == name],
            }
            for name, instance in cloud.instances.items()
        },
        "guests": {name: login for name, instance in cloud.instances.items() if (login := _login(instance, cloud))},
    }


def _node(node: Node) -> dict[str, Any]:
    return {
        "roles": sorted(node.roles),
        "management_ip": node.management_ip,
        "tunnel_ip": node.tunnel_ip,
        "datapath": node.datapath_type,
    }


def _network(network: Network, cloud: Cloud) -> dict[str, Any]:
    return {
        "id": network.id,
        "type": network.type,
        "segmentation_id": network.segmentation_id,
        "external": network.external,
        "mtu": network.mtu,
        "subnets": [subnet.cidr for subnet in network.subnets],
        "leases": f"{DHCP_DIR}/{network.id}/{DHCP_LEASES}",
        "dhcp_nodes": [node for port in cloud.dhcp_ports.get(network.name, ()) for node in port.nodes],
    }


def _router(router: Router) -> dict[str, Any]:
    return {
        "id": router.id,
        "node": router.nodes[0],
        "external_network": router.gateway.network if router.gateway else "",
        "external_ips": _addresses(router.gateway) if router.gateway else [],
        "networks": [port.network for port in router.interfaces],
    }


def _instance(instance: Instance, cloud: Cloud) -> dict[str, Any]:
    return {
        "id": instance.id,
        "domain": f"instance-{instance.number:08x}",
        "node": instance.node,
        "state": instance.state,
        "flavor": instance.flavor,
        "image": instance.image.name,
        "nics": [
            {"network": port.network, "mac": port.mac, "tap": guest_device(cloud, port), "addresses": _addresses(port)}
            for port in instance.ports
        ],
    }


def _login(instance: Instance, cloud: Cloud) -> dict[str, str] | None:
    """Where to log in to an instance from; None if no network of the instance runs DHCP."""
    for port in instance.ports:
        served = cloud.dhcp_ports.get(port.network, ())
        if served and port.fixed_ips:
            netns = f"qdhcp-{cloud.networks[port.network].id}"
            return {"address": port.fixed_ips[0].address, "netns": netns, "node": served[0].nodes[0]}
    return None


def _addresses(port: Port) -> list[str]:
    return [ip.address for ip in port.fixed_ips]
