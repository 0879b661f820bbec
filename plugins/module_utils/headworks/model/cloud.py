"""The cloud: the ``cloud_*`` variables, without their prefix."""

from __future__ import annotations

from typing import Annotated, Literal, TypeVar

from .addresses import Address, TunnelRange, VlanRange
from .base import Model, Positive, none_as
from .compute import AffinityGroupModel, FlavorModel, ImageModel, VolumeModel
from .names import Name, PublicKey
from .network import FloatingIpModel, NetworkModel, RouterModel
from .security import QosPolicyModel, SecurityGroupModel
from .services import LoadBalancerModel, ProjectModel

T = TypeVar("T")
Named = Annotated[dict[Name, T], none_as(dict)]


class CloudModel(Model):
    """Everything that is not a node or an instance, keyed by name."""

    name: Name
    l2_mechanism: Literal["openvswitch", "linuxbridge"] = "openvswitch"
    firewall_driver: Literal["openvswitch", "iptables_hybrid", "none"] = "openvswitch"
    vlan_ranges: Named[list[VlanRange]] = {}
    tunnel_id_range: TunnelRange = (1, 16777215)
    dhcp_agents_per_network: Positive = 1
    networks: Named[NetworkModel] = {}
    routers: Named[RouterModel] = {}
    floating_ips: Annotated[dict[Address, FloatingIpModel], none_as(dict)] = {}
    security_groups: Named[SecurityGroupModel] = {}
    qos_policies: Named[QosPolicyModel] = {}
    flavors: Named[FlavorModel] = {}
    images: Named[ImageModel] = {}
    keypairs: Named[PublicKey] = {}
    volumes: Named[VolumeModel] = {}
    affinity_groups: Named[AffinityGroupModel] = {}
    load_balancers: Named[LoadBalancerModel] = {}
    projects: Named[ProjectModel] = {}
