"""The subsystem for the nftables tables ``headworks`` of namespaces: read, compare and change them.

Each table is changed in one transaction. What does not belong here: which rules a router has
(``wiring/router_nft.py``), nft's language (``language.py``), and deleting the connections of a removed floating IP
(``conntrack.py``).
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from typing import Any

from ...state.codec import encode
from ...state.nft import FAMILIES, TABLE, NftTable, table_key
from ...system import nfnetlink
from ...system.netlink import NETLINK_NETFILTER, Netlink, attribute_text
from ...system.netns import in_netns, is_namespace
from ...system.nftables import available, nft
from ...system.process import ToolError
from ..marks import owned_namespaces
from ..subsystem import Applied, Change, Reading, Scope, Subsystem
from .conntrack import delete_translations
from .language import parse_table, same_hook, same_rules, transaction


class NftSubsystem(Subsystem[NftTable]):
    """Tables with the name ``headworks`` in the root namespace and in our namespaces. The name marks a table as
    ours."""

    kind = "nft"
    record = NftTable
    atomic = True

    @classmethod
    def key(cls, item: NftTable) -> str:
        """Return the namespace's name, followed by the family if it is not ``ip``."""
        return table_key(item.name, item.family)

    def read(self, desired: Mapping[str, NftTable], scope: Scope | None = None) -> Reading[NftTable]:
        """Read the tables that are desired or in our namespaces. A table is listed only if the kernel reports that it
        exists. A desired table that cannot be listed is broken."""
        ours = {"", *owned_namespaces(self.owner)} if self.owner else set()
        wanted = {table.name for table in desired.values()}
        objects, owned, broken = {}, set(), {}
        for netns in sorted(ours | wanted):
            for family in families(netns):
                name = self.key(NftTable(netns, family))
                if (scope is not None and name not in scope) or (netns not in ours and name not in desired):
                    continue
                listed = name in desired or not netns  # a table that is deleted with its namespace needs no listing
                objects[name] = NftTable(netns, family)
                if listed:
                    try:
                        objects[name] = read_table(netns, family)
                    except (OSError, ToolError, ValueError) as error:
                        broken[name] = f"table of {_place(name)}: {error}"
                if netns in ours:
                    owned.add(name)
        return Reading(objects, frozenset(owned), broken=broken)

    def same(self, desired: NftTable, actual: NftTable) -> bool:
        """Whether the tables have equal maps, and chains of the same names with the same hooks and rules.

        Hooks are compared by meaning, and rules by the digests in their comments. A rule that somebody removed, added,
        moved or rewrote is a difference. One change is not noticed: a rule with another text and our digest.
        """
        if {nft_map.name: nft_map for nft_map in desired.maps} != {nft_map.name: nft_map for nft_map in actual.maps}:
            return False
        chains = {chain.name: chain for chain in actual.chains}
        return set(chains) == {chain.name for chain in desired.chains} and all(
            same_rules(chain, chains[chain.name]) and same_hook(chain.hook, chains[chain.name].hook)
            for chain in desired.chains
        )

    def describe(self, item: NftTable | None) -> Any:
        """Return the table as plain data: rules are without digests, and a remark follows a rule without a digest."""
        if item is None:
            return None
        chains = [
            replace(chain, rules=tuple(map(_remarked, chain.rules, chain.digests or chain.rules)), digests=())
            for chain in item.chains
        ]
        return encode(replace(item, chains=tuple(chains)))

    def requires(self, item: NftTable) -> Mapping[str, Collection[str]]:
        """Return the namespace: one that is not ours must not get our tables."""
        return {"netns": {item.name}}

    def apply(self, changes: Sequence[Change[NftTable]]) -> Applied:
        """Run one transaction per table, and then delete the connections of removed translations. A table that is
        refused stays as it was, and stops no other."""
        failures = {}
        for change in changes:
            try:
                _apply(change)
            except (OSError, ToolError, ValueError) as error:
                failures[change.name] = f"table of {_place(change.name)}: {error}"
        return Applied(failures=failures)


def _apply(change: Change[NftTable]) -> None:
    table = change.after or change.before
    assert table is not None
    if not change.after and table.name and not is_namespace(table.name):
        return  # the table was deleted with its namespace
    with in_netns(table.name):
        nft(transaction(change.before, change.after))
        delete_translations(_removed_elements(change.before, change.after))


def _place(key: str) -> str:
    """Return where a table is, for people."""
    return f"namespace {key}" if key and not key.startswith("/") else f"the root namespace{key.replace('/', ', ')}"


def read_table(netns: str, family: str) -> NftTable:
    """Read the table of a namespace, which must exist."""
    with in_netns(netns):
        listing = nft(f"list table {family} {TABLE}\n")
    maps, chains = parse_table(listing)
    return NftTable(netns, family, tuple(maps), tuple(chains))


def _remarked(rule: str, digest: str) -> str:
    return rule if digest else f"{rule}  # carries no digest of headworks"


def families(netns: str) -> list[str]:
    """Return the families in which the namespace has a table ``headworks``. The request to the kernel takes
    microseconds.

    ``netdev`` is left out: that table belongs to ``node/underlay/userspace.py``.
    """
    if (netns and not is_namespace(netns)) or not available():
        return []
    name = attribute_text(nfnetlink.NFTA_TABLE_NAME, TABLE)
    every_family = nfnetlink.head(nfnetlink.NFPROTO_UNSPEC)
    try:
        with in_netns(netns), Netlink(NETLINK_NETFILTER) as netlink:
            tables = netlink.dump(nfnetlink.NFT_MSG_GETTABLE, every_family, keep=lambda body: name in body)
    except OSError:
        return []  # the kernel has no nftables
    numbers = {body[0] for body in tables}
    return [family for family in FAMILIES if nfnetlink.NFPROTO[family] in numbers and family != "netdev"]


def _removed_elements(before: NftTable | None, after: NftTable | None) -> list[tuple[str, str]]:
    """Return (key, value) of the elements of floating maps that ``after`` lacks or has with another value."""
    if before is None:
        return []
    names = after.floating_maps if after else tuple(nft_map.name for nft_map in before.maps)
    elements = {nft_map.name: nft_map.elements for nft_map in after.maps} if after else {}
    return [
        (key, value)
        for nft_map in before.maps
        if nft_map.name in names
        for key, value in nft_map.elements.items()
        if elements.get(nft_map.name, {}).get(key) != value
    ]
