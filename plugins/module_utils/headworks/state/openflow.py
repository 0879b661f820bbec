"""Section ``flows``: OpenFlow entries, and the cookies that mark them."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

COOKIE = 0x6865616477726B73

LEARN_COOKIE = 0x6865616477726B74  # of what learn actions add; it comes and goes by itself

MODULE_COOKIE = 0x6865616477726B75  # of flows that library/ovs_flows.py makes: node_state must not prune those


@dataclass(frozen=True)
class Flow:
    """One flow in ovs-ofctl syntax.

    In ``match`` and ``actions`` a port is written by its name in braces, ``{tap1234}``: it becomes the OpenFlow port
    number once the port exists. ``match`` has neither table nor priority; "" matches all.
    """

    bridge: str
    table: int
    priority: int
    match: str
    actions: str

    @cached_property
    def name(self) -> str:
        """``br-int table=25,priority=2,in_port={tapX}``: unique per switch, and readable."""
        return f"{self.bridge} table={self.table},priority={self.priority},{self.match or 'any'}"
