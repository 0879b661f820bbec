"""What the switch of a node has, as far as one call of ovs_bridge or ovs_port needs to know it before it decides.

What does not belong here: what the options ask for (``options.py``, ``port_options.py``).
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from itertools import chain
from typing import Any

from ...node.ovs.bridges import OvsBridgeSubsystem
from ...node.ovs.ports import OvsPortSubsystem
from ...state.ovs import OvsBridge, OvsPort
from ...system.ovsdb import ENDPOINT, Ovsdb, present, select, select_named


class Existing:
    """The bridges and ports that exist.

    ``bridges`` are all real bridges. ``ports`` are the ports of the given names, and all fake bridges: a fake bridge is
    a port with a VLAN that stands for a bridge. ``fakes`` maps (parent, VLAN) → name of the fake bridge. ``bonds`` maps
    those of the given names that are interfaces, but no ports, → the bond that has the interface.

    :param names: the ports to read.
    """

    def __init__(self, names: Collection[str], endpoint: str = ENDPOINT) -> None:
        self.endpoint = endpoint
        self._ports = OvsPortSubsystem(exact=True, endpoint=endpoint)
        self._schema: Mapping[str, Any] | None = None
        self.bridges: dict[str, OvsBridge] = dict(OvsBridgeSubsystem(exact=True, endpoint=endpoint).read({}).objects)
        self.ports: dict[str, OvsPort] = {}
        self.bonds: dict[str, str] = {}
        if present(endpoint):
            self._read_ports(frozenset(names))
        self.fakes = {(port.bridge, port.tag): name for name, port in self.ports.items() if port.fake_bridge}

    def fake(self, name: str | None) -> OvsPort | None:
        """The fake bridge ``name``."""
        port = self.ports.get(name or "")
        return port if port is not None and port.fake_bridge else None

    def owner(self, port: OvsPort) -> str:
        """The name of the bridge that ovs-vsctl shows ``port`` on: a fake bridge, if there is one for its VLAN."""
        return self.fakes.get((port.bridge, port.tag), port.bridge)

    def ports_of(self, bridge: str) -> dict[str, OvsPort]:
        """All ports of a real bridge, without its local port."""
        ports = self._ports.read_named(None).objects
        return {name: port for name, port in ports.items() if port.bridge == bridge and name != bridge}

    def schema(self) -> Mapping[str, Any] | None:
        """The tables of the database's schema; None on a node without Open vSwitch."""
        if self._schema is None and present(self.endpoint):
            with Ovsdb(self.endpoint) as database:
                self._schema = database.schema()["tables"]
        return self._schema

    def _read_ports(self, names: frozenset[str]) -> None:
        with Ovsdb(self.endpoint) as database:
            queries = select_named("Interface", ["_uuid", "name"], sorted(names))
            fakes, *interfaces = database.select([select("Port", ["name"], [["fake_bridge", "==", True]]), *queries])
            wanted = names | {row["name"] for row in fakes}
            self.ports = dict(self._ports.read_named(wanted).objects)
            for row in chain(*interfaces):
                if row["name"] not in self.ports:
                    where = [["interfaces", "includes", row["_uuid"]]]
                    (owners,) = database.select([select("Port", ["name"], where)])
                    for owner in owners:
                        self.bonds[row["name"]] = owner["name"]
