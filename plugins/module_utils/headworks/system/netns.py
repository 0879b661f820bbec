"""Enter a network namespace of the node, and tell a namespace from a leftover file.

What does not belong here: creating and removing namespaces (``node/links/namespaces.py``).
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path

NETNS_DIR = Path("/run/netns")

CLONE_NEWNET = 0x40000000


@contextmanager
def in_netns(name: str) -> Iterator[None]:
    """Run the body inside the network namespace ``name`` ("": the current namespace).

    Sockets, ioctls, /proc/sys/net and child processes of the body see this namespace. Entering it takes microseconds;
    ``ip netns exec`` takes a process and two mounts. Only for the main thread of a single-threaded program.

    :raises FileNotFoundError: the namespace does not exist.
    """
    if not name:
        yield
        return
    home = os.open("/proc/self/ns/net", os.O_RDONLY)
    try:
        _setns(NETNS_DIR / name)
        try:
            yield
        finally:
            _setns_fd(home)
    finally:
        os.close(home)


def _setns(path: Path) -> None:
    target = os.open(path, os.O_RDONLY)
    try:
        _setns_fd(target)
    finally:
        os.close(target)


@cache
def _libc() -> object:
    import ctypes

    return ctypes.CDLL(None, use_errno=True)


def _setns_fd(descriptor: int) -> None:
    import ctypes

    if _libc().setns(descriptor, CLONE_NEWNET) != 0:  # type: ignore[attr-defined]
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number), "setns")


def is_namespace(name: str) -> bool:
    """Whether the namespace ``name`` exists: a leftover file of this name in ``NETNS_DIR`` does not count."""
    try:
        return (NETNS_DIR / name).stat().st_dev == os.stat("/proc/self/ns/net").st_dev
    except OSError:
        return False
