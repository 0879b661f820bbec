"""Run commands on a node and read what they print, also inside a namespace. Tests see the node by other means than the
engine."""

from __future__ import annotations

import json
import subprocess
from contextlib import nullcontext
from typing import Any

from headworks.system.netns import in_netns


def sh(*args: str, netns: str = "", check: bool = True, stdin: str | None = None) -> str:
    """Run a command inside ``netns`` and return its standard output."""
    with in_netns(netns) if netns else nullcontext():
        done = subprocess.run(args, check=False, capture_output=True, text=True, timeout=60, input=stdin)
    assert done.returncode == 0 or not check, f"{' '.join(args)}: {done.stderr or done.stdout}"
    return done.stdout


def ip_json(*args: str, netns: str = "") -> Any:
    """Return the output of ``ip -json -details``; an empty list if it prints nothing."""
    return json.loads(sh("ip", "-json", "-details", *args, netns=netns) or "[]")


def link(name: str, netns: str = "") -> dict[str, Any] | None:
    """Return a link as ``ip`` shows it, or None if it does not exist."""
    links = [shown for shown in ip_json("link", "show", netns=netns) if shown.get("ifname") == name]
    return links[0] if links else None
