"""The marks of a cloud's objects on a node, as far as several subsystems need them.

What does not belong here: the link group (``state/links.py``) and the flow cookies (``state/openflow.py``), because the
plan side uses them too.
"""

from __future__ import annotations

from pathlib import Path

MARK = "headworks"  # external_ids key of our bridges and ports; its value is the cloud's name

NIC_MARK = "headworks-nic"  # external_ids key of the ports that node/underlay manages; its value is the NIC

FLOWS_MARK = "headworks-flows"  # external_ids key of bridges that are not ours but carry flows of ours

MARKER_DIR = Path("/run/headworks/netns")  # one marker file for each of our namespaces; it holds the cloud's name


def owned_namespaces(owner: str) -> frozenset[str]:
    """Return the names of the namespaces whose marker file holds ``owner``."""
    try:
        markers = [marker for marker in MARKER_DIR.iterdir() if not marker.name.startswith(".")]
        return frozenset(marker.name for marker in markers if marker.read_text().strip() == owner)
    except FileNotFoundError:
        return frozenset()
