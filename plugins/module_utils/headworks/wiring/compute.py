"""Guests of a compute node: base images, overlay disks, libvirt domains, and how long removed disks are kept.

What does not belong here: the links and switch ports of guests (``links.py``, ``mechanism/``, ``firewall/``).
"""

from __future__ import annotations

from ..plan.cloud import Instance, Port
from ..state.disks import Disk
from ..state.domains import ROOT_TARGET, Domain, DomainDisk, Nic
from ..state.images import BaseImage
from ..state.places import console_log, root_disk
from ..state.retention import Retention
from .devices import guest_device
from .node_view import NodeView


def images(view: NodeView) -> list[BaseImage]:
    """Return the base images of the node's guests, each image once, sorted by digest."""
    by_digest = {instance.image.digest: instance.image for instance in reversed(view.instances)}
    return [
        BaseImage(
            name=digest,
            image=by_digest[digest].name,
            url=by_digest[digest].url,
            checksum=by_digest[digest].checksum,
            format=by_digest[digest].format,
            ca=by_digest[digest].ca,
        )
        for digest in sorted(by_digest)
    ]


def disks(view: NodeView) -> list[Disk]:
    """Return the root disk of each guest: an overlay on its base image."""
    return [
        Disk(
            name=instance.id,
            title=instance.name,
            base=instance.image.digest,
            base_format=instance.image.format,
            size_gb=instance.disk_gb,
            protected=instance.protected,
        )
        for instance in view.instances
    ]


def retention(view: NodeView) -> list[Retention]:
    """Return how long a compute node keeps what is left of removed guests."""
    if "compute" not in view.node.roles:
        return []
    return [Retention(name="removed", days=view.cloud.reclaim_after_days)]


def domains(view: NodeView) -> list[Domain]:
    """Return the libvirt domain of each guest, with its desired state."""
    return [_domain(view, instance) for instance in view.instances]


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
        protected=instance.protected,
    )


def _nic(view: NodeView, port: Port) -> Nic:
    mtu = view.cloud.networks[port.network].mtu
    return Nic(tap=guest_device(view.cloud, port), mac=port.mac, mtu=mtu, offload=view.offload)
