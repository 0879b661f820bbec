"""Fixtures of functional tests: a network namespace that stands for a node's root namespace, unique names, guests."""

from __future__ import annotations

import ctypes
import os
from collections.abc import Iterator
from itertools import count

import pytest
from domain_lab import base as base
from domain_lab import data_disk as data_disk
from domain_lab import guest as guest

CLONE_NEWNET = 0x40000000
_counter = count()


@pytest.fixture
def private_root() -> Iterator[None]:
    """Put the test's process into a separate network namespace, so that it finds and removes only its own links.

    All tests share the named namespaces (/run/netns): take their names from ``unique``.
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
    """Return a word for names of clouds, namespaces and bridges that no other test uses: at most 9 characters."""
    return f"t{os.getpid() % 1000000:x}{next(_counter) % 256:02x}"
