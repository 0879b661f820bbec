"""Foreign objects on the nodes (``on_node/foreign.py``), which headworks must never change."""

from __future__ import annotations

import json
from typing import Any

from cloud_lab import HERE, CloudLab

NODES = ("network1", "compute1", "compute2")
SCRIPT = HERE / "on_node/foreign.py"


def place(lab: CloudLab) -> None:
    """Create foreign objects on nodes on which no role has run yet."""
    for node in NODES:
        lab.run_script(node, SCRIPT, "place")


def intrude(lab: CloudLab) -> None:
    """Add a foreign port and a foreign flow to br-int."""
    for node in NODES:
        lab.run_script(node, SCRIPT, "intrude")


def state(lab: CloudLab, *, lasting: bool = False) -> dict[str, Any]:
    """The state of the foreign objects, by node.

    :param lasting: only the objects that survive a reboot.
    """
    return {node: json.loads(lab.run_script(node, SCRIPT, "show-lasting" if lasting else "show")) for node in NODES}
