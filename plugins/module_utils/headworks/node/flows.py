"""OpenFlow entries: compared by ``ovs-ofctl diff-flows``, changed in one bundle per bridge. Only our cookie is touched.

Which flows a node needs is the plan's business (``plan/flows*.py``), not this file's.
"""

from __future__ import annotations

from dataclasses import dataclass

COOKIE = 0x6865616477726B73
LEARN_COOKIE = 0x6865616477726B74


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

    @property
    def name(self) -> str:
        """``br-int table=25,priority=2,in_port={tapX}``: unique per switch, and readable."""
        return f"{self.bridge} table={self.table},priority={self.priority},{self.match or 'any'}"
