"""Fixtures of the cloud tests: a lab of their own, started anew, and a story that stops at the first thing that fails.

``CLOUD_KEEP_LAB=1`` leaves the lab as the tests left it, for a look around (inventories: see ``cloud_lab.py``).
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from typing import Any

import pytest
from cloud_lab import CACHE, STATE, CloudLab
from guest_ping import GuestPing

_failed: list[str] = []


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Iterator[None]:
    """Remember what failed: each test begins where the one before it ended."""
    outcome: Any = yield
    if outcome.get_result().failed:
        _failed.append(item.name)


def pytest_runtest_setup(item: pytest.Item) -> None:
    """The rest of the story makes no sense after a failure."""
    if _failed and item.path.parent.name == "cloud":
        pytest.skip(f"the story ended at {_failed[0]}")


@pytest.fixture(scope="session")
def lab() -> Iterator[CloudLab]:
    """The lab, just started: no role has been there yet."""
    lab = CloudLab()
    lab.playbook("playbooks/lab-down.yml").must_be_well()
    try:
        lab.playbook("playbooks/lab-up.yml").must_be_well()
        shutil.copyfile(CACHE / "nano.qcow2", STATE / "nano.qcow2")
        lab.install_relay("network1", "outside1")
        yield lab
    finally:
        if not os.environ.get("CLOUD_KEEP_LAB"):
            lab.layers = ("base",)
            lab.playbook("playbooks/lab-down.yml").must_be_well()


@pytest.fixture(scope="session")
def remembered() -> dict[str, Any]:
    """What earlier chapters saw."""
    return {}


@pytest.fixture(scope="session")
def ping(lab: CloudLab) -> GuestPing:
    """vm1 pings vm2, all the time from the moment that both are up."""
    return GuestPing(lab, "vm1", "10.18.0.4")
