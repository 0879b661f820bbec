"""Section ``flows``: OpenFlow entries, and the cookies that mark them."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

BR_INT = "br-int"  # the bridge with the ports of guests, routers and DHCP; patch ports connect the others with it
COOKIE = 0x6865616477726B73

LEARN_COOKIE = 0x6865616477726B74  # of flows that learn actions add; the switch adds and expires these by itself

MODULE_COOKIE = 0x6865616477726B75  # of flows that library/ovs_flows.py adds: node_state must not remove these


@dataclass(frozen=True)
class Flow:
    """One flow in ovs-ofctl syntax.

    ``match`` and ``actions`` name a port in braces, ``{tap1234}``; the node replaces the name by the OpenFlow port
    number once the port exists. ``match`` has neither table nor priority; "" matches every packet.
    """

    bridge: str
    table: int
    priority: int
    match: str
    actions: str

    @cached_property
    def name(self) -> str:
        """``br-int table=25,priority=2,in_port={tapX}``: unique on a node, and readable."""
        return f"{self.bridge} table={self.table},priority={self.priority},{self.match or 'any'}"
