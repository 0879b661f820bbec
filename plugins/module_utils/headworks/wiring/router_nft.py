"""A router's nftables table: floating IPs as map elements, source NAT, hairpin NAT and filters.

Rules are written as ``nft list`` prints them, so that a reader finds here the text that a node shows; a functional test
compares them with the real nft. The node compares digests of these texts, so it does not depend on the spelling. What
does not belong here: addresses and routes (``router.py``).
"""

from __future__ import annotations

from ..plan.cloud import OWNER_ROUTER_INTERFACE, Port, Router
from ..state.metadata import METADATA_ADDRESS
from ..state.nft import NftChain, NftMap, NftTable
from . import names
from .node_view import NodeView, is_ipv4
from .owners import OWNERS, owner_device

FLOATING_DNAT, FLOATING_SNAT = "floating_dnat", "floating_snat"  # `dnat` and `snat` are keywords of nft
FROM_OUTSIDE = "0x00000002"


def router_tables(view: NodeView) -> list[NftTable]:
    """Return the table of every router on the node."""
    return [_table(router) for router in view.routers]


def _table(router: Router) -> NftTable:
    gateway = router.gateway
    external = next((fixed.address for fixed in gateway.fixed_ips if is_ipv4(fixed.address)), "") if gateway else ""
    name = names.router_netns(router)
    if gateway is None or not external:
        return NftTable(name=name, chains=(_input(), _forward("")))
    device = owner_device(gateway)
    return NftTable(
        name=name,
        maps=_maps(router),
        chains=(
            _input(),
            _forward(device if router.enable_snat else ""),
            *_destination_nat(device),
            _source_nat(gateway, external, router.enable_snat),
        ),
        floating_maps=(FLOATING_DNAT,),
    )


def _maps(router: Router) -> tuple[NftMap, ...]:
    inward = {floating.address: floating.fixed for floating in router.floating_ips}
    outward: dict[str, str] = {}
    for floating in router.floating_ips:
        outward.setdefault(floating.fixed, floating.address)  # of two floating IPs, the lower is the source address
    pairs = "ipv4_addr : ipv4_addr"
    return NftMap(FLOATING_DNAT, pairs, inward), NftMap(FLOATING_SNAT, pairs, outward)


def _input() -> NftChain:
    """Accept metadata requests only from guests on the router's networks, and only to the proxy's port.

    A request must come in by an internal device, and its source address must be routed back over the same device: so a
    guest cannot use an address of another network.
    """
    address = f"ip daddr {METADATA_ADDRESS}"
    return NftChain(
        name="input",
        hook="type filter hook input priority filter; policy accept;",
        rules=(
            'iifname "lo" accept',
            f'{address} iifname != "{OWNERS[OWNER_ROUTER_INTERFACE].prefix}*" drop',
            f"{address} fib saddr . iif oif missing drop",
            f"{address} tcp dport != 80 drop",
        ),
    )


def _forward(closed_device: str) -> NftChain:
    """Drop packets that conntrack cannot assign to a connection, as NAT would not apply to them.

    With source NAT, the networks behind the router are private: a new connection from outside that is not to a floating
    IP is dropped, also if a neighbour on the external network routes it here. Without source NAT, they are ordinary
    routed networks that are reachable from outside, as in Neutron. ``closed_device`` is the gateway's device, ""
    without source NAT.
    """
    rules = ["ct state invalid drop"]
    if closed_device:
        rules.append(f'iifname "{closed_device}" ct state new ct status ! dnat drop')
    return NftChain(name="forward", hook="type filter hook forward priority filter; policy accept;", rules=tuple(rules))


def _destination_nat(device: str) -> tuple[NftChain, ...]:
    """Translate floating to fixed addresses in packets that arrive and in packets that the router itself sends. The
    mark tells source NAT which packets came from outside, as the incoming device is not known there any more."""
    to_fixed = f"dnat to ip daddr map @{FLOATING_DNAT}"
    return (
        NftChain(
            name="prerouting",
            hook="type nat hook prerouting priority dstnat; policy accept;",
            rules=(f'iifname "{device}" meta mark set {FROM_OUTSIDE}', to_fixed),
        ),
        NftChain(name="output", hook="type nat hook output priority -100; policy accept;", rules=(to_fixed,)),
    )


def _source_nat(gateway: Port, external: str, enable_snat: bool) -> NftChain:
    """Return the chain of source NAT. Its rules, in this order:

    1. A packet from outside to a guest keeps its source address.
    2. A packet between internal networks keeps its source address, unless its destination was translated.
    3. Any other packet from a guest with a floating IP gets the floating IP as its source address.
    4. With source NAT only: any other packet to outside gets the router's address.
    5. Any other packet from inside to a floating IP (hairpin) gets the router's address. Otherwise the answer would
       not return through the router.
    """
    device = owner_device(gateway)
    rules = [
        f'oifname != "{device}" meta mark {FROM_OUTSIDE} accept',
        f'oifname != "{device}" ct status ! dnat accept',
        f"snat to ip saddr map @{FLOATING_SNAT}",
    ]
    if enable_snat:
        rules.append(f'oifname "{device}" snat to {external} fully-random')
    rules.append(f"ct status dnat snat to {external} fully-random")
    return NftChain(
        name="postrouting", hook="type nat hook postrouting priority srcnat; policy accept;", rules=tuple(rules)
    )
