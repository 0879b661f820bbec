"""Flavors, images, volumes, affinity groups and instances, in OpenStack's words and with its defaults."""

from __future__ import annotations

from ipaddress import ip_network
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, model_validator

from .addresses import Address, Mac
from .addresses import cidr as check_cidr
from .base import Count, Keyed, Listed, Model, Positive
from .names import Checksum, ImageUrl, Line, LocalPath, MetadataKey, MetadataValue, Name, NodeName, UserData


class FlavorModel(Model):
    """A size. ``disk_gb`` 0 = the image's own size."""

    vcpus: Annotated[Positive, Field(le=4096)]
    ram_mb: Positive
    disk_gb: Count = 0
    description: Line = ""


class ImageModel(Model):
    """An image: a file on the control node (``path``) or a URL. ``checksum`` is of the file as it is fetched."""

    path: LocalPath | None = None
    url: ImageUrl | None = None
    checksum: Checksum | None = None
    format: Literal["qcow2", "raw"] = "qcow2"
    min_disk_gb: Count = 0
    min_ram_mb: Count = 0
    properties: Keyed[MetadataKey, Any]
    description: Line = ""

    @model_validator(mode="after")
    def _one_source(self) -> ImageModel:
        if (self.path is None) == (self.url is None):
            raise ValueError("an image has exactly one of path and url")
        if self.url is not None and self.checksum is None:
            raise ValueError("an image with a url must have a checksum (sha256:<64 hex digits>)")
        return self


class VolumeModel(Model):
    """A disk that outlives its instance."""

    size_gb: Positive
    image: Name | None = None
    availability_zone: Name | None = None
    project: Name | None = None
    description: Line = ""


class AffinityGroupModel(Model):
    """Instances that should live together or apart."""

    policy: Literal["affinity", "anti-affinity", "soft-affinity", "soft-anti-affinity"]


def _pair(value: Any) -> Any:
    return {"ip_address": value} if isinstance(value, str) else value


def _address_or_cidr(value: str) -> str:
    if "/" not in value:
        value += "/128" if ":" in value else "/32"
    return str(ip_network(check_cidr(value)))


class AddressPairModel(Model):
    """Another address that a port may send from; ``mac_address`` None = the port's own."""

    ip_address: Annotated[str, BeforeValidator(lambda value: _address_or_cidr(str(value)))]
    mac_address: Mac | None = None


AddressPair = Annotated[AddressPairModel, BeforeValidator(_pair)]


def _named_network(value: Any) -> Any:
    return {"network": value} if isinstance(value, str) else value


class NicModel(Model):
    """A NIC. ``security_groups``, ``port_security`` and ``qos_policy`` None = the instance's, the network's."""

    network: Name
    subnet: Name | None = None
    address: Address | None = None
    mac: Mac | None = None
    security_groups: list[Name] | None = None
    qos_policy: Name | None = None
    port_security: bool | None = None
    allowed_address_pairs: Listed[AddressPair]


Nic = Annotated[NicModel, BeforeValidator(_named_network)]


def _as_text(value: Any) -> Any:
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value) if isinstance(value, (int, float)) else value


def _list_of_one(value: Any) -> Any:
    return [value] if isinstance(value, str) else value


class InstanceModel(Model):
    """An instance: the ``instance_*`` variables of a host of group ``instances``, without their prefix."""

    flavor: Name
    image: Name
    networks: Annotated[Listed[Nic], BeforeValidator(_list_of_one)]
    security_groups: list[Name] = Field(default_factory=lambda: ["default"])
    keypair: Name | None = None
    user_data: UserData = ""
    metadata: Annotated[Keyed[MetadataKey, Annotated[MetadataValue, BeforeValidator(_as_text)]], Field(max_length=128)]
    config_drive: bool = False
    volumes: Listed[Name]
    project: Name | None = None
    state: Literal["running", "stopped", "paused", "suspended", "absent"] = "running"
    host: NodeName | None = None
    availability_zone: Name | None = None
    affinity_group: Name | None = None
