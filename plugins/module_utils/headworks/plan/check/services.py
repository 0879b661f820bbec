"""Checks of security groups, QoS policies, volumes and load balancers: every name that they refer to must exist."""

from __future__ import annotations

from ...model.services import ListenerModel
from ..security_groups import DEFAULT_GROUP
from .context import Check


def check_services(check: Check) -> None:
    """Check all security groups, QoS policies, volumes and load balancers."""
    _security_groups(check)
    for name, policy in check.cloud.qos_policies.items():
        check.exists(f"cloud_qos_policies.{name}.project", policy.project, "project", check.cloud.projects)
    for name, volume in check.cloud.volumes.items():
        check.exists(f"cloud_volumes.{name}.project", volume.project, "project", check.cloud.projects)
        check.exists(f"cloud_volumes.{name}.image", volume.image, "image", check.cloud.images)
    _load_balancers(check)


def _security_groups(check: Check) -> None:
    groups = {*check.cloud.security_groups, DEFAULT_GROUP}
    for name, group in check.cloud.security_groups.items():
        key = f"cloud_security_groups.{name}"
        check.exists(f"{key}.project", group.project, "project", check.cloud.projects)
        seen = set()
        for index, rule in enumerate(group.rules):
            check.exists(f"{key}.rules.{index}.remote_group", rule.remote_group, "security group", groups)
            same = rule.model_copy(update={"description": ""}).model_dump_json()
            if same in seen:
                check.refuse(f"{key}.rules.{index}", rule.direction, "is the same as an earlier rule of this group")
            seen.add(same)


def _load_balancers(check: Check) -> None:
    for name, balancer in check.cloud.load_balancers.items():
        key = f"cloud_load_balancers.{name}"
        check.exists(f"{key}.project", balancer.project, "project", check.cloud.projects)
        if check.exists(f"{key}.network", balancer.network, "network", check.cloud.networks):
            subnets = check.cloud.networks[balancer.network].subnets
            if balancer.subnet is not None and balancer.subnet not in subnets:
                check.problems.unknown(
                    f"{key}.subnet", balancer.subnet, "subnet", subnets, f" in network {balancer.network}"
                )
        ports: dict[int, str] = {}
        for label, listener in balancer.listeners.items():
            where = f"{key}.listeners.{label}"
            if listener.port in ports:
                rule = f"is also the port of listener {ports[listener.port]}"
                check.refuse(f"{where}.port", listener.port, rule)
            ports.setdefault(listener.port, label)
            _members(check, f"{where}.pool.members", listener)


def _members(check: Check, key: str, listener: ListenerModel) -> None:
    for index, member in enumerate(listener.pool.members):
        exists = check.exists(f"{key}.{index}.instance", member.instance, "instance", check.inventory.instances)
        if not check.exists(f"{key}.{index}.network", member.network, "network", check.cloud.networks):
            continue
        if exists and member.instance and member.network:
            networks = [nic.network for nic in check.inventory.instances[member.instance].networks]
            if member.network not in networks:
                rule = f"instance {member.instance} has no NIC on this network"
                check.refuse(f"{key}.{index}.network", member.network, rule)
