"""Builds the resolved cloud from the inventory's models and the allocations.

What does not belong here: decisions, which are in ``allocation/`` and ``placement/``.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from ipaddress import ip_address

from ..model.cloud import CloudModel
from ..model.compute import NicModel
from ..model.inventory import Inventory
from . import cloud as resolved
from .allocation.allocations import Allocations, PortAllocation
from .allocation.ports import Spaces, numbered
from .allocation.subnets import number
from .facts import NodeFacts
from .floating import targets
from .identity import natural, object_id
from .mtu import maximum, tunnel_ip
from .security_groups import groups_of_nic, resolved_groups

STORE_PORT = 9292
STORE_CA = "/etc/headworks/ca.pem"


class Builder:
    """Builds a ``Cloud``. ``checksums`` is image → ``sha256:…``, for images that the inventory declares without one."""

    def __init__(
        self, inventory: Inventory, allocations: Allocations, facts: Mapping[str, NodeFacts], spaces: Spaces,
        checksums: Mapping[str, str],
    ) -> None:
        self.inventory = inventory
        self.model: CloudModel = inventory.cloud
        self.allocations = allocations
        self.facts = facts
        self.spaces = spaces
        self.checksums = checksums
        self.floating = self._floating_ips()

    def build(self) -> resolved.Cloud:
        """The resolved cloud."""
        images = {name: self._image(name) for name in self.model.images}
        routed = {interface.network for router in self.model.routers.values() for interface in router.interfaces}
        return resolved.Cloud(
            name=self.model.name,
            nodes={name: self._node(name) for name in sorted(self.inventory.nodes, key=natural)},
            networks={name: self._network(name, name in routed) for name in self.model.networks},
            routers={name: self._router(name) for name in sorted(self.model.routers, key=natural)},
            instances={
                name: self._instance(name, images) for name in sorted(self.inventory.instances, key=natural)
            },
            dhcp_ports={
                name: tuple(
                    self._port(f"dhcp/{name}/{node}", name, node, resolved.OWNER_DHCP, name, port)
                    for node, port in sorted(network.dhcp.items(), key=lambda item: natural(item[0]))
                )
                for name, network in self.allocations.networks.items()
                if network.dhcp
            },
            l2_mechanism=self.model.l2_mechanism,
            reclaim_after_days=self.model.reclaim_after_days,
            firewall_driver=self.model.firewall_driver,
            security_groups=resolved_groups(self.model),
        )

    def _id(self, kind: str, name: str) -> str:
        return object_id(self.model.name, kind, name)

    def _node(self, name: str) -> resolved.Node:
        entry, facts = self.inventory.nodes[name], self.facts.get(name)
        tunnel = tunnel_ip(self.inventory, name)
        virt = entry.model.virt_type
        if virt == "auto":
            virt = "kvm" if facts and facts.kvm else "qemu"
        return resolved.Node(
            name=name,
            roles=entry.roles,
            management_ip=entry.management,
            tunnel_ip=tunnel,
            tunnel_interface=facts.nic_with(tunnel) if facts and tunnel else "",
            datapath_type=entry.model.datapath_type,
            virt_type=virt,
            rollback_seconds=entry.model.rollback_seconds,
            mappings=tuple(
                resolved.BridgeMapping(
                    physical, mapping.bridge, mapping.interface or "",
                    addressed=bool(facts and facts.has_addresses(mapping.interface or "")),
                )
                for physical, mapping in sorted(entry.model.bridge_mappings.items())
            ),
            local_vlans=self.allocations.vlans.get(name, {}),
        )

    def _network(self, name: str, routed: bool) -> resolved.Network:
        model = self.model.networks[name]
        return resolved.Network(
            name=name,
            id=self._id("network", name),
            type=model.type,
            subnets=tuple(
                resolved.Subnet(
                    name=label,
                    id=self._id("subnet", f"{name}/{label}"),
                    cidr=subnet.cidr,
                    gateway_ip=subnet.gateway,
                    enable_dhcp=subnet.enable_dhcp,
                    dns_nameservers=tuple(subnet.dns_nameservers),
                    host_routes=tuple((route.destination, route.nexthop) for route in subnet.host_routes),
                    ip_version=subnet.version,
                )
                for label, subnet in model.subnets.items()
            ),
            physical_network=model.physical_network or "",
            segmentation_id=self.allocations.networks[name].segmentation_id,
            external=model.external,
            mtu=model.mtu or maximum(self.inventory, self.facts, name),
            dns_domain=model.dns_domain or "novalocal",
            isolated=not routed,
        )

    def _port(
        self, key: str, network: str, node: str, owner: str, device: str, port: PortAllocation,
        nic: NicModel | None = None, groups: tuple[str, ...] = (),
    ) -> resolved.Port:
        secure = self.model.networks[network].port_security
        if nic is not None and nic.port_security is not None:
            secure = nic.port_security
        pairs = nic.allowed_address_pairs if nic else []
        return resolved.Port(
            id=self._id("port", key),
            mac=port.mac,
            network=network,
            nodes=(node,),
            owner=owner,
            device=device,
            fixed_ips=tuple(resolved.FixedIp(self._subnet(network, address), address) for address in port.addresses),
            port_security=secure if nic else True,
            allowed_pairs=tuple((pair.mac_address or "", pair.ip_address) for pair in pairs),
            security_groups=groups if secure else (),
        )

    def _subnet(self, network: str, address: str) -> str:
        if len(self.spaces[network]) == 1:
            return self.spaces[network][0].name
        value = number(address)
        version = 6 if ":" in address else 4
        return next(space.name for space in self.spaces[network] if space.version == version and value in space)

    def _router(self, name: str) -> resolved.Router:
        model, allocation = self.model.routers[name], self.allocations.routers[name]
        gateway = None
        if model.external_network and allocation.gateway:
            gateway = self._port(
                f"router/{name}/gateway", model.external_network, allocation.node, resolved.OWNER_ROUTER_GATEWAY, name,
                allocation.gateway,
            )
        return resolved.Router(
            name=name,
            id=self._id("router", name),
            nodes=(allocation.node,),
            gateway=gateway,
            enable_snat=model.enable_snat,
            interfaces=tuple(
                self._port(
                    f"router/{name}/{label}", model.interfaces[index].network, allocation.node,
                    resolved.OWNER_ROUTER_INTERFACE, name, allocation.ports[label],
                )
                for label, index in numbered(model.interfaces)
            ),
            routes=tuple((route.destination, route.nexthop) for route in model.routes),
            floating_ips=self.floating.get(name, ()),
        )

    def _floating_ips(self) -> Mapping[str, tuple[resolved.FloatingIp, ...]]:
        """Router → its floating IPs, sorted by address."""
        served: dict[str, list[resolved.FloatingIp]] = defaultdict(list)
        for address in sorted(self.model.floating_ips, key=lambda address: int(ip_address(address))):
            model = self.model.floating_ips[address]
            for target in targets(self.inventory, model):
                port = self.allocations.instances[target.instance].ports[target.label]
                fixed = next((candidate for candidate in port.addresses if ":" not in candidate), "")
                if model.fixed_address in (None, fixed):
                    served[target.router].append(
                        resolved.FloatingIp(
                            address, model.network, fixed, target.instance, self._id("floating_ip", address)
                        )
                    )
                    break
        return {router: tuple(floating_ips) for router, floating_ips in served.items()}

    def _image(self, name: str) -> resolved.Image:
        model = self.model.images[name]
        checksum = model.checksum or self.checksums.get(name, "")
        digest = checksum.partition(":")[2]
        return resolved.Image(
            name=name,
            checksum=checksum,
            digest=digest,
            url=f"https://{self._store()}:{STORE_PORT}/images/{digest}",
            format=model.format,
            ca=STORE_CA,
        )

    def _store(self) -> str:
        """The management address of the controller that has the image store."""
        controllers = (name for name, entry in self.inventory.nodes.items() if "controller" in entry.roles)
        return self.inventory.nodes[min(controllers, key=natural)].management

    def _instance(self, name: str, images: Mapping[str, resolved.Image]) -> resolved.Instance:
        model, allocation = self.inventory.instances[name], self.allocations.instances[name]
        flavor = self.model.flavors[model.flavor]
        keypair = model.keypair
        return resolved.Instance(
            name=name,
            id=self._id("instance", name),
            number=allocation.number,
            node=allocation.node,
            vcpus=flavor.vcpus,
            ram_mb=flavor.ram_mb,
            disk_gb=flavor.disk_gb,
            flavor=model.flavor,
            image=images[model.image],
            ports=tuple(
                self._port(
                    f"instance/{name}/{label}", model.networks[index].network, allocation.node, resolved.OWNER_INSTANCE,
                    name, allocation.ports[label], model.networks[index], groups_of_nic(model, model.networks[index]),
                )
                for label, index in numbered(model.networks)
            ),
            state=model.state,
            protected=model.protected,
            keys=((keypair, self.model.keypairs[keypair]),) if keypair else (),
            user_data=model.user_data,
            metadata=dict(sorted(model.metadata.items())),
            availability_zone=self.inventory.nodes[allocation.node].model.availability_zone,
            project=model.project or "",
            security_groups=tuple(model.security_groups),
        )
