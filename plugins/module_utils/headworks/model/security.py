"""Security groups and QoS policies, in OpenStack's words."""

from __future__ import annotations

from collections.abc import Mapping
from ipaddress import ip_network
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, model_validator

from .addresses import Cidr, PortRange
from .base import Count, Listed, Model, Positive, also
from .names import Line, Name
from .written import Kind

PROTOCOLS = {
    "ah": 51, "dccp": 33, "egp": 8, "esp": 50, "gre": 47, "icmp": 1, "icmpv6": 58, "igmp": 2, "ipip": 4, "ospf": 89,
    "pgm": 113, "rsvp": 46, "sctp": 132, "tcp": 6, "udp": 17, "udplite": 136, "vrrp": 112,
}
_WITH_PORTS = ("tcp", "udp", "sctp", "dccp", "udplite")
_ICMP = ("icmp", "icmpv6", "icmp6", "ipv6-icmp", "1", "58")
_RANGE = ("port_range_min", "port_range_max")
_DSCP = (0, 8, 10, 12, 14, 16, 18, 20, 22, 24, 26, 28, 30, 32, 34, 36, 38, 40, 46, 48, 56)
_PROTOCOL_NAMES = ["any", "icmp6", "ipv6-icmp", *sorted(PROTOCOLS)]
PROTOCOL = Kind(
    f"any, a number (0 to 255) or one of {', '.join(sorted(PROTOCOLS))}",
    {
        "anyOf": [
            {"enum": [None, *_PROTOCOL_NAMES, *(name.upper() for name in _PROTOCOL_NAMES)]},
            {"type": "integer", "minimum": 0, "maximum": 255},
            {"type": "string", "pattern": "^[0-9]{1,3}$"},
        ]
    },
)
DSCP = Kind(f"one of {', '.join(map(str, _DSCP))}", {"enum": list(_DSCP)})


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

    direction: Literal["ingress", "egress"] = Field(
        default="ingress", description="Whether the rule is for traffic to the guest (ingress) or from it (egress)."
    )
    ethertype: Literal["IPv4", "IPv6"] | None = Field(
        default=None, description="IP version of the traffic; null for both."
    )
    protocol: Annotated[str | None, PROTOCOL, BeforeValidator(_protocol)] = Field(
        default=None, description="Protocol by name or number; null or any for all.", examples=["tcp"]
    )
    ports: PortRange | None = Field(
        default=None,
        description="Destination ports, one or a range; only with a protocol that has ports (tcp, udp, sctp, dccp, "
        "udplite). Null for all.",
        examples=["8000:8080"],
    )
    icmp_type: Annotated[Count, Field(le=255)] | None = Field(
        default=None, description="ICMP type; only with protocol icmp or icmpv6. Null for all."
    )
    icmp_code: Annotated[Count, Field(le=255)] | None = Field(
        default=None, description="ICMP code; only with icmp_type. Null for all."
    )
    port_range_min: Annotated[int, Field(ge=-1, le=65535)] | None = Field(
        default=None,
        exclude=True,
        description="OpenStack's name for the first of ports, together with port_range_max. With protocol icmp or "
        "icmpv6, it is the icmp_type.",
    )
    port_range_max: Annotated[int, Field(ge=-1, le=65535)] | None = Field(
        default=None,
        exclude=True,
        description="OpenStack's name for the last of ports, together with port_range_min. With protocol icmp or "
        "icmpv6, it is the icmp_code.",
    )
    remote_cidr: Cidr | None = Field(
        default=None,
        validation_alias=also("remote_cidr", "remote_ip_prefix"),
        description="Addresses of the other side. With null, and remote_group null as well, any address. OpenStack's "
        "name remote_ip_prefix is accepted too.",
    )
    remote_group: Name | None = Field(
        default=None,
        description="Name of the security group whose members are the other side; not together with remote_cidr.",
    )
    description: Line = Field(default="", description="A remark for people; it has no effect.")

    @model_validator(mode="before")
    @classmethod
    def _with_ports(cls, rule: Any) -> Any:
        """The rule with ``ports``, or ICMP's type and code, in place of ``port_range_min`` and ``port_range_max``."""
        if not isinstance(rule, Mapping):
            return rule
        # In OpenStack, -1 means all, as null does.
        first, last = (None if rule.get(name) in (None, -1) else rule[name] for name in _RANGE)
        rest = {name: value for name, value in rule.items() if name not in _RANGE}
        if first is None and last is None:
            return rest
        icmp = str(rule.get("protocol")).lower() in _ICMP
        if any(rule.get(name) is not None for name in (("icmp_type", "icmp_code") if icmp else ("ports",))):
            raise ValueError("a rule has either port_range_min and port_range_max or headworks' own names for them")
        if icmp:
            return {**rest, "icmp_type": first, "icmp_code": last}
        if first is None or last is None:
            raise ValueError("a rule has both port_range_min and port_range_max, or none of them")
        return {**rest, "ports": f"{first}:{last}"}

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

    description: Line = Field(default="", description="A remark for people; it has no effect.")
    project: Name | None = Field(
        default=None, description="Name of the project that the group belongs to; null for none. It has no effect yet."
    )
    stateful: bool = Field(default=True, description="Whether replies to allowed traffic are allowed without a rule.")
    rules: Listed[RuleModel] = Field(description="What is let through; the rest is dropped.")


def _dscp(value: Any) -> Any:
    if value not in _DSCP or isinstance(value, bool):
        raise ValueError(f"must be a DSCP value: one of {', '.join(map(str, _DSCP))}")
    return value


class QosPolicyModel(Model):
    """Limits of a port, as the guest sees it: egress is what it sends. Rates in kbit/s and packets/s."""

    egress_kbps: Positive | None = Field(
        default=None, description="Rate in kbit/s that a guest may send with; null for no limit."
    )
    ingress_kbps: Positive | None = Field(
        default=None, description="Rate in kbit/s that a guest may receive with; null for no limit."
    )
    egress_burst_kbits: Positive | None = Field(
        default=None, description="Burst in kbit that may exceed the sending rate; null for the default."
    )
    ingress_burst_kbits: Positive | None = Field(
        default=None, description="Burst in kbit that may exceed the receiving rate; null for the default."
    )
    egress_pps: Positive | None = Field(
        default=None, description="Packets per second that a guest may send; null for no limit."
    )
    ingress_pps: Positive | None = Field(
        default=None, description="Packets per second that a guest may receive; null for no limit."
    )
    dscp: Annotated[int, DSCP, BeforeValidator(_dscp)] | None = Field(
        default=None, description="DSCP value that marks the packets that a guest sends; null leaves them as they are."
    )
    description: Line = Field(default="", description="A remark for people; it has no effect.")
    project: Name | None = Field(
        default=None, description="Name of the project that the policy belongs to; null for none. It has no effect yet."
    )
