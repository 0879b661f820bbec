"""Metadata trees of the instances, and the nginx that serves them (one for each node).

A request goes through haproxy in the namespace of a router or of DHCP (``proxy.py``), a unix socket and nginx to the
tree of the instance. The tree is found by network id and source address, never by a header from the guest. What does
not belong here: how a tree looks on disk (``trees.py``), and how nginx is configured (``server.py``).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ....state.distribution import Distribution
from ....state.metadata import InstanceMetadata
from ...subsystem import Applied, Change, Reading, Scope, Subsystem
from . import server, trees

ROOT = Path("/run/headworks/metadata")


@dataclass(frozen=True)
class MetadataStore:
    """The nginx of the node; wanted as soon as there is a tree to serve. ``problems`` is set only by reading."""

    name: str = "store"
    problems: tuple[str, ...] = ()


Served = InstanceMetadata | MetadataStore
STORE = MetadataStore()


class MetadataSubsystem(Subsystem[Served]):
    """Trees and their server. A tree is built beside the others under a name made from its content, then the instance's
    link is swapped to it: what a guest reads is the old tree or the new one, and comparing costs one readlink."""

    kind = "metadata"
    record = InstanceMetadata

    def __init__(self, owner: str | None = None, root: Path = ROOT, *, accounts: server.Accounts) -> None:
        super().__init__(owner)
        self.root = root
        self.accounts = accounts

    @classmethod
    def of_node(cls, owner: str, distribution: Distribution) -> MetadataSubsystem:
        """With the accounts of the distribution."""
        accounts = server.Accounts(distribution.nginx_user, distribution.nginx_group, distribution.haproxy_group)
        return cls(owner, accounts=accounts)

    @classmethod
    def load(cls, items: Iterable[Mapping[str, Any]]) -> dict[str, Served]:
        """The trees, and the server when there is a tree."""
        found = super().load(items)
        return {**found, STORE.name: STORE} if found else {}

    def read(self, desired: Mapping[str, Served], scope: Scope | None = None) -> Reading[Served]:
        """Which tree each address has. The server is ours when no other cloud has trees here."""
        objects: dict[str, Served] = {}
        owned = set()
        others = False
        for one in trees.read_links(self.root):
            ours = self.owner is not None and one.cloud in (None, self.owner)
            others |= not ours
            name = f"{one.network_id}/{one.address}"
            if ours or name in desired:
                # A link that is not marked as ours yet is made again, mark and all.
                digest = one.digest if self.owner in (None, one.cloud) else ""
                objects[name] = InstanceMetadata(one.network_id, one.address, "", digest=digest)
            if ours:
                owned.add(name)
        problems = server.problems(self.root, self.accounts, wanted=STORE.name in desired)
        if problems is not None:
            objects[STORE.name] = MetadataStore(problems=problems)
            if self.owner is not None and not others:
                owned.add(STORE.name)
        if scope is not None:
            objects = {name: one for name, one in objects.items() if name in scope}
        return Reading(objects, frozenset(owned & set(objects)))

    def same(self, desired: Served, actual: Served) -> bool:
        """Trees are compared by digest."""
        if isinstance(desired, InstanceMetadata) and isinstance(actual, InstanceMetadata):
            return trees.digest(desired) == actual.digest
        return desired == actual

    def apply(self, changes: Sequence[Change[Served]]) -> Applied:
        """Trees first, then their server; whatever no link points to any more goes."""
        wanted = [one.after for one in changes if isinstance(one.after, InstanceMetadata)]
        gone = [one.before for one in changes if one.after is None and isinstance(one.before, InstanceMetadata)]
        for one in wanted:  # bad values are refused before anything is written
            trees.check(one)
        with server.in_progress(self.root):
            for one in gone:
                trees.unlink(self.root, one.network_id, one.address)
            trees.plant(self.root, wanted, self.owner or "", self.accounts.nginx_group)
            trees.collect_garbage(self.root)
            served = [one for one in changes if one.name == STORE.name]
            if served and served[0].after is not None:
                server.run_it(self.root, self.accounts)
        if served and served[0].after is None:
            server.remove(self.root)
        return Applied()

    def describe(self, one: Served | None) -> Any:
        """Paths, sizes and digests; never a content, which may be a secret."""
        if not isinstance(one, InstanceMetadata):
            return None if one is None else {"name": one.name, "problems": list(one.problems)}
        tree = one.digest or (trees.digest(one) if one.files else "")
        summary = trees.summary(one) if one.files else trees.summary_of_tree(self.root, one.digest)
        return {"network_id": one.network_id, "address": one.address, "tree": tree, "files": summary}
