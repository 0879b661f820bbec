"""Nodes: the ``node_*`` variables of a host of groups controller, network and compute, without their prefix."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BeforeValidator

from .addresses import Address4
from .base import Count, Model, Named, Ratio
from .names import LinkName, Name, ProviderBridge

ROLES = ("controller", "network", "compute")


class MappingModel(Model):
    """The way to a physical network: a bridge, and the NIC in it (None = the operator plugs it)."""

    bridge: ProviderBridge
    interface: LinkName | None = None


def _no_empty(value: Any) -> Any:
    return None if value == "" else value


class NodeModel(Model):
    """A node. Ratios and reserves are Nova's."""

    tunnel_ip: Annotated[Address4 | None, BeforeValidator(_no_empty)] = None
    bridge_mappings: Named[MappingModel]
    datapath_type: Literal["system", "netdev"] = "system"
    virt_type: Literal["auto", "kvm", "qemu"] = "auto"
    availability_zone: Name = "nova"
    enabled: bool = True
    cpu_allocation_ratio: Ratio = 4.0
    ram_allocation_ratio: Ratio = 1.0
    reserved_ram_mb: Count = 512
