"""Projects with their quotas, and load balancers in Octavia's words."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from .addresses import Address, Cidr
from .base import Count, Limit, Listed, Model, Named, Positive, TcpPort, also, none_as
from .names import HostName, Line, Name
from .written import NULL


class QuotaModel(Model):
    """What a project may have; -1 = as much as there is. Not given = no limit."""

    instances: Limit = Field(default=-1, description="Most instances that the project may have; -1 for no limit.")
    vcpus: Limit = Field(
        default=-1,
        validation_alias=also("vcpus", "cores"),
        description="Most virtual processors that the project may have; -1 for no limit. OpenStack's name cores is "
        "accepted too.",
    )
    ram_mb: Limit = Field(
        default=-1,
        validation_alias=also("ram_mb", "ram"),
        description="Most memory in MiB that the project may have; -1 for no limit. OpenStack's name ram is accepted "
        "too.",
    )
    volumes: Limit = Field(default=-1, description="Most volumes that the project may have; -1 for no limit.")
    volumes_gb: Limit = Field(
        default=-1,
        validation_alias=also("volumes_gb", "gigabytes"),
        description="Most GiB of volumes that the project may have; -1 for no limit. OpenStack's name gigabytes is "
        "accepted too.",
    )
    networks: Limit = Field(default=-1, description="Most networks that the project may have; -1 for no limit.")
    subnets: Limit = Field(default=-1, description="Most subnets that the project may have; -1 for no limit.")
    routers: Limit = Field(default=-1, description="Most routers that the project may have; -1 for no limit.")
    ports: Limit = Field(default=-1, description="Most ports that the project may have; -1 for no limit.")
    floating_ips: Limit = Field(default=-1, description="Most floating IPs that the project may have; -1 for no limit.")
    security_groups: Limit = Field(
        default=-1, description="Most security groups that the project may have; -1 for no limit."
    )
    security_group_rules: Limit = Field(
        default=-1, description="Most rules of security groups that the project may have; -1 for no limit."
    )
    load_balancers: Limit = Field(
        default=-1, description="Most load balancers that the project may have; -1 for no limit."
    )


class ProjectModel(Model):
    """A project."""

    description: Line = Field(default="", description="A remark for people; it has no effect.")
    enabled: bool = Field(default=True, description="Whether the project is in use. It has no effect yet.")
    quota: Annotated[QuotaModel, NULL, none_as(dict)] = Field(
        default_factory=lambda: QuotaModel(), description="What the project may have. It is not counted yet."
    )


class MemberModel(Model):
    """A member of a pool: an instance (on ``network``, when it has several) or an address."""

    instance: HostName | None = Field(
        default=None,
        description="Name of the instance that is the member. A member has either instance or address.",
        examples=["vm1"],
    )
    network: Name | None = Field(
        default=None, description="Name of the instance's network that is meant, if the instance has several."
    )
    address: Address | None = Field(
        default=None, description="Address of the member. A member has either instance or address."
    )
    port: TcpPort = Field(description="TCP port of the member.", examples=[8080])
    weight: Annotated[Count, Field(le=256)] = Field(
        default=1,
        description="Share of the connections that the member gets, in proportion to the other members; 0 for no new "
        "ones.",
    )
    backup: bool = Field(default=False, description="Whether the member is used only when all others fail.")

    @model_validator(mode="after")
    def _one_target(self) -> MemberModel:
        if (self.instance is None) == (self.address is None):
            raise ValueError("a member has exactly one of instance and address")
        return self


class HealthMonitorModel(Model):
    """How a pool's members are checked; times in seconds."""

    type: Literal["HTTP", "HTTPS", "TCP", "PING"] = Field(default="TCP", description="How the members are checked.")
    delay: Positive = Field(default=5, description="Time in seconds between two checks of a member.")
    timeout: Positive = Field(default=5, description="Time in seconds that a check may take.")
    max_retries: Annotated[Positive, Field(le=10)] = Field(
        default=3, description="Failed checks after which a member gets no more connections."
    )
    http_method: Literal["GET", "HEAD", "OPTIONS"] = Field(
        default="GET", description="Method of the request, with type HTTP or HTTPS."
    )
    url_path: Annotated[Line, Field(pattern=r"^/[!-~]*$")] = Field(
        default="/", description="Path of the request, with type HTTP or HTTPS."
    )
    expected_codes: Annotated[str, Field(pattern=r"^[1-5]\d\d([,-][1-5]\d\d)*$")] = Field(
        default="200", description="Status codes of a healthy member: one, a list (200,202) or a range (200-204)."
    )


class PoolModel(Model):
    """A pool of members."""

    protocol: Literal["HTTP", "HTTPS", "TCP"] | None = Field(
        default=None,
        description="Protocol between the load balancer and the members. With null, it is that of the listener.",
    )
    algorithm: Literal["ROUND_ROBIN", "LEAST_CONNECTIONS", "SOURCE_IP"] = Field(
        default="ROUND_ROBIN", description="How a member is chosen for a connection."
    )
    session_persistence: Literal["SOURCE_IP", "HTTP_COOKIE"] | None = Field(
        default=None, description="How a client is kept on the same member; null for not at all."
    )
    members: Listed[MemberModel] = Field(description="Members of the pool.")
    health_monitor: HealthMonitorModel | None = Field(
        default=None, description="How the members are checked; null for no checks."
    )


class ListenerModel(Model):
    """A port of the load balancer and the pool behind it."""

    protocol: Literal["HTTP", "HTTPS", "TCP"] = Field(description="Protocol that clients speak.", examples=["HTTP"])
    port: TcpPort = Field(description="TCP port that clients connect to.", examples=[80])
    connection_limit: Limit = Field(default=-1, description="Most connections at a time; -1 for no limit.")
    allowed_cidrs: Listed[Cidr] = Field(
        description="Networks that clients may connect from. With an empty list, clients may connect from everywhere."
    )
    pool: PoolModel = Field(
        default_factory=lambda: PoolModel.model_validate({}), description="Pool of members behind the listener."
    )


class LoadBalancerModel(Model):
    """A load balancer with an address of ``network``."""

    network: Name = Field(description="Name of the network that clients reach the load balancer on.", examples=["web"])
    subnet: Name | None = Field(
        default=None, description="Name of the subnet that its address is from. With null, the plan chooses."
    )
    vip_address: Address | None = Field(
        default=None, description="Address of the load balancer. With null, the plan allocates one."
    )
    project: Name | None = Field(
        default=None,
        description="Name of the project that the load balancer belongs to; null for none. It has no effect yet.",
    )
    description: Line = Field(default="", description="A remark for people; it has no effect.")
    listeners: Named[ListenerModel] = Field(description="Listeners, keyed by name.")
