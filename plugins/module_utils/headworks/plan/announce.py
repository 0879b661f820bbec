"""The plan of changes, for people: what this run declares, compared with the last run and with what the nodes hold.

The allocations keep a line for each object of the last run (``declared``): ``field=value field=value``, with lists
joined by commas, and with digests in place of long or secret values. An object that its node should hold and does not
hold is new again. What does not belong here: the changes on a node, which the engine reports (``engine/``).
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from hashlib import sha256
from typing import Any

from ..model.base import Model
from ..model.inventory import Inventory
from .allocation.allocations import Allocations
from .allocation.lines import fields_of, line_of
from .cloud import Cloud, FloatingIp, Instance, Network, Node, Router
from .found.holdings import HeldInstance, Holding
from .found.removals import Removal
from .identity import natural

# The order in which kinds are announced.
KINDS = (
    "node", "network", "router", "floating_ip", "image", "security_group", "qos_policy", "volume", "load_balancer",
    "project", "instance",
)
_LISTS = frozenset({"roles", "mappings", "subnets", "interfaces", "routes", "networks", "volumes"})


@dataclass(frozen=True)
class PlanChange:
    """A change of an object. ``sign`` is ``+``, ``~`` or ``-``; ``detail`` describes a new object or the change."""

    sign: str
    kind: str
    name: str
    detail: str = ""

    @property
    def label(self) -> str:
        """The change on one line: ``+ network internal (vxlan 2, 10.18.0.0/24)``, ``~ router r1 interfaces: +web``."""
        detail = f" ({self.detail})" if self.sign == "+" and self.detail else f" {self.detail}" if self.detail else ""
        return f"{self.sign} {self.kind.replace('_', ' ')} {self.name}{detail}"


def declarations(inventory: Inventory, cloud: Cloud, allocations: Allocations) -> dict[str, dict[str, str]]:
    """kind → name → the line that the allocations keep."""
    model = inventory.cloud
    digested: dict[str, Mapping[str, Model]] = {
        "security_group": model.security_groups,
        "qos_policy": model.qos_policies,
        "volume": model.volumes,
        "load_balancer": model.load_balancers,
        "project": model.projects,
    }
    attached = {floating.address: floating for router in cloud.routers.values() for floating in router.floating_ips}
    lines = {
        "node": {
            name: line_of({**_node(node), "other": _digest(inventory.nodes[name].model)})
            for name, node in cloud.nodes.items()
        },
        "network": {
            name: line_of(_network(network, allocations.networks[name].segment, model.networks[name]))
            for name, network in cloud.networks.items()
        },
        "router": {name: line_of(_router(router)) for name, router in cloud.routers.items()},
        "floating_ip": {
            address: line_of({"network": floating.network, **_to(attached.get(address))})
            for address, floating in model.floating_ips.items()
        },
        "image": {
            name: line_of({"checksum": image.digest[:12], "format": image.format}) for name, image in _images(cloud)
        },
        "instance": {name: line_of(_instance(instance, inventory)) for name, instance in cloud.instances.items()},
    }
    for kind, models in digested.items():
        lines[kind] = {name: line_of({"other": _digest(entry)}) for name, entry in models.items()}
    return {kind: names for kind, names in lines.items() if names}


@dataclass(frozen=True)
class Found:
    """What the nodes hold: node → holding, the removals of this run, and instance → the removed guest that returns."""

    held: Mapping[str, Holding] = field(default_factory=dict)
    removals: Sequence[Removal] = ()
    returning: Mapping[str, HeldInstance] = field(default_factory=dict)


def announce(before: Allocations, after: Allocations, cloud: Cloud, found: Found) -> list[PlanChange]:
    """The changes from ``before`` and from what is ``found`` on the nodes to ``after``, in the order of ``KINDS``."""
    changes = []
    for kind in KINDS:
        lines_before, lines_after = _existing(kind, before, cloud, found), after.declared.get(kind, {})
        for name in sorted({*lines_before, *lines_after}, key=natural):
            if name not in lines_before:
                changes.append(PlanChange("+", kind, name, _about(kind, name, cloud, found)))
            elif name not in lines_after:
                if kind != "instance":
                    changes.append(PlanChange("-", kind, name))
            elif detail := _difference(lines_before[name], lines_after[name]):
                changes.append(PlanChange("~", kind, name, detail))
    gone = set(before.declared.get("instance", {})) - set(after.declared.get("instance", {}))
    return changes + _removals(gone, after, found)


def _existing(kind: str, before: Allocations, cloud: Cloud, found: Found) -> dict[str, str]:
    """The lines of the objects of a kind that exist: those of the last run, without what a node should hold and does
    not hold, and with what nodes hold beyond them (an empty line says nothing about it)."""
    lines = dict(before.declared.get(kind, {}))
    held = found.held
    if kind == "instance":
        ids = {guest.id for holding in held.values() for guest in holding.guests(cloud.name)}
        for name, instance in cloud.instances.items():
            if instance.node in held and instance.id not in ids:
                lines.pop(name, None)
            elif instance.id in ids:
                lines.setdefault(name, "")
    if kind == "router":
        for name, router in cloud.routers.items():
            before_node = before.routers[name].node if name in before.routers else ""
            if before_node in held and router.id not in held[before_node].routers:
                lines.pop(name, None)
    if kind in ("router", "network"):
        for holding in held.values():
            if holding.cloud == cloud.name:
                names = holding.routers if kind == "router" else holding.networks
                for name in filter(None, names.values()):
                    lines.setdefault(name, "")
    return lines


def _removals(gone: set[str], after: Allocations, found: Found) -> list[PlanChange]:
    """A line for each removed instance: where it is, and how long its disk is kept. ``gone`` are the instances that are
    declared no more."""
    changes = []
    for removal in found.removals:
        kept = after.removed.get(removal.name)
        until = f"kept until {_date(kept.until)}" if kept else "kept for a while"
        detail = f"on {removal.node}: disk {removal.disk}{f', {until}' if removal.disk_bytes else ''}"
        if removal.pending:
            detail = f"on {removal.node}, which does not answer: it is removed in a run in which the node answers"
        changes.append(PlanChange("-", "instance", removal.name, detail))
    named = {removal.name for removal in found.removals}
    changes += [PlanChange("-", "instance", name, "(no node holds it)") for name in sorted(gone - named, key=natural)]
    return changes


def _date(seconds: int) -> str:
    return str(datetime.fromtimestamp(seconds, UTC).date())


def _images(cloud: Cloud) -> Iterable[tuple[str, Any]]:
    """The images that instances use, by name."""
    return {instance.image.name: instance.image for instance in cloud.instances.values()}.items()


def _to(floating: FloatingIp | None) -> dict[str, str]:
    return {"to": f"{floating.instance}:{floating.fixed}"} if floating else {}


def _node(node: Node) -> dict[str, str]:
    return {
        "roles": ",".join(sorted(node.roles)),
        "tunnel_ip": node.tunnel_ip,
        "mappings": ",".join(
            f"{mapping.physical_network}:{mapping.bridge}:{mapping.interface}" for mapping in node.mappings
        ),
        "datapath": node.datapath_type,
        "virt_type": node.virt_type,
    }


def _network(network: Network, segment: str, model: Model) -> dict[str, str]:
    return {
        "type": network.type,
        "segment": segment,
        "physical_network": network.physical_network,
        "external": "yes" if network.external else "",
        "mtu": str(network.mtu),
        "subnets": ",".join(f"{subnet.name}:{subnet.cidr}" for subnet in network.subnets),
        "other": _digest(model),
    }


def _router(router: Router) -> dict[str, str]:
    return {
        "node": ",".join(router.nodes),
        "external_network": router.gateway.network if router.gateway else "",
        "external_ip": ",".join(ip.address for ip in router.gateway.fixed_ips) if router.gateway else "",
        "snat": "on" if router.enable_snat else "off",
        "interfaces": ",".join(port.network for port in router.interfaces),
        "routes": ",".join(f"{destination}:{nexthop}" for destination, nexthop in router.routes),
    }


def _instance(instance: Instance, inventory: Inventory) -> dict[str, str]:
    model = inventory.instances[instance.name]
    rest = (
        instance.keys, instance.user_data, instance.metadata, instance.project, instance.security_groups,
        model.config_drive,
        [
            nic.model_dump(mode="json", exclude={"network", "subnet", "address", "mac"}, exclude_defaults=True)
            for nic in model.networks
        ],
    )
    return {
        "node": instance.node,
        "state": "" if instance.state == "running" else instance.state,
        "flavor": f"{instance.flavor}:{instance.vcpus}:{instance.ram_mb}:{instance.disk_gb}",
        "image": instance.image.name,
        "networks": ",".join(
            "/".join((port.network, *(ip.address for ip in port.fixed_ips))) for port in instance.ports
        ),
        "volumes": ",".join(model.volumes),
        "protected": "yes" if model.protected else "",
        "other": _digest(rest),
    }


def _digest(value: Any) -> str:
    """A digest that a new optional field of a model does not change: fields with their default do not count."""
    data = value.model_dump(mode="json", exclude_defaults=True) if isinstance(value, Model) else value
    return sha256(json.dumps(data, sort_keys=True, default=list).encode()).hexdigest()[:8]


def _difference(before: str, after: str) -> str:
    """The fields that differ, as ``interfaces: +internal2 -internal3, mtu: 1450 → 1400``; "" if the lines are equal."""
    if before in ("", after):
        return ""
    fields_before, fields_after = fields_of(before), fields_of(after)
    parts = []
    for name in sorted({*fields_before, *fields_after} - {"other"}):
        was, now = fields_before.get(name, ""), fields_after.get(name, "")
        if was == now:
            continue
        if name in _LISTS:
            had, has = was.split(",") if was else [], now.split(",") if now else []
            signs = [f"+{item}" for item in has if item not in had] + [f"-{item}" for item in had if item not in has]
            parts.append(f"{name}: {' '.join(signs) or 'in another order'}")
        elif name == "state":
            parts.append(f"state: {was or 'running'} → {now or 'running'}")
        else:
            parts.append(f"{name}: {was or 'none'} → {now or 'none'}")
    # The digest also covers values that have fields of their own, so report it only when no field differs.
    if not parts and "other" in fields_before and fields_before["other"] != fields_after.get("other"):
        parts.append("other settings")
    return ", ".join(parts)


def _about(kind: str, name: str, cloud: Cloud, found: Found) -> str:
    """The description of a new object."""
    if kind == "node":
        return ", ".join(sorted(cloud.nodes[name].roles))
    if kind == "network":
        network = cloud.networks[name]
        number = f" {network.segmentation_id}" if network.segmentation_id is not None else ""
        where = f" on {network.physical_network}" if network.physical_network else ""
        return ", ".join([f"{network.type}{number}{where}", *(subnet.cidr for subnet in network.subnets)])
    if kind == "router":
        router = cloud.routers[name]
        outside = router.gateway
        gateway = [f"{outside.network} {' '.join(ip.address for ip in outside.fixed_ips)}"] if outside else []
        return ", ".join([f"on {' and '.join(router.nodes)}", *gateway, *(port.network for port in router.interfaces)])
    if kind == "floating_ip":
        for router in cloud.routers.values():
            for floating in router.floating_ips:
                if floating.address == name:
                    return f"to {floating.instance} {floating.fixed}"
        return "reserved"
    if kind == "instance":
        instance = cloud.instances[name]
        addresses = [ip.address for port in instance.ports for ip in port.fixed_ips]
        returned = found.returning.get(name)
        back = [f"returns with its disk, removed {_date(returned.removed)}"] if returned else []
        return ", ".join([f"{instance.flavor} on {instance.node}", *addresses, *back])
    return ""
