"""A router's nftables table: floating IPs as map elements, source NAT, hairpin, and who may talk to what.

Rules are written as ``nft list`` prints them, so that people find here what they see on a node; a functional test holds
them against the real nft. Nothing else depends on it: the node compares digests of these texts. What does not belong
here: addresses and routes (``router.py``).
"""

from __future__ import annotations

from ..plan.cloud import OWNER_ROUTER_INTERFACE, Port, Router
from ..state.nft import NftChain, NftMap, NftTable
from . import names
from .node_view import NodeView, is_ipv4
from .owners import OWNERS, owner_device

FLOATING_DNAT, FLOATING_SNAT = "floating_dnat", "floating_snat"  # `dnat` and `snat` are words of nft's own
FROM_OUTSIDE = "0x00000002"


def router_tables(view: NodeView) -> list[NftTable]:
    """The table of every router on the node."""
    return [_table(router) for router in view.routers]


def _table(router: Router) -> NftTable:
    gateway = router.gateway
    external = next((one.address for one in gateway.fixed_ips if is_ipv4(one.address)), "") if gateway else ""
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
    inward = {one.address: one.fixed for one in router.floating_ips}
    outward: dict[str, str] = {}
    for one in router.floating_ips:
        outward.setdefault(one.fixed, one.address)  # two floating IPs of one address: it goes out by the lower
    pairs = "ipv4_addr : ipv4_addr"
    return NftMap(FLOATING_DNAT, pairs, inward), NftMap(FLOATING_SNAT, pairs, outward)


def _input() -> NftChain:
    """Metadata is for guests on the router's own networks: by an internal device, from an address that is routed back
    over the same device (so no network can ask in another's name), and nothing but the proxy's port."""
    address = f"ip daddr {names.METADATA_ADDRESS}"
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
    """Packets that conntrack cannot place never pass, for NAT would not apply to them.

    With source NAT on, the networks behind the router are private: what comes in from outside and was not sent to a
    floating IP is dropped, though a neighbour on the external network could route it here. With it off they are
    ordinary routed networks, reachable from outside, as in Neutron.
    """
    rules = ["ct state invalid drop"]
    if closed_device:
        rules.append(f'iifname "{closed_device}" ct state new ct status ! dnat drop')
    return NftChain(name="forward", hook="type filter hook forward priority filter; policy accept;", rules=tuple(rules))


def _destination_nat(device: str) -> tuple[NftChain, ...]:
    """Floating → fixed, for what arrives and for what the router itself sends. The mark tells source NAT what came from
    outside, since the incoming device is not known there any more."""
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
    """In this order: what came from outside keeps its source; so does traffic between internal networks; a guest with a
    floating IP goes by it, out or to another floating IP; others by the router's address if source NAT is on; and
    whoever reaches a floating IP from inside (hairpin) by the router's address, or the answer would not come back."""
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
