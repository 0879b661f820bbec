"""Fixtures of the cloud tests: a new lab for the session, and tests that are skipped after the first failure.

``CLOUD_KEEP_LAB=1`` keeps the lab for examination after the tests (inventories: see ``cloud_lab.py``).
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from typing import Any

import pytest
from cloud_lab import STATE, CloudLab
from guest_ping import GuestPing
from real_nodes import CACHE

_failed: list[str] = []


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Iterator[None]:
    """Record a failed test: each test begins with the state that the test before it left."""
    outcome: Any = yield
    if outcome.get_result().failed:
        _failed.append(item.name)


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Skip the tests after a failure: they would not find the state that they need."""
    if _failed and item.path.parent.name == "cloud":
        pytest.skip(f"an earlier test failed: {_failed[0]}")


@pytest.fixture(scope="session")
def lab() -> Iterator[CloudLab]:
    """A new lab, on whose nodes no role has run yet."""
    lab = CloudLab()
    lab.playbook("playbooks/lab-down.yml").must_succeed()
    try:
        lab.playbook("playbooks/lab-up.yml").must_succeed()
        shutil.copyfile(CACHE / "nano.qcow2", STATE / "nano.qcow2")
        lab.install_relay("network1", "outside1")
        yield lab
    finally:
        if not os.environ.get("CLOUD_KEEP_LAB"):
            lab.layers = ("base",)
            lab.playbook("playbooks/lab-down.yml").must_succeed()


@pytest.fixture(scope="session")
def recorded() -> dict[str, Any]:
    """Observations of earlier tests, for later tests."""
    return {}


@pytest.fixture(scope="session")
def ping(lab: CloudLab) -> GuestPing:
    """A ping from vm1 to vm2; the test of booting guests starts it, and it runs through the following tests."""
    return GuestPing(lab, "vm1", "10.18.0.4")
