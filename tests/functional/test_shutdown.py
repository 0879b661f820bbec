"""A node that shuts down stops its guests: those that do not answer are destroyed. Guests of others are left alone."""

from __future__ import annotations

import time

import libvirt
import pytest
from domain_lab import INSTANCES, OWNER
from headworks.engine.converge import converge
from headworks.node.compute import shutdown
from headworks.node.compute.domains import DomainSubsystem
from headworks.node.compute.shutdown import stop_guests
from headworks.state.domains import Domain


def test_guests_without_a_directory_of_ours_are_left_alone(guest: Domain, monkeypatch: pytest.MonkeyPatch) -> None:
    converge([(DomainSubsystem(OWNER), {guest.name: guest})])
    monkeypatch.setattr(shutdown, "INSTANCES_DIR", str(INSTANCES.parent / "of-others"))
    assert shutdown.stop_all_guests() == []
    assert libvirt.open("qemu:///system").lookupByUUIDString(guest.name).isActive()


def test_a_guest_that_ignores_the_power_button_is_destroyed(guest: Domain) -> None:
    """The guest has no system that could answer."""
    converge([(DomainSubsystem(OWNER), {guest.name: guest})])
    connection = libvirt.open("qemu:///system")
    handle = connection.lookupByUUIDString(guest.name)
    assert handle.isActive()
    begin = time.monotonic()
    texts = stop_guests(connection, INSTANCES, 1)
    assert texts == [f"{guest.domain}: destroyed, because it did not shut down within 1 s"]
    assert time.monotonic() - begin < 8
    assert not handle.isActive()
    assert stop_guests(connection, INSTANCES, 1) == []
