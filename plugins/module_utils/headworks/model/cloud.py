"""The cloud: the ``cloud_*`` variables, without their prefix."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field

from .addresses import Address, TunnelRange, VlanRange
from .base import Count, Items, Keyed, Model, Named, Positive
from .compute import AffinityGroupModel, FlavorModel, ImageModel, VolumeModel
from .names import Name, PublicKey
from .network import FloatingIpModel, NetworkModel, RouterModel, with_subnets
from .security import QosPolicyModel, SecurityGroupModel
from .services import LoadBalancerModel, ProjectModel
from .written import Kind


class CloudModel(Model):
    """Everything that is not a node or an instance, keyed by name."""

    name: Name = Field(
        default="cloud",
        description="Name of the cloud. All ids are derived from it, and it marks what belongs to the cloud on a node. "
        "Choose it once: allocations of another name are refused.",
    )
    l2_mechanism: Literal["openvswitch", "linuxbridge"] = Field(
        default="openvswitch",
        description="How nodes connect ports to networks. linuxbridge is not available yet and is refused.",
    )
    firewall_driver: Literal["openvswitch", "iptables_hybrid", "none"] = Field(
        default="openvswitch",
        description="How nodes filter the traffic of ports. iptables_hybrid is not available yet and is refused. "
        "Security groups are not enforced yet: every run warns of it unless the value is none.",
    )
    vlan_ranges: Named[Items[VlanRange]] = Field(
        description="VLANs that networks of type vlan may get, keyed by physical network.",
        examples=[{"physnet1": ["2000:4094"]}],
    )
    tunnel_id_range: TunnelRange = Field(
        default=(1, 16777215),
        description="Tunnel ids that networks of type vxlan, gre and geneve may get: the first and the last.",
    )
    dhcp_agents_per_network: Positive = Field(
        default=1, description="Number of network nodes that run DHCP for each network."
    )
    removals_without_asking: Count = Field(
        default=2,
        description="Largest number of instances that a run removes without asking. A run that would remove more stops "
        "before any node is touched, lists them, and asks for cloud_confirm_removal.",
    )
    reclaim_after_days: Count = Field(
        default=7,
        description="Number of days for which the nodes keep the disk and the allocations of a removed instance. An "
        "instance that is in the inventory again within this time comes back with them.",
    )
    networks: Annotated[Named[NetworkModel], BeforeValidator(with_subnets)] = Field(
        description="Networks with their subnets, keyed by name."
    )
    routers: Named[RouterModel] = Field(description="Routers, keyed by name.")
    floating_ips: Keyed[Address, FloatingIpModel] = Field(
        description="Floating IPs, keyed by address: an IPv4 address inside an allocation pool of an external network."
    )
    security_groups: Named[SecurityGroupModel] = Field(
        description="Security groups, keyed by name; the group default exists in any case. They are checked, but not "
        "acted on yet: nothing is filtered."
    )
    qos_policies: Named[QosPolicyModel] = Field(
        description="Limits and markings of traffic, keyed by name. They are checked, but not acted on yet."
    )
    flavors: Named[FlavorModel] = Field(description="Sizes of instances, keyed by name.")
    images: Named[ImageModel] = Field(
        description="Images that instances start from, keyed by name. An image has no backing file, and its virtual "
        "size must fit the flavor's disk."
    )
    keypairs: Named[PublicKey] = Field(
        description="Public ssh keys, keyed by name. A private key is refused.",
        examples=[{"ops": "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJ5m1sPq2gTq0Vh5W8o7nH0w2rZ0vS7xk3m0oX4b9Qab ops"}],
    )
    volumes: Named[VolumeModel] = Field(
        description="Disks that outlive their instance, keyed by name. They are checked, but not acted on yet."
    )
    affinity_groups: Named[AffinityGroupModel] = Field(
        description="Groups of instances that are placed together or apart, keyed by name."
    )
    load_balancers: Named[LoadBalancerModel] = Field(
        description="Load balancers, keyed by name. They are checked, but not acted on yet."
    )
    projects: Named[ProjectModel] = Field(
        description="Projects and their quotas, keyed by name. They are checked, but not acted on yet."
    )


FilePath = Annotated[str, Kind("path of a file", {"type": "string"})]


class AllocationsModel(Model):
    """Variables that the caller of the plan reads: where allocations are kept. They do not describe the cloud."""

    allocations_file: FilePath = Field(
        default="",
        description="File that keeps the allocations; commit it. Empty: group_vars/all/allocations.yml beside the "
        "inventory. A relative path starts at the directory of the last inventory.",
    )
    allocations: dict[str, Any] = Field(
        default_factory=dict,
        description="The allocations themselves, as headworks writes them to cloud_allocations_file. Do not set this "
        "variable yourself.",
    )


class RunModel(Model):
    """Variables that describe one run and not the cloud: give them with ``-e`` on the command line."""

    confirm_removal: Count | None = Field(
        default=None,
        description="Confirms removals for one run, with -e: the number of instances that the run removes, and of "
        "those that it creates again because their disks are lost. It must be exactly the number that the refused run "
        "named. With null, cloud_removals_without_asking decides.",
    )
    accept_older: bool = Field(
        default=False,
        description="Allows one run, with -e, to apply a plan that is older than the one that a node applied last, or "
        "that was made with another allocations file. Without it, a node refuses such a plan.",
    )
    plan_only: bool = Field(
        default=False,
        description="Ends the run after the plan, with -e: nothing is changed. The exit code is 0 without changes and "
        "2 with changes, 4 if a node does not answer, and 1 if the run would be refused or a node cannot tell all "
        "of its changes.",
    )
    plan_file: FilePath = Field(
        default="",
        description="File to which the run writes its plan as JSON, with -e. Empty: it is not written.",
    )
    plan_saved: FilePath = Field(
        default="",
        description="File with a plan that cloud_plan_file wrote, with -e. The run is refused if its own plan differs "
        "from the saved one. Empty: no plan is compared.",
    )
