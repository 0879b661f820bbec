"""Checks of what security groups, volumes, load balancers and projects refer to."""

from __future__ import annotations

from ...model.services import ListenerModel
from .context import Check
from .instances import GROUP_DEFAULT


def check(it: Check) -> None:
    """All of them."""
    _security_groups(it)
    for name, policy in it.cloud.qos_policies.items():
        it.known(f"cloud_qos_policies.{name}.project", policy.project, "project", it.cloud.projects)
    for name, volume in it.cloud.volumes.items():
        it.known(f"cloud_volumes.{name}.project", volume.project, "project", it.cloud.projects)
        it.known(f"cloud_volumes.{name}.image", volume.image, "image", it.cloud.images)
    _load_balancers(it)


def _security_groups(it: Check) -> None:
    groups = {*it.cloud.security_groups, GROUP_DEFAULT}
    for name, group in it.cloud.security_groups.items():
        key = f"cloud_security_groups.{name}"
        it.known(f"{key}.project", group.project, "project", it.cloud.projects)
        seen = set()
        for index, rule in enumerate(group.rules):
            it.known(f"{key}.rules.{index}.remote_group", rule.remote_group, "security group", groups)
            same = rule.model_copy(update={"description": ""}).model_dump_json()
            if same in seen:
                it.bad(f"{key}.rules.{index}", rule.direction, "is the same rule as another of this group")
            seen.add(same)


def _load_balancers(it: Check) -> None:
    for name, balancer in it.cloud.load_balancers.items():
        key = f"cloud_load_balancers.{name}"
        it.known(f"{key}.project", balancer.project, "project", it.cloud.projects)
        if it.known(f"{key}.network", balancer.network, "network", it.cloud.networks):
            subnets = it.cloud.networks[balancer.network].subnets
            if balancer.subnet is not None and balancer.subnet not in subnets:
                it.problems.unknown(
                    f"{key}.subnet", balancer.subnet, "subnet", subnets, f" in network {balancer.network}"
                )
        ports: dict[int, str] = {}
        for label, listener in balancer.listeners.items():
            where = f"{key}.listeners.{label}"
            if listener.port in ports:
                it.bad(f"{where}.port", listener.port, f"is also that of listener {ports[listener.port]}")
            ports.setdefault(listener.port, label)
            _members(it, f"{where}.pool.members", listener)


def _members(it: Check, key: str, listener: ListenerModel) -> None:
    for index, member in enumerate(listener.pool.members):
        known = it.known(f"{key}.{index}.instance", member.instance, "instance", it.inventory.instances)
        if not it.known(f"{key}.{index}.network", member.network, "network", it.cloud.networks):
            continue
        if known and member.instance and member.network:
            networks = [nic.network for nic in it.inventory.instances[member.instance].networks]
            if member.network not in networks:
                it.bad(f"{key}.{index}.network", member.network, f"{member.instance} is not on this network")
