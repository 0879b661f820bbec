"""Fixtures of the safety tests: a lab of its own, a cloud whose guests have markers, and the check after every test.

``SAFETY_KEEP_LAB=1`` uses a lab that is there, and keeps it: the working copy of its inventory is in
``~/.cache/headworks/lab/safety-inventory``.
"""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

pytest.register_assert_rewrite("safety_lab")

from safety_lab import NODES, RUNNING, SafetyLab, prepare_inventory  # noqa: E402

KEEP = bool(os.environ.get("SAFETY_KEEP_LAB"))


@pytest.fixture(scope="session")
def lab() -> Iterator[SafetyLab]:
    """The lab with the cloud of ``inventory``; every disk has its marker."""
    lab = SafetyLab()
    if not KEEP:
        lab.remove()
    prepare_inventory(lab)
    try:
        lab.playbook("playbooks/lab-up.yml").must_succeed()
        build(lab)
        yield lab
        lab.needs_no_run()
        for node in NODES:
            assert lab.drift(node) == ""
    finally:
        if not KEEP:
            lab.remove()


def build(lab: SafetyLab) -> None:
    """Make the guests, write the markers while they are off, and start those that run."""
    if not lab.allocations.exists():
        lab.guests(lambda groups: groups["busy"].update(vars={"instance_state": "stopped"}))
        lab.site().must_succeed()
        lab.observe("mark")
        lab.restore_inventory()
    lab.site().must_succeed()
    lab.remember()
    for node in lab.before.values():
        for name, domain in node["domains"].items():
            assert domain["state"] == ("running" if name in RUNNING else "shut off")


@pytest.fixture
def cloud(lab: SafetyLab) -> Iterator[SafetyLab]:
    """The cloud as it is declared. After the test it must be so again: nothing is lost, and a run would change nothing.
    After a run that was refused this is not asked: it has changed nothing."""
    yield lab
    try:
        if lab.touched:
            lab.needs_no_run()
        lab.restore_inventory()
        lab.is_as_before()
    except AssertionError:
        # The next tests need the cloud: put everything back that can be put back.
        lab.site("-e", "cloud_accept_older=true")
        lab.remember()
        raise
