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
from ....system.process import ToolError
from ...subsystem import Applied, Change, Reading, Scope, Subsystem
from . import server, trees

ROOT = Path("/run/headworks/metadata")


@dataclass(frozen=True)
class MetadataServer:
    """The nginx of the node. It is desired if the node has a tree to serve. ``problems`` is set only when a node is
    read."""

    name: str = "server"
    problems: tuple[str, ...] = ()


class _ServerError(RuntimeError):
    """The server of the trees does not run."""


Served = InstanceMetadata | MetadataServer
SERVER = MetadataServer()


class MetadataSubsystem(Subsystem[Served]):
    """Trees and their server. A tree is written to a directory that is named by its content; then the instance's link
    is replaced in one step. A guest reads either the old tree or the new tree, and a comparison needs a single
    readlink."""

    kind = "metadata"
    record = InstanceMetadata

    def __init__(self, owner: str | None = None, root: Path = ROOT, *, accounts: server.Accounts) -> None:
        super().__init__(owner)
        self.root = root
        self.accounts = accounts

    @classmethod
    def of_node(cls, owner: str, distribution: Distribution) -> MetadataSubsystem:
        """Return the subsystem with the distribution's users and groups."""
        accounts = server.Accounts(distribution.nginx_user, distribution.nginx_group, distribution.haproxy_group)
        return cls(owner, accounts=accounts)

    @classmethod
    def load(cls, items: Iterable[Mapping[str, Any]]) -> dict[str, Served]:
        """Return the trees, and the server if there is a tree."""
        instances = super().load(items)
        return {**instances, SERVER.name: SERVER} if instances else {}

    def read(self, desired: Mapping[str, Served], scope: Scope | None = None) -> Reading[Served]:
        """Return the digest of each address's tree, and the server. The server is ours if no other cloud has trees on
        this node."""
        objects: dict[str, Served] = {}
        owned = set()
        has_foreign_trees = False
        for link in trees.read_links(self.root):
            ours = self.owner is not None and link.cloud in (None, self.owner)
            has_foreign_trees |= not ours
            name = f"{link.network_id}/{link.address}"
            if ours or name in desired:
                # Without a digest the link counts as different, so that it is written again together with our mark.
                digest = link.digest if self.owner in (None, link.cloud) else ""
                objects[name] = InstanceMetadata(link.network_id, link.address, "", digest=digest)
            if ours:
                owned.add(name)
        problems = server.find_problems(self.root, self.accounts, desired=SERVER.name in desired)
        if problems is not None:
            objects[SERVER.name] = MetadataServer(problems=problems)
            if self.owner is not None and not has_foreign_trees:
                owned.add(SERVER.name)
        if scope is not None:
            objects = {name: item for name, item in objects.items() if name in scope}
        return Reading(objects, frozenset(owned & set(objects)))

    def same(self, desired: Served, actual: Served) -> bool:
        """Return whether both are equal. Trees are compared by their digest."""
        if isinstance(desired, InstanceMetadata) and isinstance(actual, InstanceMetadata):
            return trees.digest(desired) == actual.digest
        return desired == actual

    def apply(self, changes: Sequence[Change[Served]]) -> Applied:
        """Change trees and links, delete trees without a link, then start, reload or remove the server. A tree that
        fails stops no other, and neither does the server."""
        failures: dict[str, str] = {}
        desired = {change.name: change.after for change in changes if isinstance(change.after, InstanceMetadata)}
        removed = [
            change.before
            for change in changes
            if change.after is None and isinstance(change.before, InstanceMetadata)
        ]
        for name, instance in list(desired.items()):  # refuse bad values before any file is written
            try:
                trees.check_paths(instance)
            except ValueError as error:
                failures[name] = str(error)
                del desired[name]
        server_change = next((change for change in changes if change.name == SERVER.name), None)
        try:
            with server.marked_pending(self.root):
                for instance in removed:
                    trees.remove_link(self.root, instance.network_id, instance.address)
                trees.write_trees(self.root, list(desired.values()), self.owner or "", self.accounts.nginx_group)
                trees.remove_unused(self.root)
                if server_change is not None and server_change.after is not None:
                    self._run_server()
            if server_change is not None and server_change.after is None:
                server.remove_server(self.root)
        except _ServerError as error:
            failures[SERVER.name] = str(error)
        return Applied(failures=failures)

    def _run_server(self) -> None:
        try:
            server.run_server(self.root, self.accounts)
        except (OSError, ToolError) as error:
            raise _ServerError(f"nginx: {error}") from error

    def describe(self, item: Served | None) -> Any:
        """Return paths, sizes and digests of the files without their content, because it may be secret."""
        if not isinstance(item, InstanceMetadata):
            return None if item is None else {"name": item.name, "problems": list(item.problems)}
        tree = item.digest or (trees.digest(item) if item.files else "")
        summary = trees.summary(item) if item.files else trees.summary_of_tree(self.root, item.digest)
        return {"network_id": item.network_id, "address": item.address, "tree": tree, "files": summary}
