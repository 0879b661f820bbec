"""Section ``nft``: the nftables table ``headworks`` of a namespace."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import ClassVar

TABLE = "headworks"

FAMILIES = ("inet", "ip", "arp", "netdev", "bridge", "ip6")



def table_key(netns: str, family: str) -> str:
    """Return the name of a table in messages and changes: its namespace, followed by the family if it is not ``ip``."""
    return netns if family == "ip" else f"{netns}/{family}"


def tables_of(netns: str) -> frozenset[str]:
    """Return the keys of all tables that a namespace may have."""
    return frozenset(table_key(netns, family) for family in FAMILIES)


@dataclass(frozen=True)
class NftMap:
    """A named map, for example ``name=floating_dnat, type="ipv4_addr : ipv4_addr"``. ``elements`` maps key → value. A
    type without a colon declares a set, whose elements have the value "". A type that begins with ``typeof`` is that of
    an expression. ``flags`` are written as nft lists them (``interval``)."""

    name: str
    type: str
    elements: Mapping[str, str] = field(default_factory=dict)
    flags: str = ""


@dataclass(frozen=True)
class NftChain:
    """A chain. ``hook`` is the chain's hook in nft syntax (``type nat hook prerouting priority dstnat; policy
    accept;``), or "" for a chain that other chains jump to. ``rules`` are in nft syntax, spelled in any way that nft
    accepts. They have no comment, because on the node the comment of a rule holds the digest of its text.

    ``digests`` is set only in a chain that was read from a node: the digest in each rule's comment, or "" for a rule
    without one."""

    name: str
    hook: str = ""
    rules: tuple[str, ...] = ()
    digests: tuple[str, ...] = ()


@dataclass(frozen=True)
class NftTable:
    """Table ``<family> headworks`` in namespace ``name`` ("" = root). ``floating_maps`` names maps: when an element of
    such a map is removed or changed, its conntrack entries are deleted in both directions."""

    name: str
    family: str = "ip"
    maps: tuple[NftMap, ...] = ()
    chains: tuple[NftChain, ...] = ()
    floating_maps: tuple[str, ...] = ()
    nested: ClassVar[Mapping[str, type]] = {"maps": NftMap, "chains": NftChain}

    def __post_init__(self) -> None:
        """Check the family, because it goes on a command line.

        :raises ValueError: nftables has no such family.
        """
        if self.family not in FAMILIES:
            raise ValueError(
                f"table of namespace {self.name!r}: family {self.family!r} is not one of {', '.join(FAMILIES)}"
            )
