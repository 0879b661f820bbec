"""How the objects of a cloud are marked on a node, where several subsystems must know the mark.

Link group and flow cookies are in ``state/``, because the plan writes them too.
"""

from __future__ import annotations

from pathlib import Path

MARK = "headworks"  # external_ids key of what is ours; its value is the cloud's name

NIC_MARK = "headworks-nic"  # external_ids key of ports that underlay.py looks after

MARKER_DIR = Path("/run/headworks/netns")


def owned_namespaces(owner: str) -> frozenset[str]:
    """Names of the namespaces whose marker says ``owner``."""
    try:
        markers = [one for one in MARKER_DIR.iterdir() if not one.name.startswith(".")]
        return frozenset(one.name for one in markers if one.read_text().strip() == owner)
    except FileNotFoundError:
        return frozenset()

FLOWS_MARK = "headworks-flows"  # external_ids key of bridges that are not ours and carry flows of ours
