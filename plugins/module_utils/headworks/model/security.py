"""Security groups and QoS policies, in OpenStack's words."""

from __future__ import annotations

from ipaddress import ip_network
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, model_validator

from .addresses import Cidr, PortRange
from .base import Count, Listed, Model, Positive
from .names import Line, Name

PROTOCOLS = {
    "ah": 51, "dccp": 33, "egp": 8, "esp": 50, "gre": 47, "icmp": 1, "icmpv6": 58, "igmp": 2, "ipip": 4, "ospf": 89,
    "pgm": 113, "rsvp": 46, "sctp": 132, "tcp": 6, "udp": 17, "udplite": 136, "vrrp": 112,
}
_WITH_PORTS = ("tcp", "udp", "sctp", "dccp", "udplite")
_DSCP = (0, 8, 10, 12, 14, 16, 18, 20, 22, 24, 26, 28, 30, 32, 34, 36, 38, 40, 46, 48, 56)


def _protocol(value: Any) -> Any:
    if value is None or value == "any":
        return None
    text = "icmpv6" if str(value).lower() in ("ipv6-icmp", "icmp6") else str(value).lower()
    if text.isdigit() and not isinstance(value, bool) and int(text) <= 255:
        return next((name for name, number in PROTOCOLS.items() if number == int(text)), text)
    if text not in PROTOCOLS:
        raise ValueError(f"must be any, a number up to 255, or one of {', '.join(sorted(PROTOCOLS))}")
    return text


class RuleModel(Model):
    """A rule lets traffic in or out. ``protocol`` None = any; ``ports`` (first, last) of the destination."""

    direction: Literal["ingress", "egress"] = "ingress"
    ethertype: Literal["IPv4", "IPv6"] | None = None
    protocol: Annotated[str | None, BeforeValidator(_protocol)] = None
    ports: PortRange | None = None
    icmp_type: Annotated[Count, Field(le=255)] | None = None
    icmp_code: Annotated[Count, Field(le=255)] | None = None
    remote_cidr: Cidr | None = None
    remote_group: Name | None = None
    description: Line = ""

    @model_validator(mode="after")
    def _fits_together(self) -> RuleModel:
        if self.ports and self.protocol not in _WITH_PORTS:
            raise ValueError(f"a rule with ports must have a protocol of {', '.join(_WITH_PORTS)}")
        if self.icmp_type is not None and self.protocol not in ("icmp", "icmpv6"):
            raise ValueError("a rule with icmp_type must have protocol icmp or icmpv6")
        if self.icmp_code is not None and self.icmp_type is None:
            raise ValueError("a rule with icmp_code must also have icmp_type")
        if self.remote_cidr and self.remote_group:
            raise ValueError("a rule has remote_cidr or remote_group, not both")
        if self.remote_cidr and self.ethertype and ip_network(self.remote_cidr).version != int(self.ethertype[-1]):
            raise ValueError(f"remote_cidr {self.remote_cidr} is not of ethertype {self.ethertype}")
        if self.protocol == "icmpv6" and self.ethertype == "IPv4":
            raise ValueError("protocol icmpv6 is not of ethertype IPv4")
        return self


class SecurityGroupModel(Model):
    """A security group: what its rules do not let through is dropped."""

    description: Line = ""
    project: Name | None = None
    stateful: bool = True
    rules: Listed[RuleModel]


def _dscp(value: Any) -> Any:
    if value not in _DSCP or isinstance(value, bool):
        raise ValueError(f"must be a DSCP value: one of {', '.join(map(str, _DSCP))}")
    return value


class QosPolicyModel(Model):
    """Limits of a port, as the guest sees it: egress is what it sends. Rates in kbit/s and packets/s."""

    egress_kbps: Positive | None = None
    ingress_kbps: Positive | None = None
    egress_burst_kbits: Positive | None = None
    ingress_burst_kbits: Positive | None = None
    egress_pps: Positive | None = None
    ingress_pps: Positive | None = None
    dscp: Annotated[int, BeforeValidator(_dscp)] | None = None
    description: Line = ""
    project: Name | None = None
