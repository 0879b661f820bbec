"""libvirt domains: defined, compared by meaning, changed live where libvirt can; never destroyed to be changed.

The XML is ``domain_xml.py``. What does not belong here: the taps (``node/links/``, ``node/ovs/``), and the files of the
disks (``disks.py``).
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

from ...state.domains import Domain, DomainDisk
from ..subsystem import Applied, Change, Note, Reading, Scope, Subsystem
from . import domain_xml

URI = "qemu:///system"
SOCKET = Path("/run/libvirt/libvirt-sock")
SHUTDOWN_SECONDS = 30
STARTS_AT_ONCE = 4


class DomainError(RuntimeError):
    """One or more guests could not be brought to their state; the message names each by its inventory name."""


class DomainSubsystem(Subsystem[Domain]):
    """All guests of a node through one libvirt connection."""

    kind = "domain"
    record = Domain

    def __init__(self, owner: str | None = None, uri: str = URI) -> None:
        super().__init__(owner)
        self.uri = uri

    def read(self, desired: Mapping[str, Domain], scope: Scope | None = None) -> Reading[Domain]:
        """Domains with our mark, and those that have a desired uuid."""
        if not _available():
            return Reading()
        objects, owned, notes = {}, set(), []
        with self._connection() as connection:
            for handle in connection.listAllDomains():
                one = _read_one(handle)
                if one is None or (scope is not None and one.name not in scope):
                    continue
                if self.owner is not None and one.cloud == self.owner:
                    owned.add(one.name)
                elif one.name not in desired:
                    continue
                objects[one.name] = one
                notes += self._pending(handle, one)
        return Reading(objects, frozenset(owned), notes=tuple(notes))

    def same(self, desired: Domain, actual: Domain) -> bool:
        """By meaning: libvirt expands an unset machine type, and NICs and disks are known by their device, not by their
        place. A disk's bus and format, and the console's log, are used when they are made and not compared later."""
        kept = replace(
            desired,
            machine=desired.machine or actual.machine,
            cloud=desired.cloud or actual.cloud,
            console_log=actual.console_log,
        )
        return _by_device(kept) == _by_device(actual)

    def apply(self, changes: Sequence[Change[Domain]]) -> Applied:
        """Remove, then define and change, then bring to the wanted states a few at a time.

        One guest that fails does not keep the others from their state.

        :raises DomainError: naming every guest that failed, with libvirt's words.
        """
        from concurrent.futures import ThreadPoolExecutor  # only who starts guests pays for it

        failures: dict[str, str] = {}
        with self._connection() as connection:
            for change in changes:
                with _told(failures, change):
                    if change.after is None:
                        _remove(connection, change)
                    else:
                        self._settle(connection, change)

            def bring(change: Change[Domain]) -> None:
                with _told(failures, change):
                    _bring_to_state(connection, change.after)

            defined = [change for change in changes if change.after is not None and change.name not in failures]
            with ThreadPoolExecutor(max_workers=STARTS_AT_ONCE) as pool:
                list(pool.map(bring, defined))
        if failures:
            raise DomainError("; ".join(failures.values()))
        return Applied()

    def _settle(self, connection: Any, change: Change[Domain]) -> None:
        """Define a new guest, or change the definition of an existing one, live as far as libvirt can."""
        wanted = change.after
        assert wanted is not None
        if change.before is None:
            connection.defineXML(domain_xml.build(wanted))
            return
        handle = connection.lookupByUUIDString(wanted.name)
        self._change_nics(handle, change.before, wanted)
        if handle.isActive():
            _change_live_disks(handle, change.before, wanted)
        if _scalars(change.before) != _scalars(replace(wanted, cloud=wanted.cloud or change.before.cloud)):
            connection.defineXML(domain_xml.with_scalars(_inactive(handle), wanted))

    def _change_nics(self, handle: Any, before: Domain, after: Domain) -> None:
        import libvirt

        flags = libvirt.VIR_DOMAIN_AFFECT_CONFIG | (libvirt.VIR_DOMAIN_AFFECT_LIVE if handle.isActive() else 0)
        had, wanted = {nic.tap: nic for nic in before.nics}, {nic.tap: nic for nic in after.nics}
        for tap in sorted(had):
            if had[tap] != wanted.get(tap):
                handle.detachDeviceFlags(domain_xml.find_nic(_inactive(handle), tap), flags)
        for tap, nic in wanted.items():
            if nic != had.get(tap):
                handle.attachDeviceFlags(ElementTree.tostring(domain_xml.build_nic(nic), encoding="unicode"), flags)

    def _pending(self, handle: Any, inactive: Domain) -> list[Note]:
        """A note if a running guest has another definition than it runs with: it is not restarted for that."""
        if not handle.isActive():
            return []
        text = handle.XMLDesc()
        live, paths = domain_xml.parse(text, inactive.state), domain_xml.disk_paths(text)
        same_size = (live.vcpus, live.memory_mb) == (inactive.vcpus, inactive.memory_mb)
        if not same_size or any(paths.get(disk.target) != disk.path for disk in inactive.disks):
            text = (
                f"instance {inactive.title}: {inactive.vcpus} vCPU and {inactive.memory_mb} MB take effect at its next "
                f"start (it runs with {live.vcpus} vCPU and {live.memory_mb} MB)"
            )
            return [self.note(inactive.name, text)]
        return []

    @contextmanager
    def _connection(self) -> Iterator[Any]:
        import libvirt

        # Errors are raised as exceptions; libvirt would print each on stderr as well.
        libvirt.registerErrorHandler(lambda _context, _error: None, None)
        connection = libvirt.open(self.uri)
        try:
            yield connection
        finally:
            connection.close()


def list_domains() -> list[Domain]:
    """All guests of this node, whoever made them, sorted by title; none where there is no libvirt."""
    if not _available():
        return []
    with DomainSubsystem()._connection() as connection:
        found = [_read_one(handle) for handle in connection.listAllDomains()]
    return sorted((one for one in found if one is not None), key=lambda one: (one.title, one.name))


def _available() -> bool:
    """Whether this node has libvirt (a bare node in check mode does not)."""
    try:
        import libvirt  # noqa: F401
    except ImportError:
        return False
    return SOCKET.exists()


@contextmanager
def _told(failures: dict[str, str], change: Change[Domain]) -> Iterator[None]:
    """One guest's failure is kept by its uuid, with its inventory name, and does not stop the others."""
    one = change.after or change.before
    try:
        yield
    except Exception as error:
        failures[change.name] = f"instance {one.title if one else change.name}: {error}"


def _by_device(domain: Domain) -> Domain:
    disks = tuple(DomainDisk(disk.path, disk.target) for disk in sorted(domain.disks, key=lambda disk: disk.target))
    return replace(domain, nics=tuple(sorted(domain.nics, key=lambda nic: nic.tap)), disks=disks)


def _scalars(domain: Domain) -> tuple[object, ...]:
    """What is changed by defining the domain anew."""
    disks = _by_device(domain).disks
    return (domain.title, domain.vcpus, domain.memory_mb, disks, domain.virt_type, domain.cloud)


def _change_live_disks(handle: Any, before: Domain, after: Domain) -> None:
    """Attach disks to a running guest and detach disks from it; the definition follows. Another file for a disk that
    stays is taken up at the next start. What a run that was killed has done already is not done again."""
    import libvirt

    live = str(handle.XMLDesc())
    wanted = {disk.target: disk for disk in after.disks}
    for target in sorted({disk.target for disk in before.disks} - set(wanted)):
        there = domain_xml.find_disk(live, target)
        if there is not None:
            handle.detachDeviceFlags(there, libvirt.VIR_DOMAIN_AFFECT_LIVE)
    for target in sorted(set(wanted) - {disk.target for disk in before.disks}):
        if domain_xml.find_disk(live, target) is None:
            element = domain_xml.build_disk(wanted[target])
            handle.attachDeviceFlags(ElementTree.tostring(element, encoding="unicode"), libvirt.VIR_DOMAIN_AFFECT_LIVE)


def _inactive(handle: Any) -> str:
    import libvirt

    return str(handle.XMLDesc(libvirt.VIR_DOMAIN_XML_INACTIVE))


def _read_one(handle: Any) -> Domain | None:
    """A domain as a record; None when it went away while being read."""
    import libvirt

    try:
        return domain_xml.parse(_inactive(handle), _state(handle))
    except libvirt.libvirtError as error:
        if error.get_error_code() == libvirt.VIR_ERR_NO_DOMAIN:
            return None
        raise


def _state(handle: Any) -> str:
    """libvirt's states in the inventory's words; ``suspended`` is saved to disk, as Nova's suspend does."""
    import libvirt

    state = handle.state()[0]
    if state == libvirt.VIR_DOMAIN_PAUSED:
        return "paused"
    if handle.isActive():
        return "running"
    return "suspended" if handle.hasManagedSaveImage() else "stopped"


def _bring_to_state(connection: Any, wanted: Domain | None) -> None:
    """From whatever the guest's state is to the wanted one (create() also restores a managed save)."""
    assert wanted is not None
    handle = connection.lookupByUUIDString(wanted.name)
    current = _state(handle)
    if current == wanted.state:
        return
    if wanted.state == "running":
        if current == "paused":
            handle.resume()
        else:
            handle.create()
    elif wanted.state == "paused":
        if current != "running":
            handle.create()
        handle.suspend()
    elif wanted.state == "suspended":
        if current == "stopped":
            handle.create()
        handle.managedSave()
    elif wanted.state == "stopped":
        _stop(handle, current)


def _stop(handle: Any, current: str) -> None:
    """Ask the guest (ACPI), and after ``SHUTDOWN_SECONDS`` pull the plug, as Nova's stop does."""
    import libvirt

    if current == "suspended":
        handle.managedSaveRemove()
        return
    if current == "paused":
        handle.resume()
    handle.shutdown()
    deadline = time.monotonic() + SHUTDOWN_SECONDS
    while handle.isActive() and time.monotonic() < deadline:
        time.sleep(0.2)
    try:
        if handle.isActive():
            handle.destroy()
    except libvirt.libvirtError as error:
        if error.get_error_code() != libvirt.VIR_ERR_OPERATION_INVALID:
            raise


def _remove(connection: Any, change: Change[Domain]) -> None:
    import libvirt

    handle = connection.lookupByUUIDString(change.name)
    if handle.isActive():
        handle.destroy()
    handle.undefineFlags(
        libvirt.VIR_DOMAIN_UNDEFINE_MANAGED_SAVE
        | libvirt.VIR_DOMAIN_UNDEFINE_SNAPSHOTS_METADATA
        | libvirt.VIR_DOMAIN_UNDEFINE_NVRAM
    )
