"""Resolves the security groups of the inventory: every rule gets its IP version and the number of its protocol.

What does not belong here: what an operator may declare (``model/security.py``), and filtering (``wiring/firewall/``).
"""

from __future__ import annotations

from collections.abc import Iterator
from ipaddress import ip_network

from ..model.cloud import CloudModel
from ..model.compute import InstanceModel, NicModel
from ..model.security import PROTOCOLS, RuleModel, SecurityGroupModel
from .cloud import SecurityGroup, SecurityRule
from .identity import object_id

DEFAULT_GROUP = "default"  # exists in every cloud, declared or not


def resolved_groups(model: CloudModel) -> dict[str, SecurityGroup]:
    """All security groups of the cloud by name, including ``default``."""
    groups = {name: _group(model.name, name, group) for name, group in model.security_groups.items()}
    if DEFAULT_GROUP not in groups:
        identity = object_id(model.name, "security_group", DEFAULT_GROUP)
        groups[DEFAULT_GROUP] = SecurityGroup(DEFAULT_GROUP, identity, tuple(_default_rules()))
    return dict(sorted(groups.items()))


def groups_of_nic(instance: InstanceModel, nic: NicModel) -> tuple[str, ...]:
    """The names of a NIC's security groups: its own, or those of its instance if the NIC does not set any."""
    names = instance.security_groups if nic.security_groups is None else nic.security_groups
    return tuple(dict.fromkeys(names))


def _default_rules() -> Iterator[SecurityRule]:
    """The rules of ``default`` if it is not declared: allow all egress, and ingress from members of the group."""
    for version in (4, 6):
        yield SecurityRule("egress", version)
        yield SecurityRule("ingress", version, remote_group=DEFAULT_GROUP)


def _group(cloud: str, name: str, model: SecurityGroupModel) -> SecurityGroup:
    rules = tuple(_rule(rule) for rule in model.rules)
    return SecurityGroup(name, object_id(cloud, "security_group", name), rules, model.stateful)


def _rule(model: RuleModel) -> SecurityRule:
    version = _ip_version(model)
    return SecurityRule(
        direction=model.direction,
        ip_version=version,
        protocol=_protocol(model.protocol, version),
        ports=model.ports,
        icmp_type=model.icmp_type,
        icmp_code=model.icmp_code,
        remote_cidr=model.remote_cidr or "",
        remote_group=model.remote_group or "",
    )


def _ip_version(model: RuleModel) -> int:
    """The rule's ethertype, or the IP version of its remote CIDR or its protocol, or else 4 (OpenStack's default)."""
    if model.ethertype is not None:
        return int(model.ethertype.removeprefix("IPv"))
    if model.remote_cidr is not None:
        return ip_network(model.remote_cidr).version
    return 6 if model.protocol == "icmpv6" else 4


def _protocol(name: str | None, version: int) -> int | None:
    """The protocol's number. ``icmp`` in an IPv6 rule means ICMPv6, as in OpenStack."""
    if name is None:
        return None
    if name == "icmp" and version == 6:
        name = "icmpv6"
    return PROTOCOLS[name] if name in PROTOCOLS else int(name)
