"""Projects with their quotas, and load balancers in Octavia's words."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from .addresses import Address, Cidr
from .base import Count, Limit, Listed, Model, Named, Positive, TcpPort, none_as
from .names import HostName, Line, Name


class QuotaModel(Model):
    """What a project may have; -1 = as much as there is. Not given = no limit."""

    instances: Limit = -1
    vcpus: Limit = -1
    ram_mb: Limit = -1
    volumes: Limit = -1
    volumes_gb: Limit = -1
    networks: Limit = -1
    subnets: Limit = -1
    routers: Limit = -1
    ports: Limit = -1
    floating_ips: Limit = -1
    security_groups: Limit = -1
    security_group_rules: Limit = -1
    load_balancers: Limit = -1


class ProjectModel(Model):
    """A project."""

    description: Line = ""
    enabled: bool = True
    quota: Annotated[QuotaModel, none_as(dict)] = Field(default_factory=lambda: QuotaModel())


class MemberModel(Model):
    """A member of a pool: an instance (on ``network``, when it has several) or an address."""

    instance: HostName | None = None
    network: Name | None = None
    address: Address | None = None
    port: TcpPort
    weight: Annotated[Count, Field(le=256)] = 1
    backup: bool = False

    @model_validator(mode="after")
    def _one_target(self) -> MemberModel:
        if (self.instance is None) == (self.address is None):
            raise ValueError("a member has exactly one of instance and address")
        return self


class HealthMonitorModel(Model):
    """How a pool's members are checked; times in seconds."""

    type: Literal["HTTP", "HTTPS", "TCP", "PING"] = "TCP"
    delay: Positive = 5
    timeout: Positive = 5
    max_retries: Annotated[Positive, Field(le=10)] = 3
    http_method: Literal["GET", "HEAD", "OPTIONS"] = "GET"
    url_path: Annotated[Line, Field(pattern=r"^/[!-~]*$")] = "/"
    expected_codes: Annotated[str, Field(pattern=r"^[1-5]\d\d([,-][1-5]\d\d)*$")] = "200"


class PoolModel(Model):
    """A pool of members."""

    protocol: Literal["HTTP", "HTTPS", "TCP"] | None = None
    algorithm: Literal["ROUND_ROBIN", "LEAST_CONNECTIONS", "SOURCE_IP"] = "ROUND_ROBIN"
    session_persistence: Literal["SOURCE_IP", "HTTP_COOKIE"] | None = None
    members: Listed[MemberModel]
    health_monitor: HealthMonitorModel | None = None


class ListenerModel(Model):
    """A port of the load balancer and the pool behind it."""

    protocol: Literal["HTTP", "HTTPS", "TCP"]
    port: TcpPort
    connection_limit: Limit = -1
    allowed_cidrs: Listed[Cidr]
    pool: PoolModel = Field(default_factory=lambda: PoolModel.model_validate({}))


class LoadBalancerModel(Model):
    """A load balancer with an address of ``network``."""

    network: Name
    subnet: Name | None = None
    vip_address: Address | None = None
    project: Name | None = None
    description: Line = ""
    listeners: Named[ListenerModel]
