"""Repairs without a run: some sections of the kept document are restored after another program took them away.

``switch`` is what a restart of ovs-vswitchd takes away, ``filters`` what a restart of nftables.service takes away.
Units of systemd start the repairs (``units.py``). A repair takes the lock of the node like each door, but it neither
keeps a document nor notes a plan as applied. What does not belong here: the doors for whole documents (``doors.py``),
and the command line (``command_line.py``).
"""

from __future__ import annotations

from collections.abc import Collection

from ..system.kept_json import Kept
from .converge import converge
from .doors import converge_lock, kept_document
from .order import pipeline
from .result import Result

# The parts that can be repaired, and their sections. With the userspace datapath, section ``underlay`` has rules of
# nftables, too.
PARTS = {
    "switch": frozenset({"ovs_bridges", "ovs_ports", "flows", "underlay"}),
    "filters": frozenset({"nft", "underlay"}),
}
# What a restore brings back first: it does not need libvirt.
NETWORK = frozenset(
    {
        *("netns", "links", "ovs_bridges", "ovs_ports", "flows", "underlay", "nft", "l3"),
        *("dhcp", "metadata", "metadata_proxies"),
    }
)


def repair(sections: Collection[str]) -> tuple[Kept, Result]:
    """Bring the objects of ``sections`` back to their state in the kept document. Return the document as it was read,
    and the result; without a document nothing is changed.

    Nothing is removed, except what is replaced: which objects the sections that are not in play need is unknown.

    :raises ValueError: the document is malformed; the node is not changed.
    :raises ConvergeError: a subsystem failed.
    """
    with converge_lock():
        kept = kept_document()  # after the lock: the run that had it may have kept another document
        if kept.data is None:
            return kept, Result()
        if "underlay" in sections:
            from ..node.underlay.rollback import undo_leftovers  # a repair of other sections does not need it

            undo_leftovers()
        steps = pipeline({**kept.data, "restore": True}, sections)
        return kept, converge(steps, restore=True, remove=False)
