"""The L3 configuration of a router's namespace: addresses, routes and sysctls.

What does not belong here: NAT and filters (``router_nft.py``), and links (``links.py``).
"""

from __future__ import annotations

from ..plan.cloud import Port, Router
from ..state.l3 import Device, NamespaceConfig, Route
from ..state.metadata import METADATA_ADDRESS
from . import names
from .node_view import NodeView, contains, is_ipv4
from .owners import owner_device

LOOPBACK_MTU = 65536


def router_l3(view: NodeView) -> list[NamespaceConfig]:
    """Return the L3 configuration of every router on the node."""
    return [_router(view, router) for router in view.routers]


def _router(view: NodeView, router: Router) -> NamespaceConfig:
    devices = [_device(view, owner_device(port), port) for port in router.interfaces]
    # The metadata proxy listens on this address. Because of arp_ignore, the router does not answer ARP requests for it.
    devices.append(Device(name="lo", mtu=LOOPBACK_MTU, addresses=(f"{METADATA_ADDRESS}/32",)))
    if router.gateway is not None:
        floating = tuple(f"{floating.address}/32" for floating in router.floating_ips)
        devices.append(_device(view, owner_device(router.gateway), router.gateway, floating))
    return NamespaceConfig(
        name=names.router_netns(router),
        devices=tuple(sorted(devices, key=lambda device: device.name)),
        routes=tuple(_routes(view, router)),
        sysctls=_sysctls(router),
    )


def _device(view: NodeView, name: str, port: Port, more: tuple[str, ...] = ()) -> Device:
    return Device(
        name=name,
        mac=port.mac,
        mtu=view.cloud.networks[port.network].mtu,
        addresses=tuple(sorted({*view.with_prefix(port), *more})),
        tx_checksum=view.offload,
        announce=True,
    )


def _routes(view: NodeView, router: Router) -> list[Route]:
    """Return the routes: a default route per IP version by the external subnets' gateways, and the router's own routes,
    which override them."""
    by_destination: dict[str, Route] = {}
    if router.gateway is not None:
        device = owner_device(router.gateway)
        for fixed in router.gateway.fixed_ips:
            via = view.subnet(router.gateway.network, fixed.subnet).gateway_ip
            destination = "default" if is_ipv4(fixed.address) else "::/0"
            if via and destination not in by_destination:
                by_destination[destination] = Route(destination=destination, via=via, device=device)
    for destination, via in router.routes:
        name = "default" if destination == "0.0.0.0/0" else destination
        by_destination[name] = Route(destination=name, via=via, device=_towards(view, router, via))
    return sorted(by_destination.values(), key=lambda route: route.destination)


def _towards(view: NodeView, router: Router, via: str) -> str:
    """Return the device whose subnet has the next hop; "" if no subnet has it (the kernel then refuses the route)."""
    ports = [(owner_device(port), port) for port in router.interfaces]
    if router.gateway is not None:
        ports.append((owner_device(router.gateway), router.gateway))
    for device, port in ports:
        if any(contains(view.subnet(port.network, fixed.subnet).cidr, via) for fixed in port.fixed_ips):
            return device
    return ""


def _sysctls(router: Router) -> dict[str, str]:
    """Return path below /proc/sys/net → value.

    The reverse path filter is strict on the gateway, where a packet must not have an internal source address. It is
    loose on internal devices, where extra routes may be asymmetric. Redirects are off: they would lead a guest around
    the NAT that its hairpin traffic needs. A new namespace and its devices begin with the IPv4 values of the root
    namespace, and the kernel combines "all" with the device's own value. So a value that the node may have for itself
    (proxy_arp, or arp_ignore 2) is set for both.
    """
    sysctls = {
        "ipv4/ip_forward": "1",
        "ipv4/conf/all/arp_announce": "2",
        "ipv4/conf/all/arp_ignore": "1",
        "ipv4/conf/all/proxy_arp": "0",
        "ipv4/conf/all/rp_filter": "0",
        "ipv4/conf/all/send_redirects": "0",
        "netfilter/nf_conntrack_tcp_be_liberal": "1",
    }
    ports = [*router.interfaces, *([router.gateway] if router.gateway is not None else [])]
    if any(not is_ipv4(fixed.address) for port in ports for fixed in port.fixed_ips):
        sysctls["ipv6/conf/all/forwarding"] = "1"
    else:
        sysctls["ipv6/conf/all/disable_ipv6"] = "1"
        sysctls["ipv6/conf/default/disable_ipv6"] = "1"
    for port in router.interfaces:
        sysctls |= _device_sysctls(owner_device(port), rp_filter="2")
    if router.gateway is not None:
        sysctls |= _device_sysctls(owner_device(router.gateway), rp_filter="1")
    return dict(sorted(sysctls.items()))


def _device_sysctls(device: str, rp_filter: str) -> dict[str, str]:
    values = {"arp_ignore": "1", "proxy_arp": "0", "rp_filter": rp_filter, "send_redirects": "0"}
    return {f"ipv4/conf/{device}/{key}": value for key, value in values.items()}
