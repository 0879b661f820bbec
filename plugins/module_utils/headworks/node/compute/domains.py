"""libvirt domains: they are defined, compared by meaning, and changed live where libvirt can. A domain is never
destroyed to be changed.

A running guest is read twice: its definition, which is for its next start, and what it has now. Both must be as
desired. libvirt and the files that handle XML are imported where they are used: a node without guests needs none of
them. What does not belong here: the XML (``domain_xml.py``, ``domain_edit.py``), the devices of a running guest
(``live_devices.py``), the states (``guest_states.py``), what is kept of a removed guest (``kept.py``), the texts for
people (``guest_notes.py``), the taps (``node/links/``, ``node/ovs/``), and the files of the disks (``disks.py``).
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from ...state import places
from ...state.domains import Domain, DomainDisk, Nic
from ...state.nft import tables_of
from ..subsystem import Applied, Cause, Change, Note, Reading, Scope, Subsystem, Undone
from . import guest_notes
from .libvirt_socket import URI, connect, has_libvirt

INSTANCES_DIR = Path(places.INSTANCES_DIR)
PARALLEL = 4  # how many guests are changed and started at the same time


class DomainError(RuntimeError):
    """Some guests could not be configured or started. The message has the inventory name of each."""


class DomainSubsystem(Subsystem[Domain]):
    """All guests of a node, through a single libvirt connection."""

    kind = "domain"
    guarded = True
    record = Domain

    def __init__(self, owner: str | None = None, uri: str = URI, instances_dir: Path = INSTANCES_DIR) -> None:
        super().__init__(owner)
        self.uri = uri
        self.instances_dir = instances_dir

    def read(self, desired: Mapping[str, Domain], scope: Scope | None = None) -> Reading[Domain]:
        """Return the domains with our mark, and those with a desired uuid. The notes say what a guest gets only at its
        next start, and which disks are missing or elsewhere. A domain that cannot be read is broken, also if it is not
        desired and has a directory: then its disk stays."""
        if not has_libvirt(needed=bool(desired) or self._has_directories()):
            return Reading()
        objects, owned, broken = {}, set(), {}
        notes: list[Note] = []
        with self._connection() as connection:
            for handle in connection.listAllDomains():
                try:
                    domain = _read_domain(handle, desired)
                except Exception as error:
                    name = str(handle.UUIDString())
                    if name in desired or (self.instances_dir / name).exists():
                        broken[name] = f"instance {desired[name].title if name in desired else name}: {error}"
                    continue
                if domain is None or (scope is not None and domain.name not in scope):
                    continue
                if self.owner is not None and domain.cloud == self.owner:
                    owned.add(domain.name)
                elif domain.name not in desired:
                    continue
                objects[domain.name] = domain
                if domain.name in desired:
                    notes += guest_notes.waiting(desired[domain.name], domain)
                    notes += [self.note(domain.name, guest_notes.missing(domain, path)) for path in _missing(domain)]
        protected = frozenset(name for name, domain in objects.items() if domain.protected)
        return Reading(objects, frozenset(owned), notes=tuple(notes), protected=protected, broken=broken)

    def _has_directories(self) -> bool:
        """Return whether there are files of guests."""
        return self.instances_dir.is_dir() and any(self.instances_dir.iterdir())

    def same(self, desired: Domain, actual: Domain) -> bool:
        """Return whether both have the same meaning, and a running guest has the desired NICs and disks.

        The order of NICs and disks does not count. A disk is compared by its device alone: its file may be an external
        snapshot, and its bus and format only matter when it is created, as do libvirt's name and the console log.
        """
        return _definition(desired, actual) == _definition(actual, actual) and (
            desired.state == actual.state and not _lacks(desired, actual)
        )

    def undone_by(
        self, earlier: Sequence[Change[Any]], desired: Mapping[str, Domain], actual: Reading[Domain]
    ) -> Undone:
        """Return the running guests whose taps earlier changes re-create: their NICs will be dead."""
        recreated = {
            change.name
            for change in earlier
            if change.kind == "link" and change.before and change.after and change.before.kind != change.after.kind
        }
        running = {name: domain.live for name, domain in actual.objects.items() if domain.live is not None}
        return Undone({
            name: Cause.DEVICE_RECREATED
            for name, live in running.items()
            if recreated & {nic.tap for nic in live.nics} and name in desired
        })

    def requires(self, item: Domain) -> Mapping[str, Collection[str]]:
        """Return the taps of the guest, with their ports and flows, and the tables of the root namespace, which keep
        the guest from the node's own services. A guest that starts without its network does not configure itself
        later."""
        taps = {nic.tap for nic in item.nics}
        return {"link": taps, "ovs_port": taps, "flow": taps, "nft": tables_of("")}

    def foreseen(self, change: Change[Domain]) -> Sequence[Note]:
        """Return what the change interrupts, and what waits for the guest's next start."""
        return tuple(guest_notes.foreseen(change))

    def apply(self, changes: Sequence[Change[Domain]]) -> Applied:
        """Remove, define, change and start guests, four at a time.

        When a guest fails, the other guests are still configured and started.
        """
        from concurrent.futures import ThreadPoolExecutor  # imported late: only runs that change guests need it

        failures: dict[str, str] = {}
        notes: list[Note] = []
        with self._connection() as connection:

            def handle_one(change: Change[Domain]) -> None:
                guest = change.after or change.before
                assert guest is not None
                with _collected(failures, guest):
                    texts = self._bring(connection, guest) if change.after else self._remove(connection, guest)
                    notes.extend(self.note(guest.name, f"instance {guest.title}: {text}") for text in texts if text)

            with ThreadPoolExecutor(max_workers=PARALLEL) as pool:
                list(pool.map(handle_one, changes))
        return Applied(tuple(sorted(notes, key=lambda note: note.name)), failures=dict(sorted(failures.items())))

    def _bring(self, connection: Any, desired: Domain) -> list[str]:
        """Bring a guest to its desired record: first its definition, then its state, then its devices if it runs.
        Return texts for people.

        Each step reads what is there, so a step that a killed run has done is not done again.
        """
        from . import guest_states, kept, live_devices

        directory = self.instances_dir / desired.name
        handle, actual = _lookup(connection, desired.name), None
        if handle is None:
            handle = self._define(connection, desired, directory)
        else:
            actual = _read_domain(handle, {desired.name: desired})
            assert actual is not None
            if actual.live is None:
                _refuse_missing(actual)
            if _definition(desired, actual) != _definition(actual, actual):
                self._redefine(connection, handle, desired)
        kept.save_definition(directory, handle)
        text = guest_states.set_state(connection, handle, desired.state, directory)
        if desired.state == "running":
            live_devices.mend(handle, desired, filter(None, [actual]))
        return [text]

    def _define(self, connection: Any, desired: Domain, directory: Path) -> Any:
        """Define a guest that libvirt does not have: from its kept definition if there is one. Return its handle."""
        from . import domain_xml, kept

        text = kept.definition(directory, desired) or domain_xml.build(desired)
        planned = domain_xml.parse(text, desired.state)
        _refuse_missing(planned)
        kept.refuse_hidden_overlays(directory, [disk.path for disk in planned.disks])
        kept.restore_nvram(directory, text)
        return connection.defineXML(text)

    def _redefine(self, connection: Any, handle: Any, desired: Domain) -> None:
        import libvirt

        from . import domain_edit

        flags = libvirt.VIR_DOMAIN_XML_INACTIVE | libvirt.VIR_DOMAIN_XML_SECURE
        connection.defineXML(domain_edit.with_desired(str(handle.XMLDesc(flags)), desired))

    def _remove(self, connection: Any, guest: Domain) -> list[str]:
        """Remove a guest, after all that libvirt has of it was kept in its directory. Return texts for people."""
        import libvirt

        from . import kept

        handle = _lookup(connection, guest.name)
        if handle is None:
            return []
        directory = self.instances_dir / guest.name
        kept.refuse_missing_directory(directory, guest)
        kept.save_definition(directory, handle)
        if handle.isActive():
            handle.destroy()
        lost = kept.keep_files(directory, handle, guest)
        handle.undefineFlags(
            libvirt.VIR_DOMAIN_UNDEFINE_MANAGED_SAVE
            | libvirt.VIR_DOMAIN_UNDEFINE_SNAPSHOTS_METADATA
            | libvirt.VIR_DOMAIN_UNDEFINE_CHECKPOINTS_METADATA
            | libvirt.VIR_DOMAIN_UNDEFINE_NVRAM
            | getattr(libvirt, "VIR_DOMAIN_UNDEFINE_KEEP_TPM", 0)
        )
        return [f"not kept: {', '.join(lost)}"] if lost else []

    @contextmanager
    def _connection(self) -> Iterator[Any]:
        connection = connect(self.uri)
        try:
            yield connection
        finally:
            connection.close()


def list_domains() -> list[Domain]:
    """Return all domains of this node, also those that are not ours, sorted by title; empty without libvirt."""
    if not has_libvirt(needed=False):
        return []
    with DomainSubsystem()._connection() as connection:
        domains = [_read_domain(handle, {}) for handle in connection.listAllDomains()]
    return sorted(
        (replace(domain, live=None) for domain in domains if domain is not None),
        key=lambda domain: (domain.title, domain.name),
    )


@contextmanager
def _collected(failures: dict[str, str], guest: Domain) -> Iterator[None]:
    """Catch a failure of the body and add it to ``failures``, by the guest's uuid and with its inventory name."""
    try:
        yield
    except Exception as error:
        failures[guest.name] = f"instance {guest.title}: {error}"


def _definition(domain: Domain, actual: Domain) -> Domain:
    """Return ``domain`` with only what is compared in a definition, sorted; what it leaves open is as in ``actual``."""
    nics = (Nic(nic.tap, nic.mac.lower(), nic.mtu, nic.offload) for nic in domain.nics)
    return replace(
        domain,
        domain="",
        machine="",
        console_log="",
        state="",
        live=None,
        cloud=domain.cloud or actual.cloud,
        protected=actual.protected if domain.protected is None else domain.protected,
        nics=tuple(sorted(nics, key=lambda nic: nic.tap)),
        disks=tuple(sorted((replace(disk, path="", bus="", format="") for disk in domain.disks), key=_target)),
    )


def _target(disk: DomainDisk) -> str:
    return disk.target


def _lacks(desired: Domain, actual: Domain) -> bool:
    """Return whether a guest that is to run has other NICs or disks than desired, or a dead NIC. A paused guest cannot
    attach or release devices, so it gets them when it runs again."""
    live = actual.live
    if live is None or desired.state != "running":
        return False
    taps, targets = {nic.tap for nic in desired.nics}, {disk.target for disk in desired.disks}
    return bool(live.dead) or {nic.tap for nic in live.nics} != taps or set(live.disks) != targets


def _missing(domain: Domain) -> list[str]:
    """Return the files of the domain's disks that do not exist. The disks of an operator do not count."""
    return [disk.path for disk in domain.disks if disk.path and not Path(disk.path).exists()]


def _refuse_missing(guest: Domain) -> None:
    """Refuse to define or start a guest whose disk file is missing.

    :raises DomainError: names the file, the probable cause, and what to do.
    """
    for path in _missing(guest):
        raise DomainError(guest_notes.missing(guest, path).partition(": ")[2])


def _lookup(connection: Any, name: str) -> Any:
    """Return the handle of the domain with uuid ``name``, or None."""
    import libvirt

    try:
        return connection.lookupByUUIDString(name)
    except libvirt.libvirtError as error:
        if error.get_error_code() == libvirt.VIR_ERR_NO_DOMAIN:
            return None
        raise


def _read_domain(handle: Any, desired: Mapping[str, Domain]) -> Domain | None:
    """Return a domain as a record, with ``live`` if it runs; None if the domain was removed meanwhile."""
    import libvirt

    from . import domain_xml, guest_states, live_devices

    try:
        state = guest_states.state_of(handle)
        domain = domain_xml.parse(str(handle.XMLDesc(libvirt.VIR_DOMAIN_XML_INACTIVE)), state)
        if state not in guest_notes.AWAKE:
            return domain
        known = (domain, desired[domain.name]) if domain.name in desired else (domain,)
        return replace(domain, live=live_devices.read_live(handle, known))
    except libvirt.libvirtError as error:
        if error.get_error_code() == libvirt.VIR_ERR_NO_DOMAIN:
            return None
        raise
