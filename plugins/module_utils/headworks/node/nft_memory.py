"""What ``nft`` listed, remembered for as long as the kernel says that no ruleset of the namespace has changed since.

nftables counts its commits in each namespace (the ruleset's generation). The same namespace (its cookie is unique until
the next boot) at the same generation has the same rules and elements, so nobody has to list them again.
"""

from __future__ import annotations

import json
import socket
import struct
from collections.abc import Callable
from pathlib import Path

from .files import write_file
from .netlink import NETFILTER, Netlink, attributes

MEMORY_DIR = Path("/run/headworks/nft")
_GET_GENERATION = 10 << 8 | 16
_SO_NETNS_COOKIE = 71


def remembered(key: str, listing: Callable[[], str]) -> str:
    """The listing that belongs to ``key`` in the current namespace: remembered if it still holds, else made anew.

    :param key: a file name, unique for the namespace's name and the table.
    """
    state = _state()
    path = MEMORY_DIR / f"{key}.json"
    if state:
        try:
            known = json.loads(path.read_text())
            if known["state"] == state:
                return str(known["listing"])
        except (OSError, ValueError, KeyError, TypeError):
            pass  # nothing known, or nothing usable: list it
    text = listing()
    if state and _state() == state:
        MEMORY_DIR.mkdir(parents=True, exist_ok=True)
        write_file(path, json.dumps({"state": state, "listing": text}), mode=0o600)
    return text


def forget(key: str) -> None:
    """The table is gone."""
    (MEMORY_DIR / f"{key}.json").unlink(missing_ok=True)


def _state() -> str:
    """Namespace and generation; "" if the kernel does not tell."""
    try:
        with Netlink(NETFILTER) as netlink:
            (cookie,) = struct.unpack("=Q", netlink.option(socket.SOL_SOCKET, _SO_NETNS_COOKIE, 8))
            (answer,) = netlink.ask(_GET_GENERATION, struct.pack("=BBH", 0, 0, 0))
    except (OSError, ValueError):
        return ""
    (generation,) = struct.unpack("!I", attributes(answer, 4)[1])
    return f"{cookie}/{generation}"
