"""Render an instance's metadata tree as files: EC2's (``2009-04-04``, ``latest``), OpenStack's (``openstack/latest``).

The values are those that OpenStack gives a guest, except that host names have no domain (``vm1``), so that the guest's
``hostname`` is its inventory name. What does not belong here: which namespaces serve a tree (``wiring/metadata.py``),
and serving it (``node/services/metadata``).
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from ipaddress import ip_network
from typing import Any

from ..plan.cloud import Cloud, FixedIp, Instance, Network, Port, Subnet
from ..state.metadata import InstanceMetadata
from .devices import guest_device
from .mechanism.registry import mechanism_of

EC2_VERSION = "2009-04-04"
OPENSTACK_VERSION = "2018-08-27"
# Second names of directories: link → target.
LINKS = {"latest": EC2_VERSION, f"openstack/{OPENSTACK_VERSION}": "openstack/latest"}


class MetadataTree:
    """Renders the trees of a cloud's instances. Each instance is rendered once, also if it has several addresses."""

    def __init__(self, cloud: Cloud) -> None:
        self._cloud = cloud
        self._floating = {
            floating.instance: floating.address
            for router in cloud.routers.values()
            for floating in reversed(router.floating_ips)
        }
        self._files: dict[str, Mapping[str, str]] = {}

    def at(self, instance: Instance, port: Port, address: str) -> InstanceMetadata:
        """Return the metadata that ``instance`` reads from ``address`` of its port ``port``."""
        if instance.name not in self._files:
            self._files[instance.name] = self.files(instance)
        return InstanceMetadata(
            network_id=self._cloud.networks[port.network].id,
            address=address,
            instance_id=instance.id,
            files=self._files[instance.name],
            links=LINKS,
        )

    def files(self, instance: Instance) -> dict[str, str]:
        """Return path → content. A path that ends in ``/`` is the listing of a directory, if it differs from the names
        of the entries."""
        files = {f"{EC2_VERSION}/meta-data/{name}": text for name, text in self._ec2(instance).items()}
        # cloud-init compares version names with the lines of this listing, so the lines have no trailing slash.
        files["openstack/"] = f"{OPENSTACK_VERSION}\nlatest"
        documents = {
            "meta_data.json": _openstack_meta_data(instance),
            "network_data.json": self._network_data(instance),
            "vendor_data.json": {},
            "vendor_data2.json": {},
        }
        for name, document in documents.items():
            files[f"openstack/latest/{name}"] = json.dumps(document, sort_keys=True)
        if instance.user_data:
            files[f"{EC2_VERSION}/user-data"] = instance.user_data
            files["openstack/latest/user_data"] = instance.user_data
        return dict(sorted(files.items()))

    def _ec2(self, instance: Instance) -> dict[str, str]:
        addresses = [fixed.address for port in instance.ports for fixed in port.fixed_ips if ":" not in fixed.address]
        entries = {
            "ami-id": f"ami-{instance.image.digest[:8]}",
            "ami-launch-index": "0",
            "ami-manifest-path": "(unknown)",
            "block-device-mapping/ami": "vda",
            "block-device-mapping/root": "/dev/vda",
            "hostname": instance.name,
            "instance-action": "none",
            "instance-id": f"i-{instance.number:08x}",
            "instance-type": instance.flavor,
            "local-hostname": instance.name,
            "local-ipv4": addresses[0] if addresses else "",
            "placement/availability-zone": instance.availability_zone,
            "public-hostname": instance.name,
            "public-ipv4": self._floating.get(instance.name, ""),
            "reservation-id": f"r-{instance.id[:8]}",
            "security-groups": "\n".join(instance.security_groups),
        }
        if instance.keys:  # without keys, the directory does not exist, as in EC2
            entries["public-keys/"] = "\n".join(f"{number}={name}" for number, (name, _) in enumerate(instance.keys))
        for number, (_, key) in enumerate(instance.keys):
            entries[f"public-keys/{number}/openssh-key"] = key
        return entries

    def _network_data(self, instance: Instance) -> dict[str, Any]:
        links: list[Any] = []
        networks: list[Any] = []
        servers: list[Any] = []
        for port in instance.ports:
            network = self._cloud.networks[port.network]
            link = _link(self._cloud, port, network)
            links.append(link)
            for fixed in port.fixed_ips:
                subnet = next(subnet for subnet in network.subnets if subnet.name == fixed.subnet)
                networks.append(_address(len(networks), link["id"], network, subnet, fixed))
                servers += [server for server in subnet.dns_nameservers if server not in servers]
        services = [{"type": "dns", "address": server} for server in servers]
        return {"links": links, "networks": networks, "services": services}


def _openstack_meta_data(instance: Instance) -> dict[str, Any]:
    return {
        "uuid": instance.id,
        "name": instance.name,
        "hostname": instance.name,
        "launch_index": 0,
        "availability_zone": instance.availability_zone,
        "project_id": instance.project,
        "meta": dict(instance.metadata),
        "public_keys": dict(instance.keys),
        "keys": [{"name": name, "type": "ssh", "data": key} for name, key in instance.keys],
        "devices": [],
    }


def _link(cloud: Cloud, port: Port, network: Network) -> dict[str, Any]:
    return {
        "id": guest_device(cloud, port),
        "vif_id": port.id,
        "type": mechanism_of(cloud).vif_type,
        "mtu": network.mtu,
        "ethernet_mac_address": port.mac,
    }


def _address(number: int, link: str, network: Network, subnet: Subnet, fixed: FixedIp) -> dict[str, Any]:
    """Return the entry of an address: DHCP if the subnet has DHCP, otherwise the address with its routes."""
    entry: dict[str, Any] = {"id": f"network{number}", "link": link, "network_id": network.id}
    kind = f"ipv{subnet.ip_version}"
    if subnet.enable_dhcp:
        return entry | {"type": f"{kind}_dhcp"}
    cidr = ip_network(subnet.cidr)
    routes = [_route(destination, nexthop) for destination, nexthop in subnet.host_routes]
    if subnet.gateway_ip:
        routes.insert(0, _route("0.0.0.0/0" if subnet.ip_version == 4 else "::/0", subnet.gateway_ip))
    return entry | {"type": kind, "ip_address": fixed.address, "netmask": str(cidr.netmask), "routes": routes}


def _route(destination: str, gateway: str) -> dict[str, str]:
    cidr = ip_network(destination)
    return {"network": str(cidr.network_address), "netmask": str(cidr.netmask), "gateway": gateway}
