"""What people must know about a guest: what waits for its next start, and what a change interrupts. Pure.

What does not belong here: files and libvirt (``domains.py``, ``kept.py``).
"""

from __future__ import annotations

from collections.abc import Iterator

from ...state.domains import Domain, Nic
from ..subsystem import Change, Effect, Note

AWAKE = ("running", "paused")  # the states in which a guest has a QEMU process


def waiting(desired: Domain, actual: Domain) -> Iterator[Note]:
    """Return the notes on what a guest that keeps running gets at its next start, and on disks in other files."""
    if actual.live is not None and desired.state in AWAKE:
        parts = list(_waiting(desired, actual))
        if parts:
            yield _note(desired, f"it gets at its next start: {', '.join(parts)}", Effect.RESTART)
        for nic, running in _both(desired, actual):
            if nic.mac.lower() != running.mac.lower():
                text = (
                    f"its NIC {nic.tap} keeps the MAC {running.mac} until its next start, but its port only accepts "
                    f"{nic.mac}: the NIC is cut off until then"
                )
                yield _note(desired, text, Effect.OUTAGE)
    yield from _elsewhere(desired, actual)


def _waiting(desired: Domain, actual: Domain) -> Iterator[str]:
    live = actual.live
    assert live is not None
    if desired.vcpus != live.vcpus:
        yield f"{desired.vcpus} vCPU (now {live.vcpus})"
    if desired.memory_mb != live.memory_mb:
        yield f"{desired.memory_mb} MB of memory (now {live.memory_mb})"
    if desired.virt_type != live.virt_type:
        yield f"virtualization {desired.virt_type} (now {live.virt_type})"
    for nic, running in _both(desired, actual):
        if nic.mtu != running.mtu:
            yield f"MTU {nic.mtu} of NIC {nic.tap} (now {running.mtu})"
        if nic.offload != running.offload:
            yield f"offloads {_switch(nic.offload)} of NIC {nic.tap} (now {_switch(running.offload)})"
        if nic.mac.lower() != running.mac.lower():
            yield f"MAC {nic.mac} of NIC {nic.tap} (now {running.mac})"


def _both(desired: Domain, actual: Domain) -> Iterator[tuple[Nic, Nic]]:
    """Return (desired, running) of each NIC that stays. A dead NIC does not: it is attached anew, as desired."""
    assert actual.live is not None
    running = {nic.tap: nic for nic in actual.live.nics if nic.tap not in actual.live.dead}
    return ((nic, running[nic.tap]) for nic in desired.nics if nic.tap in running)


def _elsewhere(desired: Domain, actual: Domain) -> Iterator[Note]:
    paths = {disk.target: disk.path for disk in actual.disks}
    for disk in desired.disks:
        path = paths.get(disk.target, disk.path)
        if path != disk.path:
            yield _note(
                desired,
                f"its disk {disk.target} is {path or 'no file'}, not {disk.path} (an external snapshot, or a copy by "
                "hand); headworks changes neither",
            )


def missing(domain: Domain, path: str) -> str:
    """Return the text on a guest whose disk file ``path`` is missing."""
    advice = (
        "it still runs with the deleted file, so do not stop it: copy its disk first (virsh blockcopy)"
        if domain.live is not None
        else "it is neither defined nor started; probably a filesystem is not mounted: mount it, then run again; or "
        "restore the file from a backup"
    )
    return f"instance {domain.title}: its disk {path} is missing: {advice}"


def foreseen(change: Change[Domain]) -> Iterator[Note]:
    """Return the notes on what a change interrupts, loses or leaves for the guest's next start."""
    before, after = change.before, change.after
    if before is None:
        return
    if after is None:
        yield from _removed(before)
        return
    yield from _stopped(before, after)
    live = before.live
    if live is not None and after.state == "running":
        taps, targets = {nic.tap for nic in after.nics}, {disk.target for disk in after.disks}
        for nic in live.nics:
            if nic.tap not in taps:
                yield _note(after, f"its NIC {nic.tap} ({nic.mac}) is detached", Effect.OUTAGE)
            elif nic.tap in live.dead:
                yield _note(after, f"its NIC {nic.tap} lost its tap, and is detached and attached again")
        for target in live.disks:
            if target not in targets:
                yield _note(after, f"its disk {target} is detached", Effect.OUTAGE)
    yield from waiting(after, before)


def _removed(guest: Domain) -> Iterator[Note]:
    if guest.live is not None:
        yield _note(guest, "it is switched off and removed", Effect.OUTAGE)
    for disk in guest.disks:
        if disk.path and not disk.path.rpartition("/")[0].endswith(guest.name):
            yield _note(guest, f"its disk {disk.target} is {disk.path}, outside of its directory; the file stays there")


def _stopped(before: Domain, after: Domain) -> Iterator[Note]:
    if before.state == "suspended" and after.state == "stopped":
        yield _note(after, "its saved memory is discarded", Effect.LOSS)
    if before.live is None or before.state == after.state:
        return
    texts = {"stopped": "it is shut down", "paused": "it is paused", "suspended": "it is suspended to disk"}
    if after.state in texts:
        yield _note(after, texts[after.state], Effect.OUTAGE)


def _switch(on: bool) -> str:
    return "on" if on else "off"


def _note(guest: Domain, text: str, effect: Effect | None = None) -> Note:
    return Note("domain", guest.name, f"instance {guest.title}: {text}", effect)
