"""Guests of a compute node: base images, overlay disks, libvirt domains. What does not belong here: their network."""

from __future__ import annotations

from ..plan.cloud import Instance, Port
from ..state.disks import Disk
from ..state.domains import ROOT_TARGET, Domain, DomainDisk, Nic
from ..state.images import BaseImage
from ..state.places import console_log, root_disk
from .devices import guest_device
from .node_view import NodeView


def images(view: NodeView) -> list[BaseImage]:
    """The base images of the node's guests, each once; by digest."""
    found = {one.image.digest: one.image for one in reversed(view.instances)}
    return [
        BaseImage(
            name=digest,
            image=found[digest].name,
            url=found[digest].url,
            checksum=found[digest].checksum,
            format=found[digest].format,
            ca=found[digest].ca,
        )
        for digest in sorted(found)
    ]


def disks(view: NodeView) -> list[Disk]:
    """The root disk of each guest: an overlay on its base image."""
    return [
        Disk(name=one.id, title=one.name, base=one.image.digest, base_format=one.image.format, size_gb=one.disk_gb)
        for one in view.instances
    ]


def domains(view: NodeView) -> list[Domain]:
    """The libvirt domain of each guest, in the state that it should be in."""
    return [_domain(view, one) for one in view.instances]


def _domain(view: NodeView, instance: Instance) -> Domain:
    return Domain(
        name=instance.id,
        domain=f"instance-{instance.number:08x}",
        title=instance.name,
        vcpus=instance.vcpus,
        memory_mb=instance.ram_mb,
        disks=(DomainDisk(path=root_disk(instance.id), target=ROOT_TARGET),),
        state=instance.state,
        virt_type=view.node.virt_type,
        nics=tuple(_nic(view, port) for port in instance.ports),
        cloud=view.cloud.name,
        console_log=console_log(instance.id),
    )


def _nic(view: NodeView, port: Port) -> Nic:
    mtu = view.cloud.networks[port.network].mtu
    return Nic(tap=guest_device(view.cloud, port), mac=port.mac, mtu=mtu, offload=view.offload)
