"""The nftables table ``headworks`` of a namespace: NAT, floating IPs as map elements, filters; one ``nft -f`` each.

Which rules a router has is the plan's business (``plan/router.py``); this file loads, compares and swaps them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import ClassVar


@dataclass(frozen=True)
class NftMap:
    """A named map, for example ``name=dnat, type="ipv4_addr : ipv4_addr"``; ``elements`` key → value."""

    name: str
    type: str
    elements: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class NftChain:
    """A base chain. ``hook`` is nft's own words (``type nat hook prerouting priority dstnat; policy accept;``);
    ``rules`` are written exactly as ``nft list`` prints them."""

    name: str
    hook: str = ""
    rules: tuple[str, ...] = ()


@dataclass(frozen=True)
class NftTable:
    """Table ``<family> headworks`` in namespace ``name``. ``floating_maps`` names the maps whose removed or changed
    elements have their conntrack entries deleted (by external and by fixed address)."""

    name: str
    family: str = "ip"
    maps: tuple[NftMap, ...] = ()
    chains: tuple[NftChain, ...] = ()
    floating_maps: tuple[str, ...] = ()
    nested: ClassVar[Mapping[str, type]] = {"maps": NftMap, "chains": NftChain}
