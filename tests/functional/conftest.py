"""Fixtures of functional tests: a network namespace that stands for a node's root, names that nobody else uses."""

from __future__ import annotations

import ctypes
import os
from collections.abc import Iterator
from itertools import count

import pytest

CLONE_NEWNET = 0x40000000
_counter = count()


@pytest.fixture
def private_root() -> Iterator[None]:
    """The test's process in a network namespace of its own: what it finds and prunes there is its own.

    Named namespaces (/run/netns) are still everybody's: take names from ``unique``.
    """
    libc = ctypes.CDLL(None, use_errno=True)
    home = os.open("/proc/self/ns/net", os.O_RDONLY)
    try:
        assert libc.unshare(CLONE_NEWNET) == 0, os.strerror(ctypes.get_errno())
        yield
    finally:
        libc.setns(home, CLONE_NEWNET)
        os.close(home)


@pytest.fixture
def unique() -> str:
    """A word for names (of clouds, namespaces, bridges) that nobody else uses; at most 9 characters."""
    return f"t{os.getpid() % 1000000:x}{next(_counter) % 256:02x}"
