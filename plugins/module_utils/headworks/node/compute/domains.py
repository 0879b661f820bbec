"""libvirt domains: they are defined, compared by meaning, and changed live where libvirt can. A domain is never
destroyed to be changed.

``domain_xml.py`` is imported where it is used: a node without guests does not need an XML parser. What does not belong
here: the XML (``domain_xml.py``), the taps (``node/links/``, ``node/ovs/``), and the files of the
disks (``disks.py``).
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from ...state.domains import Domain, DomainDisk
from ..subsystem import Applied, Change, Note, Reading, Scope, Subsystem

URI = "qemu:///system"
SOCKET = Path("/run/libvirt/libvirt-sock")
SHUTDOWN_SECONDS = 30  # how long a guest gets to shut down before it is destroyed
PARALLEL_STARTS = 4


class DomainError(RuntimeError):
    """Some guests could not be configured or started. The message has the inventory name of each."""


class DomainSubsystem(Subsystem[Domain]):
    """All guests of a node, through a single libvirt connection."""

    kind = "domain"
    guarded = True
    record = Domain

    def __init__(self, owner: str | None = None, uri: str = URI) -> None:
        super().__init__(owner)
        self.uri = uri

    def read(self, desired: Mapping[str, Domain], scope: Scope | None = None) -> Reading[Domain]:
        """Return the domains with our mark, and those with a desired uuid."""
        if not _has_libvirt():
            return Reading()
        objects, owned, notes = {}, set(), []
        with self._connection() as connection:
            for handle in connection.listAllDomains():
                domain = _read_domain(handle)
                if domain is None or (scope is not None and domain.name not in scope):
                    continue
                if self.owner is not None and domain.cloud == self.owner:
                    owned.add(domain.name)
                elif domain.name not in desired:
                    continue
                objects[domain.name] = domain
                notes += self._restart_notes(handle, domain)
        return Reading(objects, frozenset(owned), notes=tuple(notes))

    def same(self, desired: Domain, actual: Domain) -> bool:
        """Return whether both have the same meaning. libvirt sets a machine type where none is desired, and the order
        of NICs and disks does not count. A disk's bus and format and the console log only matter when they are created,
        so they are not compared."""
        compared = replace(
            desired,
            machine=desired.machine or actual.machine,
            cloud=desired.cloud or actual.cloud,
            console_log=actual.console_log,
        )
        return _by_device(compared) == _by_device(actual)

    def apply(self, changes: Sequence[Change[Domain]]) -> Applied:
        """Remove, define and change domains, then set their states, four at a time.

        When a guest fails, the other guests are still configured and started.

        :raises DomainError: some guests failed. The message has libvirt's error for each.
        """
        from concurrent.futures import ThreadPoolExecutor  # imported late: only runs that start guests need it

        failures: dict[str, str] = {}
        with self._connection() as connection:
            for change in changes:
                with _collected(failures, change):
                    if change.after is None:
                        _remove(connection, change)
                    else:
                        self._define(connection, change)

            def set_state(change: Change[Domain]) -> None:
                with _collected(failures, change):
                    _set_state(connection, change.after)

            defined = [change for change in changes if change.after is not None and change.name not in failures]
            with ThreadPoolExecutor(max_workers=PARALLEL_STARTS) as pool:
                list(pool.map(set_state, defined))
        if failures:
            raise DomainError("; ".join(failures.values()))
        return Applied()

    def _define(self, connection: Any, change: Change[Domain]) -> None:
        """Define a new guest, or change the definition of an existing guest, also live as far as libvirt can."""
        from . import domain_xml

        desired = change.after
        assert desired is not None
        if change.before is None:
            connection.defineXML(domain_xml.build(desired))
            return
        handle = connection.lookupByUUIDString(desired.name)
        self._change_nics(handle, change.before, desired)
        if handle.isActive():
            _change_live_disks(handle, change.before, desired)
        if _scalars(change.before) != _scalars(replace(desired, cloud=desired.cloud or change.before.cloud)):
            connection.defineXML(domain_xml.with_scalars(_definition(handle), desired))

    def _change_nics(self, handle: Any, before: Domain, after: Domain) -> None:
        from xml.etree import ElementTree

        import libvirt

        from . import domain_xml

        flags = libvirt.VIR_DOMAIN_AFFECT_CONFIG | (libvirt.VIR_DOMAIN_AFFECT_LIVE if handle.isActive() else 0)
        actual, desired = {nic.tap: nic for nic in before.nics}, {nic.tap: nic for nic in after.nics}
        for tap in sorted(actual):
            if actual[tap] != desired.get(tap):
                handle.detachDeviceFlags(domain_xml.find_nic(_definition(handle), tap), flags)
        for tap, nic in desired.items():
            if nic != actual.get(tap):
                handle.attachDeviceFlags(ElementTree.tostring(domain_xml.build_nic(nic), encoding="unicode"), flags)

    def _restart_notes(self, handle: Any, defined: Domain) -> list[Note]:
        """Return a note if a running guest needs a restart to get what its definition says. It is not restarted."""
        from . import domain_xml

        if not handle.isActive():
            return []
        text = handle.XMLDesc()
        live, paths = domain_xml.parse(text, defined.state), domain_xml.disk_paths(text)
        same_size = (live.vcpus, live.memory_mb) == (defined.vcpus, defined.memory_mb)
        if not same_size or any(paths.get(disk.target) != disk.path for disk in defined.disks):
            text = (
                f"instance {defined.title}: {defined.vcpus} vCPU and {defined.memory_mb} MB take effect at its next "
                f"start (it runs with {live.vcpus} vCPU and {live.memory_mb} MB)"
            )
            return [self.note(defined.name, text)]
        return []

    @contextmanager
    def _connection(self) -> Iterator[Any]:
        import libvirt

        # libvirt raises errors as exceptions. Without this handler it would also print each error to stderr.
        libvirt.registerErrorHandler(lambda _context, _error: None, None)
        connection = libvirt.open(self.uri)
        try:
            yield connection
        finally:
            connection.close()


def list_domains() -> list[Domain]:
    """Return all domains of this node, also those that are not ours, sorted by title; empty without libvirt."""
    if not _has_libvirt():
        return []
    with DomainSubsystem()._connection() as connection:
        domains = [_read_domain(handle) for handle in connection.listAllDomains()]
    return sorted(
        (domain for domain in domains if domain is not None), key=lambda domain: (domain.title, domain.name)
    )


def _has_libvirt() -> bool:
    """Return whether this node has libvirt. A bare node in check mode does not have it."""
    try:
        import libvirt  # noqa: F401
    except ImportError:
        return False
    return SOCKET.exists()


@contextmanager
def _collected(failures: dict[str, str], change: Change[Domain]) -> Iterator[None]:
    """Catch a failure of the body and add it to ``failures``, by the guest's uuid and with its inventory name."""
    domain = change.after or change.before
    try:
        yield
    except Exception as error:
        failures[change.name] = f"instance {domain.title if domain else change.name}: {error}"


def _by_device(domain: Domain) -> Domain:
    """Return the domain with its NICs and disks sorted by device, and its disks without bus and format."""
    disks = tuple(DomainDisk(disk.path, disk.target) for disk in sorted(domain.disks, key=lambda disk: disk.target))
    return replace(domain, nics=tuple(sorted(domain.nics, key=lambda nic: nic.tap)), disks=disks)


def _scalars(domain: Domain) -> tuple[object, ...]:
    """Return the values that need a new definition of the domain."""
    disks = _by_device(domain).disks
    return (domain.title, domain.vcpus, domain.memory_mb, disks, domain.virt_type, domain.cloud)


def _change_live_disks(handle: Any, before: Domain, after: Domain) -> None:
    """Attach disks to a running guest and detach disks from it. ``_define`` changes the definition afterwards. A disk
    that gets another file uses it from the next start on. Disks that a killed run has already attached or detached are
    skipped."""
    from xml.etree import ElementTree

    import libvirt

    from . import domain_xml

    live = str(handle.XMLDesc())
    desired = {disk.target: disk for disk in after.disks}
    for target in sorted({disk.target for disk in before.disks} - set(desired)):
        attached = domain_xml.find_disk(live, target)
        if attached is not None:
            handle.detachDeviceFlags(attached, libvirt.VIR_DOMAIN_AFFECT_LIVE)
    for target in sorted(set(desired) - {disk.target for disk in before.disks}):
        if domain_xml.find_disk(live, target) is None:
            element = domain_xml.build_disk(desired[target])
            handle.attachDeviceFlags(ElementTree.tostring(element, encoding="unicode"), libvirt.VIR_DOMAIN_AFFECT_LIVE)


def _definition(handle: Any) -> str:
    """Return the XML that the domain gets at its next start."""
    import libvirt

    return str(handle.XMLDesc(libvirt.VIR_DOMAIN_XML_INACTIVE))


def _read_domain(handle: Any) -> Domain | None:
    """Return a domain as a record; None if the domain was removed meanwhile."""
    import libvirt

    from . import domain_xml

    try:
        return domain_xml.parse(_definition(handle), _state(handle))
    except libvirt.libvirtError as error:
        if error.get_error_code() == libvirt.VIR_ERR_NO_DOMAIN:
            return None
        raise


def _state(handle: Any) -> str:
    """Return the domain's state by its name in the inventory. ``suspended`` means saved to disk, as in Nova."""
    import libvirt

    state = handle.state()[0]
    if state == libvirt.VIR_DOMAIN_PAUSED:
        return "paused"
    if handle.isActive():
        return "running"
    return "suspended" if handle.hasManagedSaveImage() else "stopped"


def _set_state(connection: Any, desired: Domain | None) -> None:
    """Bring the guest from its actual state to the desired state. libvirt's create() also restores a saved guest."""
    assert desired is not None
    handle = connection.lookupByUUIDString(desired.name)
    actual = _state(handle)
    if actual == desired.state:
        return
    if desired.state == "running":
        if actual == "paused":
            handle.resume()
        else:
            handle.create()
    elif desired.state == "paused":
        if actual != "running":
            handle.create()
        handle.suspend()
    elif desired.state == "suspended":
        if actual == "stopped":
            handle.create()
        handle.managedSave()
    elif desired.state == "stopped":
        _stop(handle, actual)


def _stop(handle: Any, actual: str) -> None:
    """Ask the guest to shut down (ACPI), and destroy it if it still runs after ``SHUTDOWN_SECONDS``, as Nova does."""
    import libvirt

    if actual == "suspended":
        handle.managedSaveRemove()
        return
    if actual == "paused":
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
