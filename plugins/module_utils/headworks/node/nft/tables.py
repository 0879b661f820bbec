"""The nftables table ``headworks`` of a namespace: NAT, floating IPs as map elements, filters; one transaction each.

Which rules a router has is the plan's business; this file loads, compares and swaps them. nft's own language is read
and written in ``nft_text.py``; connections that outlive a floating IP are ended in ``conntrack.py``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from ...state.nft import FAMILIES, TABLE, NftChain, NftMap, NftTable
from ...system import nfnetlink
from ...system.netlink import NETLINK_NETFILTER, Netlink, attribute_text
from ...system.netns import in_netns, is_namespace
from ...system.nftables import available, nft
from ..marks import owned_namespaces
from ..subsystem import Applied, Change, Reading, Scope, Subsystem
from .conntrack import delete_translations
from .language import parse_table, same_hook, transaction


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
        """Maps and chains are compared by name; priorities by number."""
        if {one.name: one for one in desired.maps} != {one.name: one for one in actual.maps}:
            return False
        there = {one.name: one for one in actual.chains}
        return set(there) == {one.name for one in desired.chains} and all(
            one.rules == there[one.name].rules and same_hook(one.hook, there[one.name].hook) for one in desired.chains
        )

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
    return NftTable(
        netns,
        family,
        tuple(NftMap(one.name, one.type, one.elements, one.flags) for one in maps),
        tuple(NftChain(one.name, one.hook, one.rules) for one in chains),
    )


def families(netns: str) -> list[str]:
    """The families in which the namespace has a table of ours: asked of the kernel, which takes microseconds.

    ``netdev`` is not among them: that table belongs to ``underlay_userspace.py``.
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
