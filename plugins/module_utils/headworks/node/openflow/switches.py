"""What flows need to know from OVSDB: which bridges ovs-vswitchd serves, and the numbers of ports.

Making bridges and ports is ``ovs.py``'s business.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass

from ...system.ovsdb import ENDPOINT, RUN_DIR, Ovsdb, from_map, map_mutations, optional, select
from ...system.process import ToolError
from ..marks import FLOWS_MARK

LOCAL = 65534
PORT_SECONDS = 30.0


@dataclass(frozen=True)
class Switches:
    """``bridges``: name → external_ids of those that ovs-vswitchd serves. ``numbers``: ports' numbers as text.
    ``troubles``: what is wrong with a port that has no number ("" while ovs-vswitchd has not got to it)."""

    bridges: Mapping[str, Mapping[str, str]]
    numbers: Mapping[str, str]
    troubles: Mapping[str, str]


def read_switches(endpoint: str = ENDPOINT) -> Switches:
    """One transaction."""
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
    """As ``read_switches``, once all of ``needed`` have numbers.

    :raises ToolError: one will have none, or not soon.
    """
    deadline = time.monotonic() + PORT_SECONDS
    while True:
        switches = read_switches(endpoint)
        missing = sorted(needed - set(switches.numbers))
        if not missing:
            return switches
        pending = all(switches.troubles.get(name) == "" for name in missing)
        if not pending or time.monotonic() > deadline:
            troubles = [f"{name}: {switches.troubles.get(name, 'no such port')}" for name in missing[:5]]
            raise ToolError("flows need ports that have no number: " + "; ".join(troubles))
        time.sleep(0.1)


def mark_use(owner: str | None, names: set[str], switches: Switches, endpoint: str = ENDPOINT) -> None:
    """Set (``owner`` None: take away) ``FLOWS_MARK`` on bridges, so that our flows on bridges of others are found again
    when none is desired any more."""
    operations = []
    for name in sorted(names):
        before = {key: value for key, value in switches.bridges[name].items() if key == FLOWS_MARK}
        mutations = map_mutations("external_ids", before, {FLOWS_MARK: owner} if owner else {})
        where = [["name", "==", name]]
        operations.append({"op": "mutate", "table": "Bridge", "where": where, "mutations": mutations})
    if operations:
        with Ovsdb(endpoint) as database:
            database.transact(operations)
