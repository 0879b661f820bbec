"""Read from OVSDB what flows need: the bridges that ovs-vswitchd serves, and the OpenFlow numbers of ports.

What does not belong here: creating bridges and ports (``node/ovs``).
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass

from ...system.ovsdb import ENDPOINT, RUN_DIR, Ovsdb, from_map, map_mutations, optional, select
from ..marks import FLOWS_MARK

LOCAL = 65534
PORT_SECONDS = 30.0


@dataclass(frozen=True)
class Switches:
    """``bridges`` maps the name of each bridge that ovs-vswitchd serves → its external_ids. ``numbers`` maps port →
    OpenFlow number as text. ``troubles`` maps a port without a number → the reason ("" while ovs-vswitchd has not
    handled the port yet)."""

    bridges: Mapping[str, Mapping[str, str]]
    numbers: Mapping[str, str]
    troubles: Mapping[str, str]

    def trouble(self, port: str) -> str:
        """Return why a port has no number, for people."""
        return self.troubles.get(port, "no such port") or "ovs-vswitchd has not handled it yet"


def read_switches(endpoint: str = ENDPOINT) -> Switches:
    """Read bridges and ports in one transaction."""
    with Ovsdb(endpoint) as database:
        bridges, interfaces = database.select(
            [select("Bridge", ["name", "external_ids"]), select("Interface", ["name", "ofport", "error"])]
        )
    numbers, troubles = {}, {}
    for row in interfaces:
        number = optional(row["ofport"], None)
        if number is None or number < 1:
            troubles[row["name"]] = "" if number is None else str(optional(row["error"], "no number"))
        else:
            numbers[row["name"]] = "LOCAL" if number == LOCAL else str(number)
    served = {
        row["name"]: from_map(row["external_ids"]) for row in bridges if (RUN_DIR / f"{row['name']}.mgmt").exists()
    }
    return Switches(served, numbers, troubles)


def await_ports(needed: set[str], endpoint: str = ENDPOINT) -> Switches:
    """Wait until ovs-vswitchd has handled all ports of ``needed``, at most ``PORT_SECONDS``. Then return what
    ``read_switches`` returns. A port without a number has an error, or does not exist (``Switches.trouble``)."""
    deadline = time.monotonic() + PORT_SECONDS
    while True:
        switches = read_switches(endpoint)
        pending = any(switches.troubles.get(name) == "" for name in needed)
        if not pending or time.monotonic() > deadline:
            return switches
        time.sleep(0.1)


def mark_use(owner: str | None, names: set[str], switches: Switches, endpoint: str = ENDPOINT) -> None:
    """Set ``FLOWS_MARK`` on bridges (``owner`` None: remove it). By this mark our flows on bridges that are not ours
    are found when none of them is desired any more."""
    operations = []
    for name in sorted(names):
        before = {key: value for key, value in switches.bridges[name].items() if key == FLOWS_MARK}
        mutations = map_mutations("external_ids", before, {FLOWS_MARK: owner} if owner else {})
        where = [["name", "==", name]]
        operations.append({"op": "mutate", "table": "Bridge", "where": where, "mutations": mutations})
    if operations:
        with Ovsdb(endpoint) as database:
            database.transact(operations)
