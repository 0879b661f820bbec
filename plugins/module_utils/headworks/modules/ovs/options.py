"""From the options of ovs_bridge and ovs_port to the records to converge. An omitted option stays as it is on the node.

The options are those of the well-known openvswitch_bridge and openvswitch_port. A node state names every field and
needs none of this. The options of ports are in ``port_options.py``, the option ``set`` is in ``set_option.py``.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

from ...node.subsystem import Note, Subsystem
from ...state.ovs import OvsBridge, OvsPort
from ...system.ovsdb import ENDPOINT
from .columns import OvsColumn, add_column
from .existing import Existing
from .port_options import check_port, given, merged, wanted_port
from .set_option import Record, with_set
from .switch import SwitchSubsystem, Tolerance

Item = Mapping[str, Any]
Step = tuple[Subsystem[Any], dict[str, Any], dict[str, Any]]

FAKE_PREFIX = "fake-bridge-"  # ovs-vsctl keeps the external_ids of a fake bridge under such keys of its port
FAIL_MODES = ("secure", "standalone")
REAL_BRIDGE_OPTIONS = ("datapath_type", "fail_mode", "mac", "other_config")


class SwitchRequest:
    """The records that the items of one module call ask for.

    :param kind: ``ovs_bridge`` or ``ovs_port``: what the items are.
    :param names: the names of all bridges and ports in the items.
    """

    def __init__(self, kind: str, names: Iterable[str], endpoint: str = ENDPOINT, seconds: float | None = None) -> None:
        self.kind = kind
        self.endpoint = endpoint
        self.seconds = seconds
        self.existing = Existing(frozenset(names), endpoint)
        self.wanted: dict[str, OvsBridge | OvsPort] = {}
        self.columns: dict[str, OvsColumn] = {}
        self.absent: dict[str, OvsBridge | OvsPort] = {}
        self.notes: list[Note] = []
        self.waiting: set[str] = set()
        self._items: dict[str, Item] = {}

    def steps(self) -> list[Step]:
        """The steps for ``modules.items.finish``: one, because the call is one transaction."""
        tolerance = Tolerance(frozenset(self.waiting), tuple(self.notes))
        subsystem = SwitchSubsystem(self.kind, self.endpoint, self.seconds, tolerance)
        return [(subsystem, {**self.wanted, **self.columns}, dict(self.absent))]

    def add_bridge(self, item: Item) -> None:
        """Add one item of ovs_bridge to the request.

        :raises ValueError: the options contradict each other or the node.
        """
        name = item["bridge"]
        self._check_listed_once("bridge", name, item)
        fake = self.existing.fake(name)
        if item["state"] == "present":
            self._check_name(name)
            bridge: OvsBridge | OvsPort
            if fake or item.get("parent"):
                bridge = self._with_set(self._wanted_fake_bridge(item, fake), item)
                check_port(bridge)
            else:
                bridge = self._wanted_bridge(item)
            self.wanted[name] = bridge
        elif fake:
            self.absent.update(self._ports_of_fake_bridge(fake))
        elif name in self.existing.bridges:
            self.absent[name] = self.existing.bridges[name]

    def add_port(self, item: Item) -> None:
        """Add one item of ovs_port to the request.

        :raises ValueError: the options contradict each other or the node, or the bridge of a new port is missing.
        """
        name = item["port"]
        self._check_listed_once("port", name, item)
        now = self.existing.ports.get(name)
        if item["state"] == "present":
            if item.get("allow_missing_device"):
                self.waiting.add(name)
            start = wanted_port(item, self.existing)
            if now is not None and self.existing.owner(start) != self.existing.owner(now):
                before, after = self.existing.owner(now), self.existing.owner(start)
                self._note(name, f"port {name}: moves from bridge {before} to bridge {after}")
            self._add_other_config(item, new=now is None)
            port = self._with_set(start, item)
            check_port(port)
            self.wanted[name] = port
        elif now is not None:
            self._add_absent_port(item, now)

    def _add_absent_port(self, item: Item, now: OvsPort) -> None:
        """Add the removal of an existing port, unless it stays: the local port of a bridge, and a port of another
        bridge, as with ``ovs-vsctl list-ports``."""
        name, bridge = now.name, item.get("bridge")
        owner = self.existing.owner(now)
        if name in self.existing.bridges or now.fake_bridge:
            self._note(name, f"port {name}: stays, because it is a bridge: remove a bridge with ovs_bridge")
        elif bridge not in (None, owner):
            self._note(name, f"port {name}: stays, because it is on bridge {owner}, not on {bridge}")
        else:
            self.absent[name] = now

    def _add_other_config(self, item: Item, new: bool) -> None:
        """Add the keys of a port's other_config. The record of a port has no field for them."""
        for key, value in (item.get("other_config") or {}).items():
            text = merged({}, {key: value}).get(key)
            if text is not None or not new:
                add_column(self.columns, OvsColumn("Port", item["port"], "other_config", key, text))

    # Real bridges

    def _wanted_bridge(self, item: Item) -> OvsBridge:
        name = item["bridge"]
        if item.get("vlan"):
            raise ValueError(f"bridge {name}: vlan is only for a fake bridge, which needs parent too")
        if item.get("fail_mode") and item["fail_mode"] not in FAIL_MODES:
            raise ValueError(f"bridge {name}: fail_mode {item['fail_mode']}: must be {' or '.join(FAIL_MODES)}")
        now = self.existing.bridges.get(name, OvsBridge(name, datapath_type="", fail_mode=""))
        other_config = merged(now.other_config, item.get("other_config"), clear=True)
        bridge = replace(
            now,
            **given(item, ("datapath_type", "fail_mode")),
            external_ids=merged(now.external_ids, item.get("external_ids"), clear=True),
            other_config={**other_config, "hwaddr": item["mac"]} if item.get("mac") else other_config,
            error="",
        )
        bridge = self._with_set(bridge, item)
        return replace(bridge, mac=bridge.other_config.get("hwaddr", ""))

    # Fake bridges: ports with a VLAN that stand for a bridge

    def _wanted_fake_bridge(self, item: Item, now: OvsPort | None) -> OvsPort:
        name = item["bridge"]
        if name in self.existing.bridges:
            raise ValueError(f"bridge {name}: is a real bridge, so it cannot have the parent {item['parent']}")
        wrong = list(given(item, REAL_BRIDGE_OPTIONS))
        if wrong:
            raise ValueError(f"bridge {name}: a fake bridge has no {wrong[0]} of its own: set that of its parent")
        vlan = item["vlan"] if item.get("vlan") is not None else now.tag if now else None
        if vlan is None or not 0 <= vlan <= 4095:
            raise ValueError(f"bridge {name}: vlan {vlan}: a fake bridge needs one from 0 to 4095")
        parent = self._parent(item, now)
        other = self._other_fake_bridge(name, parent, vlan)
        if other:
            raise ValueError(f"bridge {name}: vlan {vlan}: bridge {parent} already has the fake bridge {other} for it")
        start = now or OvsPort(name, parent, "internal", fake_bridge=True)
        own = {key: value for key, value in start.port_external_ids.items() if key.startswith(FAKE_PREFIX)}
        others = {key: value for key, value in start.port_external_ids.items() if key not in own}
        ids = item.get("external_ids")
        prefixed = None if ids is None else {FAKE_PREFIX + key: value for key, value in ids.items()}
        return replace(start, tag=vlan, port_external_ids={**others, **merged(own, prefixed, clear=True)}, error="")

    def _parent(self, item: Item, now: OvsPort | None) -> str:
        name, parent = item["bridge"], item.get("parent")
        if now is not None:
            if parent not in (None, "", now.bridge):
                raise ValueError(f"bridge {name}: parent {parent}: its parent is {now.bridge}: remove it first")
            return now.bridge
        above = self.existing.fake(parent)
        if above:
            raise ValueError(f"bridge {name}: parent {parent}: is itself a fake bridge, of {above.bridge}")
        return str(parent)

    def _other_fake_bridge(self, name: str, parent: str, vlan: int) -> str:
        """The other fake bridge that has this parent and VLAN: in this call, or else on the node."""
        for other in self.wanted.values():
            if isinstance(other, OvsPort) and other.name != name and (other.bridge, other.tag) == (parent, vlan):
                return other.name
        other_name = self.existing.fakes.get((parent, vlan), name)
        gone = other_name in self.absent or other_name in self.wanted
        return "" if other_name == name or gone else other_name

    def _ports_of_fake_bridge(self, fake: OvsPort) -> dict[str, OvsPort]:
        """The ports that are removed with a fake bridge, itself among them: those of its parent that have its VLAN, but
        no other fake bridge."""
        ports = self.existing.ports_of(fake.bridge)
        return {
            name: port
            for name, port in ports.items()
            if port.tag == fake.tag and (name == fake.name or not port.fake_bridge)
        }

    # Both

    def _with_set(self, record: Record, item: Item) -> Record:
        """``record`` with the option ``set``. Columns that the record has no field for are added to the request."""
        schema = self.existing.schema() if item.get("set") else None
        if schema is None:
            return record
        record, others = with_set(record, item["set"], schema)
        for column in others:
            add_column(self.columns, column)
        return record

    def _check_name(self, name: str) -> None:
        """Check that no port or member of a bond has the name of the bridge."""
        port = self.existing.ports.get(name)
        if port is not None and name not in self.existing.bridges and not port.fake_bridge:
            raise ValueError(f"bridge {name}: {name} is a port of bridge {self.existing.owner(port)}")
        if name in self.existing.bonds:
            raise ValueError(f"bridge {name}: {name} is a member of the bond {self.existing.bonds[name]}")

    def _check_listed_once(self, what: str, name: str, item: Item) -> None:
        if not name:
            raise ValueError(f"{what}: the name is empty")
        if self._items.setdefault(name, item) != item:
            raise ValueError(f"{what} {name}: is in the list twice, with different options")

    def _note(self, name: str, text: str) -> None:
        self.notes.append(Note(self.kind, name, text))
