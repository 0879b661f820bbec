"""What is kept of a guest in its instance directory, so that it comes back whole: definition, NVRAM, saved memory.

``domain.xml`` is a copy: while the domain exists, libvirt's own definition counts. The copy is written after each
change by the engine and before a removal, so it also has what an operator changed before the removal. If the domain
vanished in another way, the copy may be older. What does not belong here: the disks (``disks.py``), and moving the
directory.
"""

from __future__ import annotations

import json
import os
import shutil
import xml.etree.ElementTree as ET
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from ...state.domains import Domain
from ...system.files import read_text, sync_directory, write_file
from . import domain_edit, domain_xml
from .qcow2 import read_header

DEFINITION = "domain.xml"
NVRAM = "nvram"
MEMORY = "memory.save"  # the saved memory of a suspended guest, as libvirt's managed save wrote it
MEMORY_OF = "memory.json"  # the state of the disks that belongs to the saved memory
MANAGED_SAVES = Path("/var/lib/libvirt/qemu/save")  # where libvirt keeps saved memory: <libvirt's name>.save


class KeptError(RuntimeError):
    """A guest cannot be removed or defined without losing data. The message says why and what to do."""


def save_definition(directory: Path, handle: Any) -> None:
    """Write the definition of a domain to its directory. With its secrets, so that it can be defined again."""
    import libvirt

    if directory.is_dir():  # without a directory the guest has no disk of ours
        text = handle.XMLDesc(libvirt.VIR_DOMAIN_XML_INACTIVE | libvirt.VIR_DOMAIN_XML_SECURE)
        write_file(directory / DEFINITION, text, mode=0o600)


def refuse_missing_directory(directory: Path, guest: Domain) -> None:
    """Refuse to remove a guest that has no directory where its definition can be kept.

    :raises KeptError: the directory is missing.
    """
    if not directory.is_dir():
        raise KeptError(
            f"its directory {directory} is missing, so its definition cannot be kept, and it is not removed; probably "
            "a filesystem is not mounted: mount it. If the files are lost, remove the guest with "
            f"virsh undefine {guest.domain}"
        )


def keep_files(directory: Path, handle: Any, guest: Domain) -> list[str]:
    """Keep the NVRAM and the saved memory of a guest that does not run and is going to be removed. Return what cannot
    be kept, for people."""
    lost = []
    place = ET.fromstring(handle.XMLDesc()).findtext("os/nvram", "")
    if place and Path(place).exists():
        _copy(Path(place), directory / NVRAM)
    if not _keep_memory(directory, handle, guest):
        lost.append("its saved memory")
    snapshots = [snapshot.getName() for snapshot in handle.listAllSnapshots()]
    if snapshots:
        lost.append(f"libvirt's records of its snapshots {', '.join(snapshots)} (the data of internal ones stays)")
    return lost


def definition(directory: Path, desired: Domain) -> str | None:
    """Return the XML to define a guest again from its kept definition, brought to ``desired``. None: nothing is kept.

    :raises KeptError: the kept definition is damaged or of another guest.
    """
    path = directory / DEFINITION
    text = read_text(path)
    if text is None:
        return None
    try:
        identity = ET.fromstring(text).findtext("uuid", "")
    except ET.ParseError as error:
        identity = f"damaged ({error})"
    if identity != desired.name:
        raise KeptError(
            f"its kept definition {path} is not one of this guest: {identity}; delete the file to define the guest "
            "from the inventory alone (additions made with virsh edit are then lost)"
        )
    return domain_edit.with_desired(domain_edit.with_name(text, desired.domain), desired)


def refuse_hidden_overlays(directory: Path, paths: Iterable[str]) -> None:
    """Refuse to define a guest on a disk that is the base of another file in its directory: it has an external
    snapshot, and a guest that writes to the base damages it.

    :param paths: the disks of the definition.
    :raises KeptError: names both files.
    """
    used = set(paths)
    for file in sorted(directory.iterdir()) if directory.is_dir() else ():
        backing = read_header(file).backing if file.is_file() else ""
        if backing in used and str(file) not in used:
            raise KeptError(
                f"{file} is an overlay on its disk {backing} (an external snapshot), but no definition uses it, and "
                f"the guest would damage it; define the guest with it (virsh define), or move {file} away"
            )


def restore_nvram(directory: Path, text: str) -> None:
    """Put the kept NVRAM back to the place that the definition ``text`` names, unless there is one."""
    place, kept = ET.fromstring(text).findtext("os/nvram", ""), directory / NVRAM
    if place and kept.exists() and not Path(place).exists():
        _copy(kept, Path(place))


def start(connection: Any, handle: Any, directory: Path) -> str:
    """Start a guest: from its kept memory if that belongs to its disks as they are, else from its disk. Return a text
    for people if kept memory was not used.

    The file of the memory is renamed before it is used. So after a power cut the guest starts from its disk, and no
    guest ever continues with memory that is older than its disk.
    """
    memory, used = directory / MEMORY, directory / f"{MEMORY}.used"
    if not memory.exists() or handle.hasManagedSaveImage():
        handle.create()
        return ""
    wanted = read_text(directory / MEMORY_OF)
    if wanted != _state_of_disks(domain_xml.parse(handle.XMLDesc(), "").disks):
        handle.create()
        memory.unlink()
        return "its saved memory was not used, because its disk was changed or copied since; it started from its disk"
    memory.rename(used)
    sync_directory(directory)
    try:
        connection.restore(str(used))
    except Exception:
        used.rename(memory)
        raise
    used.unlink()
    (directory / MEMORY_OF).unlink(missing_ok=True)
    return ""


def _keep_memory(directory: Path, handle: Any, guest: Domain) -> bool:
    """Keep the saved memory of a suspended guest, if there is any. Return whether nothing is lost."""
    memory = directory / MEMORY
    if not handle.hasManagedSaveImage():
        return True  # memory of an earlier removal stays: ``start`` knows whether it belongs to the disk as it is
    saved = MANAGED_SAVES / f"{guest.domain}.save"
    if not saved.exists():
        return False
    memory.unlink(missing_ok=True)
    write_file(directory / MEMORY_OF, _state_of_disks(guest.disks), mode=0o600)
    try:
        os.link(saved, memory)  # costs nothing; libvirt then deletes its own name of the file
    except OSError:
        _copy(saved, memory)
    sync_directory(directory)
    return True


def _state_of_disks(disks: Iterable[Any]) -> str:
    """Return a text that differs after any write to one of the disks."""
    changed = {disk.target: os.stat(disk.path).st_mtime_ns for disk in disks if disk.path}
    return json.dumps(changed, sort_keys=True)


def _copy(source: Path, target: Path) -> None:
    """Copy a file. ``target`` appears in one step and complete."""
    partial = target.with_name(f".{target.name}.new")
    shutil.copyfile(source, partial)
    partial.chmod(0o600)
    with partial.open("rb") as stream:
        os.fsync(stream.fileno())
    partial.replace(target)
    sync_directory(target.parent)
