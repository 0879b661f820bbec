"""The cloud: the ``cloud_*`` variables, without their prefix."""

from __future__ import annotations

from typing import Literal

from .addresses import Address, TunnelRange, VlanRange
from .base import Keyed, Model, Named, Positive
from .compute import AffinityGroupModel, FlavorModel, ImageModel, VolumeModel
from .names import Name, PublicKey
from .network import FloatingIpModel, NetworkModel, RouterModel
from .security import QosPolicyModel, SecurityGroupModel
from .services import LoadBalancerModel, ProjectModel


class CloudModel(Model):
    """Everything that is not a node or an instance, keyed by name."""

    name: Name
    l2_mechanism: Literal["openvswitch", "linuxbridge"] = "openvswitch"
    firewall_driver: Literal["openvswitch", "iptables_hybrid", "none"] = "openvswitch"
    vlan_ranges: Named[list[VlanRange]]
    tunnel_id_range: TunnelRange = (1, 16777215)
    dhcp_agents_per_network: Positive = 1
    networks: Named[NetworkModel]
    routers: Named[RouterModel]
    floating_ips: Keyed[Address, FloatingIpModel]
    security_groups: Named[SecurityGroupModel]
    qos_policies: Named[QosPolicyModel]
    flavors: Named[FlavorModel]
    images: Named[ImageModel]
    keypairs: Named[PublicKey]
    volumes: Named[VolumeModel]
    affinity_groups: Named[AffinityGroupModel]
    load_balancers: Named[LoadBalancerModel]
    projects: Named[ProjectModel]
