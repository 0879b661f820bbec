"""The metadata tree of an instance as files: EC2's (``2009-04-04``, ``latest``), OpenStack's (``openstack/latest``).

Values are what OpenStack gives a guest, except that host names are bare (``vm1``), so that the guest's ``hostname`` is
its inventory name. What does not belong here: who may read a tree (``wiring/metadata.py``), serving it (``node/``).
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
# Directories that equal another one: the same tree under a second name.
LINKS = {"latest": EC2_VERSION, f"openstack/{OPENSTACK_VERSION}": "openstack/latest"}


class MetadataTree:
    """Renders trees of one cloud's instances; each instance is rendered once, however many addresses it has."""

    def __init__(self, cloud: Cloud) -> None:
        self._cloud = cloud
        self._floating = {
            one.instance: one.address for router in cloud.routers.values() for one in reversed(router.floating_ips)
        }
        self._files: dict[str, Mapping[str, str]] = {}

    def at(self, instance: Instance, port: Port, address: str) -> InstanceMetadata:
        """What ``instance`` reads at ``address`` of its port ``port``."""
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
        """Path → content. A path that ends in ``/`` is the listing of that directory, where it is not simply its
        entries."""
        found = {f"{EC2_VERSION}/meta-data/{name}": text for name, text in self._ec2(instance).items()}
        # cloud-init compares version names with the lines of this listing, so they bear no trailing slash.
        found["openstack/"] = f"{OPENSTACK_VERSION}\nlatest"
        documents = {
            "meta_data.json": _openstack_meta_data(instance),
            "network_data.json": self._network_data(instance),
            "vendor_data.json": {},
            "vendor_data2.json": {},
        }
        for name, document in documents.items():
            found[f"openstack/latest/{name}"] = json.dumps(document, sort_keys=True)
        if instance.user_data:
            found[f"{EC2_VERSION}/user-data"] = instance.user_data
            found["openstack/latest/user_data"] = instance.user_data
        return dict(sorted(found.items()))

    def _ec2(self, instance: Instance) -> dict[str, str]:
        addresses = [one.address for port in instance.ports for one in port.fixed_ips if ":" not in one.address]
        found = {
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
        if instance.keys:  # without keys there is no such directory, as in EC2
            found["public-keys/"] = "\n".join(f"{number}={name}" for number, (name, _) in enumerate(instance.keys))
        for number, (_, key) in enumerate(instance.keys):
            found[f"public-keys/{number}/openssh-key"] = key
        return found

    def _network_data(self, instance: Instance) -> dict[str, Any]:
        links: list[Any] = []
        networks: list[Any] = []
        servers: list[Any] = []
        for port in instance.ports:
            network = self._cloud.networks[port.network]
            link = _link(self._cloud, port, network)
            links.append(link)
            for fixed in port.fixed_ips:
                subnet = next(one for one in network.subnets if one.name == fixed.subnet)
                networks.append(_address(len(networks), link["id"], network, subnet, fixed))
                servers += [one for one in subnet.dns_nameservers if one not in servers]
        services = [{"type": "dns", "address": one} for one in servers]
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
    """DHCP where the subnet has it, otherwise the address itself with its routes."""
    found: dict[str, Any] = {"id": f"network{number}", "link": link, "network_id": network.id}
    kind = f"ipv{subnet.ip_version}"
    if subnet.enable_dhcp:
        return found | {"type": f"{kind}_dhcp"}
    cidr = ip_network(subnet.cidr)
    routes = [_route(destination, nexthop) for destination, nexthop in subnet.host_routes]
    if subnet.gateway_ip:
        routes.insert(0, _route("0.0.0.0/0" if subnet.ip_version == 4 else "::/0", subnet.gateway_ip))
    return found | {"type": kind, "ip_address": fixed.address, "netmask": str(cidr.netmask), "routes": routes}


def _route(destination: str, gateway: str) -> dict[str, str]:
    cidr = ip_network(destination)
    return {"network": str(cidr.network_address), "netmask": str(cidr.netmask), "gateway": gateway}
