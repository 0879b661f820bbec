"""Flavors, images, volumes, affinity groups and instances, in OpenStack's words and with its defaults."""

from __future__ import annotations

from ipaddress import ip_network
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, model_validator

from .addresses import ADDRESS_OR_CIDR, Address, Mac
from .addresses import cidr as check_cidr
from .base import Count, Items, Keyed, Listed, Model, Positive, also
from .names import NAME, Checksum, ImageUrl, Line, LocalPath, MetadataKey, MetadataValue, Name, NodeName, UserData
from .written import NULL_KIND, ShortForm


class FlavorModel(Model):
    """A size. ``disk_gb`` 0 = the image's own size."""

    vcpus: Annotated[Positive, Field(le=4096)] = Field(description="Number of virtual processors.", examples=[1])
    ram_mb: Positive = Field(
        validation_alias=also("ram_mb", "ram"),
        description="Memory in MiB. OpenStack's name ram is accepted too.",
        examples=[512],
    )
    disk_gb: Count = Field(
        default=0,
        validation_alias=also("disk_gb", "disk"),
        description="Size of the disk in GiB. With 0, the disk has the size of the image. OpenStack's name disk is "
        "accepted too.",
    )
    description: Line = Field(default="", description="A remark for people; it has no effect.")


class ImageModel(Model):
    """An image: a file on the control node (``path``) or a URL. ``checksum`` is of the file as it is fetched."""

    path: LocalPath | None = Field(
        default=None,
        description="Image file on the control node. An image has either path or url.",
        examples=["/srv/images/nano.qcow2"],
    )
    url: ImageUrl | None = Field(
        default=None, description="Where the controller fetches the image from. An image has either path or url."
    )
    checksum: Checksum | None = Field(
        default=None, description="Checksum of the file. It is required with url; with path and null, it is computed."
    )
    format: Literal["qcow2", "raw"] = Field(default="qcow2", description="Format of the file.")
    min_disk_gb: Count = Field(
        default=0,
        validation_alias=also("min_disk_gb", "min_disk"),
        description="Smallest disk in GiB that a flavor may have with this image, unless its disk_gb is 0. "
        "OpenStack's name min_disk is accepted too.",
    )
    min_ram_mb: Count = Field(
        default=0,
        validation_alias=also("min_ram_mb", "min_ram"),
        description="Least memory in MiB that a flavor may have with this image. OpenStack's name min_ram is accepted "
        "too.",
    )
    properties: Keyed[MetadataKey, Any] = Field(description="OpenStack's image properties. They have no effect yet.")
    description: Line = Field(default="", description="A remark for people; it has no effect.")

    @model_validator(mode="after")
    def _one_source(self) -> ImageModel:
        if (self.path is None) == (self.url is None):
            raise ValueError("an image has exactly one of path and url")
        if self.url is not None and self.checksum is None:
            raise ValueError("an image with a url must have a checksum (sha256:<64 hex digits>)")
        return self


class VolumeModel(Model):
    """A disk that outlives its instance."""

    size_gb: Positive = Field(
        validation_alias=also("size_gb", "size"),
        description="Size in GiB. OpenStack's name size is accepted too.",
        examples=[10],
    )
    image: Name | None = Field(
        default=None, description="Name of the image that the volume is a copy of; null for an empty volume."
    )
    availability_zone: Name | None = Field(default=None, description="Availability zone of the volume; null for any.")
    project: Name | None = Field(
        default=None, description="Name of the project that the volume belongs to; null for none. It has no effect yet."
    )
    description: Line = Field(default="", description="A remark for people; it has no effect.")


class AffinityGroupModel(Model):
    """Instances that should live together or apart."""

    policy: Literal["affinity", "anti-affinity", "soft-affinity", "soft-anti-affinity"] = Field(
        description="With affinity, the instances of the group share a node; with anti-affinity, each is on a node of "
        "its own. A soft policy is ignored where it cannot be met.",
        examples=["anti-affinity"],
    )


def _pair(value: Any) -> Any:
    return {"ip_address": value} if isinstance(value, str) else value


def _address_or_cidr(value: str) -> str:
    if "/" not in value:
        value += "/128" if ":" in value else "/32"
    return str(ip_network(check_cidr(value)))


class AddressPairModel(Model):
    """Another address that a port may send from; ``mac_address`` None = the port's own."""

    ip_address: Annotated[str, ADDRESS_OR_CIDR, BeforeValidator(lambda value: _address_or_cidr(str(value)))] = Field(
        description="Address or network that the guest may send from, besides its own address.", examples=["192.0.2.99"]
    )
    mac_address: Mac | None = Field(
        default=None, description="MAC address of the pair. With null, it is that of the NIC."
    )


AddressPair = Annotated[AddressPairModel, ShortForm((ADDRESS_OR_CIDR,)), BeforeValidator(_pair)]


def _named_network(value: Any) -> Any:
    return {"network": value} if isinstance(value, str) else value


class NicModel(Model):
    """A NIC. ``security_groups``, ``port_security`` and ``qos_policy`` None = the instance's, the network's."""

    network: Name = Field(description="Name of the network.", examples=["web"])
    subnet: Name | None = Field(
        default=None, description="Name of the subnet that the address is from. With null, the plan chooses."
    )
    address: Address | None = Field(
        default=None,
        description="Address of the NIC; it must be in a subnet of the network and free. With null, the plan "
        "allocates one.",
    )
    mac: Mac | None = Field(
        default=None,
        description="MAC address of the NIC; it must be unique. With null, it is derived from the id of the port.",
    )
    security_groups: Items[Name] | None = Field(
        default=None,
        description="Names of the NIC's security groups. With null, instance_security_groups apply. They are checked, "
        "but not acted on yet.",
    )
    qos_policy: Name | None = Field(
        default=None, description="Name of the QoS policy. With null, it is that of the network. It has no effect yet."
    )
    port_security: bool | None = Field(
        default=None,
        validation_alias=also("port_security", "port_security_enabled"),
        description="Whether the guest may only send from its own addresses. With null, it is as the network says. "
        "OpenStack's name port_security_enabled is accepted too.",
    )
    allowed_address_pairs: Listed[AddressPair] = Field(
        description="Further addresses that the guest may send from. By ARP and neighbour discovery it gets those "
        "that no other port of the network has; a MAC of another port has no effect."
    )


Nic = Annotated[NicModel, ShortForm((NAME,)), BeforeValidator(_named_network)]


def _as_text(value: Any) -> Any:
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value) if isinstance(value, (int, float)) else value


TextOrNumber = Annotated[MetadataValue, BeforeValidator(_as_text)]


def _list_of_nics(value: Any) -> Any:
    if value is None:
        return []
    return value if isinstance(value, list) else [value]


# One validator for both short forms: older versions of pydantic drop the validator of the inner of two Annotated types.
Nics = Annotated[
    list[Nic], ShortForm((NULL_KIND, NAME)), BeforeValidator(_list_of_nics), Field(default_factory=list)
]


class InstanceModel(Model):
    """An instance: the ``instance_*`` variables of a host of group ``instances``, without their prefix."""

    flavor: Name = Field(description="Name of the flavor: the size of the instance.", examples=["m1.small"])
    image: Name = Field(description="Name of the image that the disk is made from.", examples=["debian"])
    networks: Nics = Field(
        description="NICs in order, each as the name of a network or as a dictionary.", examples=[["web"]]
    )
    security_groups: Items[Name] = Field(
        default_factory=lambda: ["default"],
        description="Names of the security groups of all NICs that do not name their own. They are checked, but not "
        "acted on yet.",
    )
    keypair: Name | None = Field(
        default=None, description="Name of the key of cloud_keypairs that may log in; null for none."
    )
    user_data: UserData = Field(
        default="", description="What the guest runs or reads at its first boot; at most 65535 bytes."
    )
    metadata: Annotated[Keyed[MetadataKey, TextOrNumber], Field(max_length=128)] = Field(
        description="Keys and values for the guest, at most 128; it reads them in openstack/latest/meta_data.json of "
        "the metadata service.",
    )
    config_drive: bool = Field(
        default=False,
        description="Whether the guest has its metadata on a drive as well. It is checked, but not acted on yet.",
    )
    volumes: Listed[Name] = Field(
        description="Names of the volumes of cloud_volumes that are attached. They are checked, but not acted on yet."
    )
    project: Name | None = Field(
        default=None,
        description="Name of the project of cloud_projects that the instance belongs to; null for none. It has no "
        "effect yet.",
    )
    state: Literal["running", "stopped", "paused", "suspended", "absent"] = Field(
        default="running",
        description="State that the instance is kept in. A stopped guest is asked to shut down and switched off after "
        "30 s; a suspended guest has its memory on disk; absent is as if the instance were not in the inventory.",
    )
    protected: bool = Field(
        default=False,
        description="Whether the instance is protected from removal. Its node remembers it, so also a removal from the "
        "inventory is refused. Set it to false in a run of its own before you remove the instance.",
    )
    host: NodeName | None = Field(
        default=None,
        description="Name of the compute node that a new instance is placed on. With null, the scheduler chooses. An "
        "instance that lives on another node is not moved: that is refused.",
    )
    availability_zone: Name | None = Field(
        default=None, description="Availability zone of the compute node; null for any."
    )
    affinity_group: Name | None = Field(
        default=None, description="Name of the group of cloud_affinity_groups that the instance is in; null for none."
    )
