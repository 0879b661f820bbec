"""Links of the root namespace: veth pairs (the peer is created inside its namespace), persistent taps, Linux bridges.

What does not belong here: addresses, routes and devices *inside* namespaces (``node/l3``), OVS bridges and ports
(``node/ovs``), and the system calls that create a tap (``taps.py``).
"""

from __future__ import annotations

import socket
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace

from ...state.links import GROUP, Link
from ...system import rtnl
from ...system.ip_batch import ip_batch
from ...system.netns import in_netns
from ...system.tx_checksum import set_tx_checksum, tx_checksum
from ..one_by_one import apply_isolated
from ..subsystem import Applied, Change, Conflict, Reading, Scope, Subsystem
from .closed import closing_words, is_closed, switch_off_ipv6
from .taps import create_taps

REMOVAL_GROUP = 26744  # the link group of links that are being removed
KINDS = ("bridge", "veth", "tap", "existing")  # the order in which links are created: masters first
_ORDER = {kind: position for position, kind in enumerate(KINDS)}


class LinkSubsystem(Subsystem[Link]):
    """Links. Our links have link group 26743. The request that creates a link also sets its group."""

    kind = "link"
    record = Link

    def read(self, desired: Mapping[str, Link], scope: Scope | None = None) -> Reading[Link]:
        """Return our links and those with a desired name. It dumps the root namespace once, and looks for the peer of a
        veth inside the desired namespace."""
        infos = rtnl.links(None if scope is None else _names_around(desired, scope))
        by_index = {info.index: info.name for info in infos.values()}
        peers = _peers(desired, infos)
        groups = (GROUP, REMOVAL_GROUP) if self.owner else ()
        ours = frozenset(name for name, info in infos.items() if info.group in groups)
        objects = {}
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as query:
            for name, info in infos.items():
                if info.group == REMOVAL_GROUP and name in desired:
                    continue  # a run was killed while it removed this link: the link must be recreated
                if name in desired or name in ours:
                    objects[name] = _link(info, desired.get(name), by_index, peers.get(name, ("", "")), query)
        conflicts = _conflicts(desired, objects, ours if self.owner else None)
        return Reading(objects, ours & set(objects), conflicts=conflicts if scope is None else ())

    def same(self, desired: Link, actual: Link) -> bool:
        """Return whether the link is as desired. Fields that the plan leaves open ("" or 0) are not compared."""
        return (
            not _must_recreate(desired, actual)
            and not _adjustments(desired, actual)
            and (desired.tx_checksum == actual.tx_checksum)
        )

    def requires(self, item: Link) -> Mapping[str, Collection[str]]:
        """Return the namespace of the peer, which must be ours."""
        return {"netns": {item.peer_netns}} if item.peer_netns else {}

    def apply(self, changes: Sequence[Change[Link]]) -> Applied:
        """Remove links by their group, then create and change links in one batch. A link is recreated only if its kind
        or its peer differs. A link that fails stops no other."""
        return apply_isolated(self, changes, self._apply)

    def _apply(self, changes: Sequence[Change[Link]]) -> None:
        ordered = sorted(changes, key=lambda change: _ORDER.get((change.after or change.before).kind, 0))  # type: ignore[union-attr]
        recreated = [
            change.name
            for change in ordered
            if change.before and change.after and _must_recreate(change.after, change.before)
        ]
        removed = [change.name for change in ordered if change.after is None and change.before.kind != "existing"]  # type: ignore[union-attr]
        remove_links(removed + recreated)
        finish_removals([change.name for change in ordered if change.before is None])
        created = [
            change.after
            for change in ordered
            if change.after and (change.before is None or change.name in recreated)
        ]
        group = f" group {GROUP}" if self.owner else ""
        lines = [line for link in created if link.kind != "tap" for line in _create(link, group)]
        for change in ordered:
            if change.before and change.after and change.name not in recreated:
                lines += [f"link set dev {change.name} {words}" for words in _adjustments(change.after, change.before)]
        ip_batch(lines)
        create_taps([(link.name, _create(link, group)) for link in created if link.kind == "tap"])
        for link in (change.after for change in ordered if change.after is not None):
            if closing_words(link):
                switch_off_ipv6(link.name)
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as query:
            for link in (change.after for change in ordered if change.after is not None):
                if _compares_tx_checksum(link) and tx_checksum(query, link.name) != link.tx_checksum:
                    set_tx_checksum(query, link.name, link.tx_checksum)


def _names_around(desired: Mapping[str, Link], names: Collection[str]) -> set[str]:
    """Return ``names``, and the names of the peers and masters of these links in the root namespace."""
    links = [desired[name] for name in names if name in desired]
    peers = {link.peer for link in links if not link.peer_netns}
    return {*names, *peers, *(link.master for link in links)} - {""}


def _conflicts(
    desired: Mapping[str, Link], existing: Mapping[str, Link], ours: frozenset[str] | None
) -> tuple[Conflict, ...]:
    """Return a conflict for each desired NIC that does not exist, and for each foreign link with a desired name.

    :param existing: the links on the node.
    :param ours: names of the links with our mark. None: links are not marked, so no link is foreign.
    """
    peers = {link.peer for link in desired.values() if not link.peer_netns}
    conflicts = []
    for name, link in desired.items():
        if link.kind == "existing" and name not in existing and name not in peers:
            conflicts.append(Conflict(name, f"link {name}: this node has no such interface"))
        if ours is not None and link.kind != "existing" and name in existing and name not in ours:
            text = f"link {name} exists and is not ours (its group is not {GROUP}): rename or remove it"
            conflicts.append(Conflict(name, text))
    return tuple(conflicts)


def remove_links(names: Sequence[str]) -> None:
    """Remove links of the root namespace with one request for their group. It takes as long as removing one link.

    A link that disappears meanwhile (a veth whose namespace is being removed) is not an error. The verification finds
    the links that remain.
    """
    existing = sorted(set(names) & {name for _, name in socket.if_nameindex()})
    if existing:
        lines = [f"link set dev {name} group {REMOVAL_GROUP}" for name in existing]
        ip_batch([*lines, f"link delete group {REMOVAL_GROUP}"], force=True)


def finish_removals(names: Sequence[str]) -> None:
    """Remove those links of ``names`` that a killed run was removing."""
    if {name for _, name in socket.if_nameindex()} & set(names):
        remove_links([name for name, info in rtnl.links(names).items() if info.group == REMOVAL_GROUP])


def _create(link: Link, group: str) -> list[str]:
    """Return the ``ip`` commands that create ``link``. For a tap, ``create_taps`` has created it before."""
    mtu = f" mtu {link.mtu}" if link.mtu else ""
    mac = f" address {link.mac}" if link.mac else ""
    master = f" master {link.master}" if link.master else ""
    up = f"link set dev {link.name} up"
    if link.kind == "tap":
        return [f"link set dev {link.name}{group}{mtu}{mac}{master} {closing_words(link)}", up]
    if link.kind == "bridge" and link.mtu:
        # A bridge takes the MTU of its ports until someone sets an MTU that differs from its present MTU.
        add = f"link add name {link.name} mtu {link.mtu - 1}{mac}{group}{master} up type bridge"
        return [add, f"link set dev {link.name}{mtu}"]
    if link.kind == "veth":
        add = f"link add name {link.name}{mtu}{mac}{group}{master} type veth"
        netns = f" netns {link.peer_netns}" if link.peer_netns else ""
        peer_mac = f" address {link.peer_mac}" if link.peer_mac else ""
        add = f"{add} peer name {link.peer}{mtu}{peer_mac}{netns}"
        lines = [add, f"link set dev {link.name} {closing_words(link)}", up]
        # node/l3 brings up a peer that is inside a namespace.
        return lines if netns else [*lines, f"link set dev {link.peer} up"]
    return [f"link add name {link.name}{mtu}{mac}{group}{master} up type {link.kind}"]


def _must_recreate(desired: Link, actual: Link) -> bool:
    """Whether ``ip link set`` cannot make ``actual`` as desired."""
    if desired.kind == "existing":
        return False
    return desired.kind != actual.kind or (desired.kind == "veth" and _peer(desired) != _peer(actual))


def _peer(link: Link) -> tuple[str, str]:
    return (link.peer_netns, link.peer)


def _adjustments(desired: Link, actual: Link) -> list[str]:
    """Return the arguments of ``ip link set`` that make ``actual`` as desired, for a link that is not recreated."""
    words = []
    if desired.mac and desired.mac.lower() != actual.mac:
        words.append(f"address {desired.mac}")
    if desired.mtu and desired.mtu != actual.mtu:
        words.append(f"mtu {desired.mtu}")
    if desired.master != actual.master:
        words.append(f"master {desired.master}" if desired.master else "nomaster")
    if not actual.closed:
        words.append(closing_words(desired))
    if desired.up and not actual.up:
        words.append("up")
    return words


def _link(
    info: rtnl.LinkInfo, desired: Link | None, by_index: Mapping[int, str], peer: tuple[str, str], query: socket.socket
) -> Link:
    """Return the record of an actual link."""
    kind = "existing" if desired is not None and desired.kind == "existing" else info.kind
    link = Link(info.name, kind, info.mtu, info.mac, peer=peer[1], peer_netns=peer[0], up=info.up)
    if desired is None:
        return link
    return replace(
        link,
        closed=kind == "existing" or is_closed(info),
        master=_master(info, desired, by_index),
        peer_mac=desired.peer_mac,  # node/l3 compares and sets the MAC of the peer
        tx_checksum=tx_checksum(query, info.name) if _compares_tx_checksum(desired) else True,
    )


def _compares_tx_checksum(desired: Link) -> bool:
    """Whether the transmit checksum offload is compared. If it is desired on, only a veth is compared: a tap has the
    offloads that its guest accepts, and a bridge those of its ports."""
    return desired.kind == "veth" or not desired.tx_checksum


def _master(info: rtnl.LinkInfo, desired: Link, by_index: Mapping[int, str]) -> str:
    """Return the name of the link's master. The kernel datapath ``ovs-system`` does not count: ``node/ovs`` manages
    the ports of OVS."""
    if not info.master_index:
        return ""
    if info.master_index not in by_index:
        by_index = dict(socket.if_nameindex())
    master = by_index.get(info.master_index, "")
    return "" if master == "ovs-system" and not desired.master else master


def _peers(desired: Mapping[str, Link], infos: Mapping[str, rtnl.LinkInfo]) -> dict[str, tuple[str, str]]:
    """Return (namespace, name) of the peer of each desired veth that exists, or ("?", "?") if it is not the desired
    peer."""
    names_inside: dict[str, dict[int, str]] = {}
    peers = {}
    for name, link in desired.items():
        info = infos.get(name)
        if info is None or info.kind != "veth" or link.kind != "veth":
            continue
        if link.peer_netns not in names_inside:
            names_inside[link.peer_netns] = _names_inside(link.peer_netns)
        peer_name = names_inside[link.peer_netns].get(info.peer_index, "")
        as_desired = info.peer_elsewhere == bool(link.peer_netns) and peer_name == link.peer
        peers[name] = (link.peer_netns, link.peer) if as_desired else ("?", "?")
    return peers


def _names_inside(netns: str) -> dict[int, str]:
    """Return index → name of the links inside a namespace; empty if the namespace does not exist."""
    try:
        with in_netns(netns):
            return dict(socket.if_nameindex())
    except FileNotFoundError:
        return {}
