"""Looking at a node the way a person does, beside the engine: a command, perhaps inside a namespace."""

from __future__ import annotations

import json
import subprocess
from contextlib import nullcontext
from typing import Any

from headworks.system.netns import in_netns


def sh(*args: str, netns: str = "", check: bool = True, stdin: str | None = None) -> str:
    """Standard output of a command run inside ``netns``."""
    with in_netns(netns) if netns else nullcontext():
        done = subprocess.run(args, check=False, capture_output=True, text=True, timeout=60, input=stdin)
    assert done.returncode == 0 or not check, f"{' '.join(args)}: {done.stderr or done.stdout}"
    return done.stdout


def ip_json(*args: str, netns: str = "") -> Any:
    """What ``ip -json -details`` says; an empty list if it says nothing."""
    return json.loads(sh("ip", "-json", "-details", *args, netns=netns) or "[]")


def link(name: str, netns: str = "") -> dict[str, Any] | None:
    """One link, or None."""
    found = [one for one in ip_json("link", "show", netns=netns) if one.get("ifname") == name]
    return found[0] if found else None
