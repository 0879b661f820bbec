"""Links in the root namespace: veth pairs (the peer born in its namespace), persistent taps, Linux bridges.

Addresses, routes and offloads *inside* namespaces live in ``l3.py``; OVS bridges and ports in ``ovs.py``; how a tap is
made in ``taps.py``.
"""

from __future__ import annotations

import socket
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from ...state.links import GROUP, Link
from ...system import rtnl
from ...system.ip_batch import ip_batch
from ...system.netns import in_netns
from ...system.tx_checksum import set_tx_checksum, tx_checksum
from ..subsystem import Applied, Change, Conflict, Reading, Scope, Subsystem
from .taps import make_taps

DOOM_GROUP = 26744  # being removed
IPV6 = Path("/proc/sys/net/ipv6")  # not there where the kernel was started without
KINDS = ("bridge", "veth", "tap", "existing")  # in the order in which they are made: masters first
_ORDER = {kind: place for place, kind in enumerate(KINDS)}


class LinkSubsystem(Subsystem[Link]):
    """Links. Ours carry link group 26743, given in the same request that makes them."""

    kind = "link"
    record = Link

    def read(self, desired: Mapping[str, Link], scope: Scope | None = None) -> Reading[Link]:
        """One dump of the root namespace; what a veth ends in is looked up inside the namespaces desired."""
        found = rtnl.links(None if scope is None else _names_around(desired, scope))
        by_index = {one.index: one.name for one in found.values()}
        peers = _peers(desired, found)
        groups = (GROUP, DOOM_GROUP) if self.owner else ()
        ours = frozenset(name for name, one in found.items() if one.group in groups)
        objects = {}
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as query:
            for name, info in found.items():
                if info.group == DOOM_GROUP and name in desired:
                    continue  # a run was killed while removing it: to be made anew
                if name in desired or name in ours:
                    objects[name] = _link(info, desired.get(name), by_index, peers.get(name, ("", "")), query)
        conflicts = _conflicts(desired, objects, ours if self.owner else None)
        return Reading(objects, ours & set(objects), conflicts=conflicts if scope is None else ())

    def same(self, desired: Link, actual: Link) -> bool:
        """Fields that the plan leaves open ("" or 0) are not compared."""
        return (
            not _rebuild(desired, actual)
            and not _adjustments(desired, actual)
            and (desired.tx_checksum == actual.tx_checksum)
        )

    def apply(self, changes: Sequence[Change[Link]]) -> Applied:
        """Removals by group, then one batch for the rest; a link is only made anew if its kind or its peer differ."""
        ordered = sorted(changes, key=lambda change: _ORDER.get((change.after or change.before).kind, 0))  # type: ignore[union-attr]
        rebuilt = [one.name for one in ordered if one.before and one.after and _rebuild(one.after, one.before)]
        remove_links([one.name for one in ordered if one.after is None and one.before.kind != "existing"] + rebuilt)  # type: ignore[union-attr]
        remove_doomed([one.name for one in ordered if one.before is None])
        wanted = [one.after for one in ordered if one.after is not None]
        adjusted = [one for one in ordered if one.before and one.after and one.name not in rebuilt]
        made = [one.after for one in ordered if one.after and (one.before is None or one.name in rebuilt)]
        group = f" group {GROUP}" if self.owner else ""
        lines = [line for one in made if one.kind != "tap" for line in _create(one, group)]
        for change in adjusted:
            assert change.after is not None
            assert change.before is not None
            lines += [f"link set dev {change.name} {words}" for words in _adjustments(change.after, change.before)]
        ip_batch(lines)
        make_taps([(one.name, _create(one, group)) for one in made if one.kind == "tap"])
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as query:
            for one in wanted:
                if _judge_checksum(one) and tx_checksum(query, one.name) != one.tx_checksum:
                    set_tx_checksum(query, one.name, one.tx_checksum)
        return Applied()


def _names_around(desired: Mapping[str, Link], names: Collection[str]) -> set[str]:
    """The links of ``names``, and the links of the root namespace that they are connected to."""
    links = [desired[name] for name in names if name in desired]
    peers = {link.peer for link in links if not link.peer_netns}
    return {*names, *peers, *(link.master for link in links)} - {""}


def _conflicts(
    desired: Mapping[str, Link], there: Mapping[str, Link], ours: frozenset[str] | None
) -> tuple[Conflict, ...]:
    """A NIC that does not exist, and a link of somebody else's that has a desired name.

    :param ours: names of the links with our mark; None: nothing is marked, so nothing is somebody else's.
    """
    peers = {link.peer for link in desired.values() if not link.peer_netns}
    found = []
    for name, link in desired.items():
        if link.kind == "existing" and name not in there and name not in peers:
            found.append(Conflict(name, f"link {name}: there is no such interface on this node"))
        if ours is not None and link.kind != "existing" and name in there and name not in ours:
            text = f"link {name} exists and is not ours (its group is not {GROUP}): rename or remove it"
            found.append(Conflict(name, text))
    return tuple(found)


def remove_links(names: Sequence[str]) -> None:
    """Remove links of the root namespace, all at once: a removal by group costs what a single one does.

    One that goes by itself meanwhile (a veth whose namespace is being torn down) is no error: what is left is found
    when the engine looks again.
    """
    there = sorted(set(names) & {name for _, name in socket.if_nameindex()})
    if there:
        lines = [f"link set dev {name} group {DOOM_GROUP}" for name in there]
        ip_batch([*lines, f"link delete group {DOOM_GROUP}"], force=True)


def remove_doomed(names: Sequence[str]) -> None:
    """Remove what a killed run left half removed under one of ``names``."""
    if {name for _, name in socket.if_nameindex()} & set(names):
        remove_links([name for name, one in rtnl.links(names).items() if one.group == DOOM_GROUP])


def _create(one: Link, group: str) -> list[str]:
    """The ``ip`` commands that make a link (for a tap: that finish it)."""
    mtu = f" mtu {one.mtu}" if one.mtu else ""
    mac = f" address {one.mac}" if one.mac else ""
    master = f" master {one.master}" if one.master else ""
    if one.kind == "tap":
        return [f"link set dev {one.name}{group}{mtu}{mac}{master}", *_mute(one.name), f"link set dev {one.name} up"]
    if one.kind == "bridge" and one.mtu:
        # A bridge follows its ports' MTU until it is told one that differs from what it has.
        born = f"link add name {one.name} mtu {one.mtu - 1}{mac}{group}{master} up type bridge"
        return [born, f"link set dev {one.name}{mtu}"]
    if one.kind == "veth":
        words = f"link add name {one.name}{mtu}{mac}{group}{master} type veth"
        netns = f" netns {one.peer_netns}" if one.peer_netns else ""
        peer_mac = f" address {one.peer_mac}" if one.peer_mac else ""
        lines = [f"{words} peer name {one.peer}{mtu}{peer_mac}{netns}", *_mute(one.name)]
        # The far end in a namespace is brought up by l3.py.
        return [*lines, f"link set dev {one.name} up", *([] if netns else [f"link set dev {one.peer} up"])]
    return [f"link add name {one.name}{mtu}{mac}{group}{master} up type {one.kind}"]


def _mute(name: str) -> list[str]:
    """No IPv6 address of the node's own on what belongs to guests; to be said before the link is up.

    A thousand such addresses cost dearly, too: for every port that it floods a packet to, ovs-vswitchd's userspace
    datapath looks through all of them.
    """
    return [f"link set dev {name} addrgenmode none"] if IPV6.exists() else []


def _rebuild(desired: Link, actual: Link) -> bool:
    if desired.kind == "existing":
        return False
    return desired.kind != actual.kind or (desired.kind == "veth" and _end(desired) != _end(actual))


def _end(one: Link) -> tuple[str, str]:
    return (one.peer_netns, one.peer)


def _adjustments(desired: Link, actual: Link) -> list[str]:
    """What ``ip link set`` has to say to a link that may stay."""
    words = []
    if desired.mac and desired.mac.lower() != actual.mac:
        words.append(f"address {desired.mac}")
    if desired.mtu and desired.mtu != actual.mtu:
        words.append(f"mtu {desired.mtu}")
    if desired.master != actual.master:
        words.append(f"master {desired.master}" if desired.master else "nomaster")
    if desired.up and not actual.up:
        words.append("up")
    return words


def _link(
    info: rtnl.LinkInfo, desired: Link | None, by_index: Mapping[int, str], peer: tuple[str, str], query: socket.socket
) -> Link:
    kind = "existing" if desired is not None and desired.kind == "existing" else info.kind
    one = Link(info.name, kind, info.mtu, info.mac, peer=peer[1], peer_netns=peer[0], up=info.up)
    if desired is None:
        return one
    return replace(
        one,
        master=_master(info, desired, by_index),
        peer_mac=desired.peer_mac,  # the far end's own business: l3.py looks after it
        tx_checksum=tx_checksum(query, info.name) if _judge_checksum(desired) else True,
    )


def _judge_checksum(desired: Link) -> bool:
    """Only a veth has it on by our word; a tap has what its guest takes, a bridge what its ports have."""
    return desired.kind == "veth" or not desired.tx_checksum


def _master(info: rtnl.LinkInfo, desired: Link, by_index: Mapping[int, str]) -> str:
    """The master's name; the kernel datapath's own (``ovs-system``) is the business of ``ovs.py``."""
    if not info.master_index:
        return ""
    if info.master_index not in by_index:
        by_index = dict(socket.if_nameindex())
    master = by_index.get(info.master_index, "")
    return "" if master == "ovs-system" and not desired.master else master


def _peers(desired: Mapping[str, Link], found: Mapping[str, rtnl.LinkInfo]) -> dict[str, tuple[str, str]]:
    """Of each desired veth that is there, (namespace, name) of the far end, "?" where it is not where it should be."""
    inside: dict[str, dict[int, str]] = {}
    ends = {}
    for name, one in desired.items():
        info = found.get(name)
        if info is None or info.kind != "veth" or one.kind != "veth":
            continue
        if one.peer_netns not in inside:
            inside[one.peer_netns] = _names_inside(one.peer_netns)
        there = inside[one.peer_netns].get(info.peer_index, "")
        if info.peer_elsewhere == bool(one.peer_netns) and there == one.peer:
            ends[name] = (one.peer_netns, one.peer)
        else:
            ends[name] = ("?", "?")
    return ends


def _names_inside(netns: str) -> dict[int, str]:
    try:
        with in_netns(netns):
            return dict(socket.if_nameindex())
    except FileNotFoundError:
        return {}
