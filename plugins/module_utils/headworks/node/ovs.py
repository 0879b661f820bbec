"""Open vSwitch bridges and ports: rows of OVSDB, changed in one transaction. Flows live in ``flows.py``.

What the rows look like is in ``ovs_rows.py``, how the database is spoken to in ``ovsdb.py``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from typing import Any, ClassVar

from .ovs_batch import PortBatch, insert, read_ports, update_bridge
from .ovs_rows import (
    BRIDGE_COLUMNS,
    MARK,
    NIC_MARK,
    OvsBridge,
    OvsPort,
    Row,
    bridge_columns,
    bridge_config,
    bridge_of,
    port_of,
)
from .ovsdb import (
    DATABASE,
    ENDPOINT,
    Operation,
    Ovsdb,
    from_map,
    from_set,
    present,
    select,
    to_map,
    to_set,
)
from .subsystem import Change, Reading, Subsystem

__all__ = ["OvsBridge", "OvsBridgeSubsystem", "OvsPort", "OvsPortSubsystem"]

REMADE = "its device was made anew"
NOTHING: tuple[Any, ...] = ("", None, (), {}, False)


class _OvsSubsystem(Subsystem[Any]):
    """What bridges and ports share.

    :param owner: see ``Subsystem``. Maps (external_ids, other_config) are then compared by the wanted keys only.
    :param exact: maps are compared whole: for desired objects that were made from the actual ones (see
        ``ovs_options.py``), so that a key can also be taken away.
    :param seconds: how long ovs-vswitchd may take to act on a change; None: as long as its size warrants.
    """

    def __init__(
        self,
        owner: str | None = None,
        *,
        endpoint: str = ENDPOINT,
        exact: bool = False,
        seconds: float | None = None,
    ) -> None:
        super().__init__(owner)
        self.endpoint = endpoint
        self.exact = exact
        self.seconds = seconds
        self.notes: list[str] = []

    def diff(self, desired: Mapping[str, Any], actual: Reading[Any]) -> list[Change[Any]]:
        """The changes; ``before`` shows only what ``desired`` speaks of, so that foreign keys are never in a diff."""
        objects = {
            name: self.comparable(one, desired[name]) if name in desired else one
            for name, one in actual.objects.items()
        }
        return super().diff(desired, Reading(objects, actual.owned))

    def comparable(self, actual: Any, wanted: Any) -> Any:
        """``actual`` without what ``wanted`` leaves open."""
        raise NotImplementedError

    def describe(self, one: Any) -> Any:
        """What is set of the object: here the records' defaults are worth showing, emptiness is not."""
        return None if one is None else {key: value for key, value in asdict(one).items() if value not in NOTHING}

    def _only(self, actual: Mapping[str, str], wanted: Mapping[str, str]) -> Mapping[str, str]:
        return actual if self.exact else {key: value for key, value in actual.items() if key in wanted}

    def _mark(self) -> dict[str, str]:
        return {MARK: self.owner} if self.owner is not None else {}

    def _is_ours(self, external_ids: Mapping[str, str]) -> bool:
        return self.owner is not None and external_ids.get(MARK) == self.owner


class OvsBridgeSubsystem(_OvsSubsystem):
    """Bridges. One that somebody else made and the plan names (an operator's br-ex) is used and set, not owned."""

    kind: ClassVar[str] = "ovs_bridge"
    record: ClassVar[type] = OvsBridge

    def read(self, desired: Mapping[str, OvsBridge], scope: frozenset[str] | None = None) -> Reading[OvsBridge]:
        """All bridges. Ours that are not wanted but carry foreign ports are not reported as ours: they stay, and a
        note says so."""
        if not present(self.endpoint):
            return Reading()
        with Ovsdb(self.endpoint) as database:
            rows, internals = database.select(
                [
                    select("Bridge", BRIDGE_COLUMNS),
                    select("Interface", ["name", "error", "ofport"], [["type", "==", "internal"]]),
                ]
            )
            local = {row["name"]: row for row in internals}
            # The local port has number 65534 and no entry here until ovs-vsctl or we make one.
            objects = {row["name"]: bridge_of(row, local.get(row["name"])) for row in rows}
            ours = {name for name, one in objects.items() if self._is_ours(one.external_ids)}
            unwanted = [row for row in rows if row["name"] in ours - set(desired)]
            if scope is None:
                self.notes = []
                ours -= self._in_use(database, unwanted)
        return Reading(objects, frozenset(ours))

    def _in_use(self, database: Ovsdb, unwanted: Sequence[Row]) -> set[str]:
        if not unwanted:
            return set()
        (ports,) = database.select([select("Port", ["_uuid", "name", "external_ids"])])
        by_id = {row["_uuid"][1]: row for row in ports}
        kept = set()
        for bridge in unwanted:
            on_it = [by_id[uuid] for uuid in from_set(bridge["ports"])]
            foreign = sorted(row["name"] for row in on_it if self._is_foreign(row, bridge["name"]))
            if foreign:
                kept.add(bridge["name"])
                self.notes.append(
                    f"ovs_bridge {bridge['name']} is no longer wanted but stays: "
                    f"it has ports that are not ours ({', '.join(foreign)})"
                )
        return kept

    def _is_foreign(self, port: Row, bridge: str) -> bool:
        external_ids = from_map(port["external_ids"])
        return port["name"] != bridge and NIC_MARK not in external_ids and not self._is_ours(external_ids)

    def comparable(self, actual: OvsBridge, wanted: OvsBridge) -> OvsBridge:
        """Only the wanted keys, and only the columns that ``wanted`` decides."""
        return replace(
            actual,
            datapath_type=actual.datapath_type if wanted.datapath_type else "",
            fail_mode=actual.fail_mode if wanted.fail_mode else "",
            mac=actual.mac if wanted.mac else "",
            external_ids=self._only(actual.external_ids, wanted.external_ids),
            other_config=self._only(actual.other_config, wanted.other_config),
        )

    def apply(self, changes: Sequence[Change[OvsBridge]]) -> None:
        """All in one transaction, then wait for ovs-vswitchd."""
        with Ovsdb(self.endpoint) as database:
            (rows,) = database.select([select("Bridge", ["_uuid", "name"])])
            uuids = {row["name"]: row["_uuid"][1] for row in rows}
            operations: list[Operation] = []
            added, removed = [], []
            for number, change in enumerate(changes):
                if change.after is None:
                    removed += [["uuid", uuids[change.name]]] if change.name in uuids else []
                elif change.name in uuids:
                    before = change.before or OvsBridge(change.name, "", "")
                    operations += update_bridge(uuids[change.name], before, change.after)
                else:
                    added.append(["named-uuid", f"b{number}"])
                    operations += self._insert(number, change.after)
            mutations = [["bridges", "insert", to_set(added)]] if added else []
            mutations += [["bridges", "delete", to_set(removed)]] if removed else []
            if mutations:
                operations.append({"op": "mutate", "table": DATABASE, "where": [], "mutations": mutations})
            database.commit(operations, self.seconds, len(changes))

    def _insert(self, number: int, bridge: OvsBridge) -> list[Operation]:
        row = {
            "name": bridge.name,
            **bridge_columns(bridge),
            "ports": ["named-uuid", f"p{number}"],
            "external_ids": to_map({**bridge.external_ids, **self._mark()}),
            "other_config": to_map(bridge_config(bridge)),
        }
        port = {"name": bridge.name, "interfaces": ["named-uuid", f"i{number}"]}
        return [
            insert("Interface", f"i{number}", {"name": bridge.name, "type": "internal"}),
            insert("Port", f"p{number}", port),
            insert("Bridge", f"b{number}", row),
        ]


class OvsPortSubsystem(_OvsSubsystem):
    """Ports. All changes of a node are one transaction; a changed port is changed in place, never made anew.

    The one exception is a port whose device was made anew under it: ovs-vswitchd does not always notice, and its
    userspace datapath then holds on to the device that is gone, without any error. Such a port is taken out and put
    back.
    """

    kind: ClassVar[str] = "ovs_port"
    record: ClassVar[type] = OvsPort

    def __init__(self, owner: str | None = None, **options: Any) -> None:
        super().__init__(owner, **options)
        self._served: frozenset[str] = frozenset()
        self._remade: frozenset[str] = frozenset()

    def read(self, desired: Mapping[str, OvsPort], scope: frozenset[str] | None = None) -> Reading[OvsPort]:
        """All ports, or only the named ones when nothing can be ours (no owner) or only ``scope`` matters."""
        names = scope if scope is not None else frozenset(desired) if self.owner is None else None
        found = self.read_named(names)
        if scope is not None:
            return found
        self._served = frozenset(name for name in found.owned if not found.objects[name].error)
        remade = {name: replace(found.objects[name], error=REMADE) for name in self._remade & self._served}
        return Reading({**found.objects, **remade}, found.owned)

    def unsettled_by(self, made: Sequence[Change[Any]]) -> bool:
        """Ports that worked and whose links have just been made (a veth whose other end was not where it should be)."""
        links = frozenset(change.name for change in made if change.kind == "link" and _is_new(change))
        self._remade = links & self._served
        return bool(self._remade)

    def read_named(self, names: frozenset[str] | None) -> Reading[OvsPort]:
        """The ports of these names (None: all), wherever they are; perhaps some more."""
        if not present(self.endpoint):
            return Reading()
        with Ovsdb(self.endpoint) as database:
            bridges, ports, interfaces = read_ports(database, names)
        home = {uuid: row["name"] for row in bridges for uuid in from_set(row["ports"])}
        by_name = {row["name"]: row for row in interfaces}
        objects, owned = {}, set()
        for row in ports:
            name, bridge = row["name"], home.get(row["_uuid"][1])
            if bridge is None:
                continue
            one = port_of(row, bridge, by_name.get(name))
            objects[name] = one
            nic = NIC_MARK in one.port_external_ids or NIC_MARK in one.external_ids
            if self._is_ours(one.port_external_ids) and not nic:
                owned.add(name)
        return Reading(objects, frozenset(owned))

    def comparable(self, actual: OvsPort, wanted: OvsPort) -> OvsPort:
        """Only the wanted keys of the external_ids; ``mac`` only when it is wanted."""
        return replace(
            actual,
            mac=actual.mac if wanted.mac else "",
            external_ids=self._only(actual.external_ids, wanted.external_ids),
            port_external_ids=self._only(actual.port_external_ids, wanted.port_external_ids),
        )

    def same(self, desired: OvsPort, actual: OvsPort) -> bool:
        """Equal, whatever the order of trunks and the case of the MAC; a port in error is never what is desired."""
        return desired == actual or _plain(desired) == _plain(actual)

    def apply(self, changes: Sequence[Change[OvsPort]]) -> None:
        """All in one transaction, then wait for ovs-vswitchd.

        A port that was only in error leads to an empty transaction: it makes ovs-vswitchd try again, for the device
        may be there by now.

        :raises OvsdbError: a bridge does not exist.
        """
        changes = self._unplug(changes)
        with Ovsdb(self.endpoint) as database:
            names = frozenset(change.name for change in changes)
            bridges, ports, interfaces = read_ports(database, names, ("_uuid", "name"), ("_uuid", "name"))
            batch = PortBatch(bridges, ports, interfaces, self._mark())
            for number, change in enumerate(changes):
                if change.after is None:
                    batch.remove(change.name)
                else:
                    batch.put(number, change.before, change.after)
            database.commit(batch.all(), self.seconds, len(changes))

    def _unplug(self, changes: Sequence[Change[OvsPort]]) -> list[Change[OvsPort]]:
        """Take out the ports whose devices were made anew; the changes, with what others wrote on those ports."""
        remade = {change.name for change in changes if change.after and change.before and change.before.error == REMADE}
        self._remade = frozenset()
        if not remade:
            return list(changes)
        found = self.read_named(frozenset(remade)).objects
        with Ovsdb(self.endpoint) as database:
            rows = read_ports(database, frozenset(remade), ("_uuid", "name"), ("_uuid", "name"))
            batch = PortBatch(*rows, self._mark())
            for name in sorted(remade):
                batch.remove(name)
            database.commit(batch.all(), self.seconds, len(remade))
        return [
            replace(change, before=None, after=_with_keys_of(found[change.name], change.after))
            if change.after and change.name in remade
            else change
            for change in changes
        ]


def _is_new(change: Change[Any]) -> bool:
    """Whether a link is another than the one that was there (its MTU or being up is not what makes it one)."""
    if change.after is None or change.before is None:
        return change.after is not None
    return any(getattr(change.before, key) != getattr(change.after, key) for key in ("kind", "peer", "peer_netns"))


def _with_keys_of(found: OvsPort, wanted: OvsPort) -> OvsPort:
    return replace(
        wanted,
        external_ids={**found.external_ids, **wanted.external_ids},
        port_external_ids={**found.port_external_ids, **wanted.port_external_ids},
    )


def _plain(port: OvsPort) -> OvsPort:
    return replace(port, trunks=tuple(sorted(port.trunks)), mac=port.mac.lower())
