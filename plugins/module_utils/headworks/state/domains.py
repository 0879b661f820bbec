"""Section ``domains``: guests as libvirt domains."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar


@dataclass(frozen=True)
class Nic:
    """A virtio NIC on the tap ``tap``, which exists before the guest starts. ``offload`` False switches the NIC's
    checksum and segmentation offloads off (needed on the userspace datapath)."""

    tap: str
    mac: str
    mtu: int = 1500
    offload: bool = True


@dataclass(frozen=True)
class Domain:
    """A guest. ``name`` is its uuid, ``domain`` its libvirt name (``instance-0000001e``), ``title`` its inventory name.

    ``state`` is running, stopped, paused or suspended. ``virt_type`` is kvm or qemu. ``disk`` is the path of the root
    disk; libvirt writes the console to ``console.log`` beside it. ``machine`` "": libvirt's default machine type.
    """

    name: str
    domain: str
    title: str
    vcpus: int
    memory_mb: int
    disk: str
    state: str = "running"
    virt_type: str = "qemu"
    machine: str = ""
    nics: tuple[Nic, ...] = ()
    cloud: str = ""
    nested: ClassVar[Mapping[str, type]] = {"nics": Nic}
