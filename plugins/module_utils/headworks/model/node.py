"""Nodes: the ``node_*`` variables of a host of groups controller, network and compute, without their prefix."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field

from ..state.underlay import MAX_ROLLBACK_SECONDS, MIN_ROLLBACK_SECONDS
from .addresses import Address4
from .base import Count, Model, Named, Ratio, Whole
from .names import LinkName, Name, ProviderBridge
from .written import EMPTY_TEXT

ROLES = ("controller", "network", "compute")


class MappingModel(Model):
    """The way to a physical network: a bridge, and the NIC in it (None = the operator plugs it)."""

    bridge: ProviderBridge = Field(
        description="Provider bridge of the physical network. A bridge is used once on a node; br-int, br-tun and "
        "br-phy are reserved.",
        examples=["br-ex"],
    )
    interface: LinkName | None = Field(
        default=None,
        description="NIC that becomes a port of the bridge; its addresses move to the bridge. A NIC is used once on a "
        "node. With null, you plug a NIC into the bridge yourself.",
        examples=["eth2"],
    )


RollbackSeconds = Annotated[Whole, Field(ge=MIN_ROLLBACK_SECONDS, le=MAX_ROLLBACK_SECONDS)]


def _no_empty(value: Any) -> Any:
    return None if value == "" else value


class NodeModel(Model):
    """A node. Ratios and reserves are Nova's."""

    tunnel_ip: Annotated[Address4 | None, EMPTY_TEXT, BeforeValidator(_no_empty)] = Field(
        default=None,
        description="Address at which the node's tunnels end. A NIC must have it, and no two nodes share it. With "
        "null, it is ansible_host, which must then be an IPv4 address.",
    )
    bridge_mappings: Named[MappingModel] = Field(
        description="Physical networks that the node reaches, keyed by the name of the physical network."
    )
    datapath_type: Literal["system", "netdev"] = Field(
        default="system",
        description="Datapath of Open vSwitch: system is the kernel's, netdev runs in userspace (for kernels without "
        "the openvswitch module). netdev also moves the tunnel NIC into a bridge br-phy.",
    )
    virt_type: Literal["auto", "kvm", "qemu"] = Field(
        default="auto",
        description="How guests run: kvm uses the processor's virtualization, qemu emulates a processor, auto is "
        "kvm on nodes that have it, else qemu.",
    )
    availability_zone: Name = Field(default="nova", description="Availability zone of the node's instances.")
    enabled: bool = Field(
        default=True,
        description="Whether new instances may be placed on the node. With false, the instances that are there stay.",
    )
    cpu_allocation_ratio: Ratio = Field(
        default=4.0, description="Virtual processors that are given out for each processor of the node."
    )
    ram_allocation_ratio: Ratio = Field(
        default=1.0, description="Memory that is given out, as a multiple of the node's memory."
    )
    reserved_ram_mb: Count = Field(
        default=512, description="Memory in MiB that is reserved for the node itself and not given to instances."
    )
    reserved_disk_gb: Count | None = Field(
        default=None,
        description="Disk space in GiB that is reserved for the node itself and not given to instances. With null, it "
        "is 10 % of the filesystem.",
    )
    rollback_seconds: RollbackSeconds = Field(
        default=60,
        description="Seconds after which the node takes back the move of a NIC into or out of a bridge, if the run "
        "could not reach the node over a new connection since.",
    )
