"""The nftables table ``headworks`` of a namespace: NAT, floating IPs as map elements, filters; one transaction each.

This file loads, compares and swaps tables. What does not belong here: which rules a router has (``wiring``), nft's own
language (``language.py``), and ending the connections that outlive a floating IP (``conntrack.py``).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from ...state.codec import encode
from ...state.nft import FAMILIES, TABLE, NftTable
from ...system import nfnetlink
from ...system.netlink import NETLINK_NETFILTER, Netlink, attribute_text
from ...system.netns import in_netns, is_namespace
from ...system.nftables import available, nft
from ..marks import owned_namespaces
from ..subsystem import Applied, Change, Reading, Scope, Subsystem
from .conntrack import delete_translations
from .language import parse_table, same_hook, same_rules, transaction


class NftSubsystem(Subsystem[NftTable]):
    """Tables named ``headworks``, in the root namespace and in those that are ours. The name is the mark."""

    kind = "nft"
    record = NftTable
    atomic = True

    @classmethod
    def key(cls, one: NftTable) -> str:
        """The namespace's name; with the family where that is not ``ip``."""
        return one.name if one.family == "ip" else f"{one.name}/{one.family}"

    def read(self, desired: Mapping[str, NftTable], scope: Scope | None = None) -> Reading[NftTable]:
        """Only where the kernel says that there is such a table is it listed."""
        ours = {"", *owned_namespaces(self.owner)} if self.owner else set()
        wanted = {one.name for one in desired.values()}
        objects, owned = {}, set()
        for netns in sorted(ours | wanted):
            for family in families(netns):
                name = self.key(NftTable(netns, family))
                if (scope is not None and name not in scope) or (netns not in ours and name not in desired):
                    continue
                listed = name in desired or not netns  # what goes with its namespace needs no listing
                objects[name] = read_table(netns, family) if listed else NftTable(netns, family)
                if netns in ours:
                    owned.add(name)
        return Reading(objects, frozenset(owned))

    def same(self, desired: NftTable, actual: NftTable) -> bool:
        """Maps and chains are compared by name, maps by their elements, hooks by meaning, rules by the digests in their
        comments. A rule that somebody removed, added, moved or wrote anew is a difference.

        One change is not noticed: somebody replaces the text of a rule and keeps its comment with our digest.
        """
        if {one.name: one for one in desired.maps} != {one.name: one for one in actual.maps}:
            return False
        there = {one.name: one for one in actual.chains}
        return set(there) == {one.name for one in desired.chains} and all(
            same_rules(one, there[one.name]) and same_hook(one.hook, there[one.name].hook) for one in desired.chains
        )

    def describe(self, item: NftTable | None) -> Any:
        """The table as plain data: rules without their digests, and a remark behind a rule that has none."""
        if item is None:
            return None
        chains = [
            replace(chain, rules=tuple(map(_remarked, chain.rules, chain.digests or chain.rules)), digests=())
            for chain in item.chains
        ]
        return encode(replace(item, chains=tuple(chains)))

    def apply(self, changes: Sequence[Change[NftTable]]) -> Applied:
        """One transaction a namespace, then connections that were translated by what is gone are forgotten."""
        for change in changes:
            table = change.after or change.before
            assert table is not None
            if table.name and not is_namespace(table.name):
                continue  # it went with its namespace
            with in_netns(table.name):
                nft(transaction(change.before, change.after))
                delete_translations(_gone(change.before, change.after))
        return Applied()


def read_table(netns: str, family: str) -> NftTable:
    """The table as it is, in a namespace that has one."""
    with in_netns(netns):
        listing = nft(f"list table {family} {TABLE}\n")
    maps, chains = parse_table(listing)
    return NftTable(netns, family, tuple(maps), tuple(chains))


def _remarked(rule: str, digest: str) -> str:
    return rule if digest else f"{rule}  # carries no digest of headworks"


def families(netns: str) -> list[str]:
    """The families in which the namespace has a table of ours: asked of the kernel, which takes microseconds.

    ``netdev`` is not among them: that table belongs to ``node/underlay/userspace.py``.
    """
    if (netns and not is_namespace(netns)) or not available():
        return []
    mark = attribute_text(nfnetlink.NFTA_TABLE_NAME, TABLE)
    every_family = nfnetlink.head(nfnetlink.NFPROTO_UNSPEC)
    try:
        with in_netns(netns), Netlink(NETLINK_NETFILTER) as netlink:
            tables = netlink.dump(nfnetlink.NFT_MSG_GETTABLE, every_family, keep=lambda body: mark in body)
    except OSError:
        return []  # no nftables in this kernel
    found = {body[0] for body in tables}
    return [family for family in FAMILIES if nfnetlink.NFPROTO[family] in found and family != "netdev"]


def _gone(before: NftTable | None, after: NftTable | None) -> list[tuple[str, str]]:
    """(key, value) of the floating maps' elements that are no longer, or no longer so."""
    if before is None:
        return []
    names = after.floating_maps if after else tuple(one.name for one in before.maps)
    now = {one.name: one.elements for one in after.maps} if after else {}
    return [
        (key, value)
        for one in before.maps
        if one.name in names
        for key, value in one.elements.items()
        if now.get(one.name, {}).get(key) != value
    ]
