"""Things on the nodes that somebody made by hand (``on_node/foreign.py``): they have to survive everything."""

from __future__ import annotations

import json
from typing import Any

from cloud_lab import HERE, CloudLab

NODES = ("network1", "compute1", "compute2")
SCRIPT = HERE / "on_node/foreign.py"


def place(lab: CloudLab) -> None:
    """Make them, on nodes that no role has seen yet."""
    for node in NODES:
        lab.run_script(node, SCRIPT, "place")


def intrude(lab: CloudLab) -> None:
    """Put a port and a flow into the cloud's own bridge."""
    for node in NODES:
        lab.run_script(node, SCRIPT, "intrude")


def seen(lab: CloudLab, *, lasting: bool = False) -> dict[str, Any]:
    """How they are, by node.

    :param lasting: only what a reboot leaves.
    """
    return {node: json.loads(lab.run_script(node, SCRIPT, "show-lasting" if lasting else "show")) for node in NODES}
