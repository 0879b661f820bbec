"""What a change of a guest interrupts or leaves for its next start is told, in check mode and in a run alike."""

from __future__ import annotations

from dataclasses import replace

import pytest
from headworks.node.compute.domains import DomainSubsystem
from headworks.node.compute.guest_notes import missing, waiting
from headworks.node.subsystem import Change, Effect
from headworks.state.domains import Domain, DomainDisk, Live, Nic

NIC = Nic("tap0d1c2b3a-44", "fa:16:3e:00:00:01", 1458)
GUEST = Domain(
    name="6f1f5a3e-58f1-5d42-a2a1-55f4f4f1a001",
    domain="instance-00000001",
    title="vm1",
    vcpus=1,
    memory_mb=64,
    disks=(DomainDisk("/srv/6f1f5a3e-58f1-5d42-a2a1-55f4f4f1a001/disk", "vda"),),
    nics=(NIC,),
)
RUNNING = replace(GUEST, live=Live(1, 64, "qemu", (NIC,), ("vda",)))


def foreseen(before: Domain | None, after: Domain | None) -> list[tuple[str, Effect | None]]:
    """Return what is foreseen of a change of vm1, without the guest's name."""
    notes = DomainSubsystem("lab").foreseen(Change("domain", GUEST.name, before, after))
    assert all(note.text.startswith("instance vm1: ") for note in notes)
    return [(note.text.removeprefix("instance vm1: "), note.effect) for note in notes]


def test_a_new_guest_interrupts_nothing() -> None:
    assert foreseen(None, GUEST) == []


def test_all_that_waits_for_the_next_start_is_one_note() -> None:
    after = replace(GUEST, vcpus=2, memory_mb=128, virt_type="kvm", nics=(replace(NIC, mtu=1400, offload=False),))
    text = (
        "it gets at its next start: 2 vCPU (now 1), 128 MB of memory (now 64), virtualization kvm (now qemu), "
        "MTU 1400 of NIC tap0d1c2b3a-44 (now 1458), offloads off of NIC tap0d1c2b3a-44 (now on)"
    )
    assert foreseen(RUNNING, after) == [(text, Effect.RESTART)]


def test_the_note_stays_the_same_after_the_change_until_the_guest_is_started_again() -> None:
    after = replace(GUEST, vcpus=2)
    changed = replace(RUNNING, vcpus=2)
    assert list(waiting(after, changed)) == list(waiting(after, RUNNING)) != []
    assert list(waiting(after, replace(changed, live=replace(RUNNING.live, vcpus=2)))) == []


def test_nothing_waits_in_a_guest_that_does_not_run_or_is_to_stop() -> None:
    assert foreseen(replace(GUEST, state="stopped"), replace(GUEST, vcpus=2)) == []
    stopped = replace(GUEST, vcpus=2, state="stopped")
    assert foreseen(RUNNING, stopped) == [("it is shut down", Effect.OUTAGE)]


def test_another_mac_cuts_the_nic_off_until_the_next_start() -> None:
    after = replace(GUEST, nics=(replace(NIC, mac="fa:16:3e:00:00:02"),))
    assert foreseen(RUNNING, after) == [
        ("it gets at its next start: MAC fa:16:3e:00:00:02 of NIC tap0d1c2b3a-44 (now fa:16:3e:00:00:01)",
         Effect.RESTART),
        ("its NIC tap0d1c2b3a-44 keeps the MAC fa:16:3e:00:00:01 until its next start, but its port only accepts "
         "fa:16:3e:00:00:02: the NIC is cut off until then", Effect.OUTAGE),
    ]


@pytest.mark.parametrize(
    ("state", "text"),
    [("stopped", "it is shut down"), ("paused", "it is paused"), ("suspended", "it is suspended to disk")],
)
def test_a_running_guest_that_is_to_rest_is_an_outage(state: str, text: str) -> None:
    assert foreseen(RUNNING, replace(GUEST, state=state)) == [(text, Effect.OUTAGE)]
    assert foreseen(replace(GUEST, state="stopped"), replace(GUEST, state=state)) == []


def test_stopping_a_suspended_guest_loses_its_memory() -> None:
    suspended = replace(GUEST, state="suspended")
    assert foreseen(suspended, replace(GUEST, state="stopped")) == [("its saved memory is discarded", Effect.LOSS)]


def test_nics_and_disks_that_are_detached_are_outages_and_a_dead_nic_is_attached_again() -> None:
    data = DomainDisk("/srv/data", "vdb")
    before = replace(RUNNING, disks=(*GUEST.disks, data), live=replace(RUNNING.live, disks=("vda", "vdb")))
    assert foreseen(before, replace(GUEST, nics=())) == [
        ("its NIC tap0d1c2b3a-44 (fa:16:3e:00:00:01) is detached", Effect.OUTAGE),
        ("its disk vdb is detached", Effect.OUTAGE),
    ]
    dead = replace(RUNNING, live=replace(RUNNING.live, dead=(NIC.tap,)))
    text = "its NIC tap0d1c2b3a-44 lost its tap, and is detached and attached again"
    assert foreseen(dead, replace(GUEST, nics=(replace(NIC, mtu=1400),))) == [(text, None)]


def test_the_removal_of_a_running_guest_is_an_outage_and_names_disks_that_stay_elsewhere() -> None:
    assert foreseen(RUNNING, None) == [("it is switched off and removed", Effect.OUTAGE)]
    assert foreseen(replace(GUEST, state="stopped"), None) == []
    elsewhere = replace(GUEST, state="stopped", disks=(DomainDisk("/srv/snap1", "vda"),))
    text = "its disk vda is /srv/snap1, outside of its directory; the file stays there"
    assert foreseen(elsewhere, None) == [(text, None)]


def test_a_disk_in_another_file_is_told_of_and_not_changed() -> None:
    (note,) = waiting(GUEST, replace(GUEST, disks=(DomainDisk("/srv/snap1", "vda"),)))
    assert "is /srv/snap1, not /srv/6f1f5a3e" in note.text
    assert note.effect is None


def test_a_missing_disk_is_named_with_its_probable_cause_and_what_to_do() -> None:
    assert missing(GUEST, "/srv/disk") == (
        "instance vm1: its disk /srv/disk is missing: it is neither defined nor started; probably a filesystem is not "
        "mounted: mount it, then run again; or restore the file from a backup"
    )
    assert "do not stop it" in missing(RUNNING, "/srv/disk")
