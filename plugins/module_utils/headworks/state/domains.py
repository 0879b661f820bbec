"""Section ``domains``: guests as libvirt domains."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

ROOT_TARGET = "vda"  # the device of a guest's root disk


@dataclass(frozen=True)
class Nic:
    """A virtio NIC on the tap ``tap``, which exists before the guest starts. ``offload`` False switches the NIC's
    checksum and segmentation offloads off (needed on the userspace datapath)."""

    tap: str
    mac: str
    mtu: int = 1500
    offload: bool = True


@dataclass(frozen=True)
class DomainDisk:
    """A disk of a guest: the file ``path`` in format ``format``. The guest has it as device ``target`` on ``bus``."""

    path: str
    target: str
    bus: str = "virtio"
    format: str = "qcow2"


@dataclass(frozen=True)
class Live:
    """What a running guest has now. It can differ from the guest's definition, which is for its next start.

    ``disks`` are the devices of the disks. ``dead`` are the taps that were deleted or re-created under the running
    guest: it holds the deleted tap open, so these NICs carry nothing.
    """

    vcpus: int
    memory_mb: int
    virt_type: str
    nics: tuple[Nic, ...] = ()
    disks: tuple[str, ...] = ()
    dead: tuple[str, ...] = ()
    nested: ClassVar[Mapping[str, type]] = {"nics": Nic}


@dataclass(frozen=True)
class Domain:
    """A guest. ``name`` is its uuid, ``domain`` its libvirt name (``instance-0000001e``), ``title`` its inventory name.

    ``state`` is running, stopped, paused or suspended. ``virt_type`` is kvm or qemu. ``disks`` begins with the root
    disk. ``machine`` "": libvirt's default machine type. ``console_log`` is the file that libvirt writes the console to
    ("": none); it is used when a guest is defined, and an existing guest keeps the file that it has. ``protected``: the
    node refuses to remove the guest; None leaves the protection of an existing guest as it is. ``live`` is only set in
    the record of an existing guest, while it runs.
    """

    name: str
    domain: str
    title: str
    vcpus: int
    memory_mb: int
    disks: tuple[DomainDisk, ...]
    state: str = "running"
    virt_type: str = "qemu"
    machine: str = ""
    nics: tuple[Nic, ...] = ()
    cloud: str = ""
    console_log: str = ""
    protected: bool | None = False
    live: Live | None = None
    nested: ClassVar[Mapping[str, type]] = {"disks": DomainDisk, "nics": Nic, "live": Live}
