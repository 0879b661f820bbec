"""What a guest is, for libvirt: the records shared by ``domains.py`` (libvirt) and ``domain_xml.py`` (XML)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar


@dataclass(frozen=True)
class Nic:
    """A virtio NIC on the ready-made tap ``tap``. ``offload`` False switches checksum and segmentation offloads off
    (userspace datapath)."""

    tap: str
    mac: str
    mtu: int = 1500
    offload: bool = True


@dataclass(frozen=True)
class Domain:
    """A guest. ``name`` is its uuid; ``domain`` the libvirt name (``instance-0000001e``), ``title`` the inventory name.

    ``state`` is what it should be: running, stopped, paused, suspended. ``virt_type`` is kvm or qemu. ``disk`` is the
    path of the root disk; the console goes to ``console.log`` beside it. ``machine`` "" = libvirt's default.
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
