"""The plan of changes, for people: what this run declares against what the last one declared.

The last one is known from one line for each object in the allocations (``declared``), ``field=value field=value``, with
lists joined by commas and everything long or secret as a digest. What does not belong here: what will be done on a node
(the engine says that itself).
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from hashlib import sha256
from typing import Any

from ..model.base import Model
from ..model.inventory import Inventory
from .allocation.allocations import Allocations
from .cloud import Cloud, Instance, Network, Node, Router
from .identity import natural

# The order in which kinds are announced. The last ones are known by digest only.
KINDS = (
    "node", "network", "router", "floating_ip", "image", "security_group", "qos_policy", "volume", "load_balancer",
    "project", "instance",
)
_LISTS = frozenset({"roles", "mappings", "subnets", "interfaces", "routes", "networks", "volumes"})


@dataclass(frozen=True)
class PlanChange:
    """One change. ``sign`` is ``+``, ``~`` or ``-``; ``detail`` says what it is, or what of it changes."""

    sign: str
    kind: str
    name: str
    detail: str = ""

    @property
    def label(self) -> str:
        """One line: ``+ network internal (vxlan 2, 10.18.0.0/24)``, ``~ router r1 interfaces: +internal2``."""
        detail = f" ({self.detail})" if self.sign == "+" and self.detail else f" {self.detail}" if self.detail else ""
        return f"{self.sign} {self.kind.replace('_', ' ')} {self.name}{detail}"


def declarations(inventory: Inventory, cloud: Cloud, allocations: Allocations) -> dict[str, dict[str, str]]:
    """kind → name → the line to remember."""
    model = inventory.cloud
    digested: dict[str, Mapping[str, Model]] = {
        "security_group": model.security_groups,
        "qos_policy": model.qos_policies,
        "volume": model.volumes,
        "load_balancer": model.load_balancers,
        "project": model.projects,
    }
    floating = {one.address: one for router in cloud.routers.values() for one in router.floating_ips}
    lines = {
        "node": {
            name: _line({**_node(one), "other": _digest(inventory.nodes[name].model)})
            for name, one in cloud.nodes.items()
        },
        "network": {
            name: _line(_network(one, allocations.networks[name].segment, model.networks[name]))
            for name, one in cloud.networks.items()
        },
        "router": {name: _line(_router(one)) for name, one in cloud.routers.items()},
        "floating_ip": {
            name: _line({"network": one.network, **({"to": _to(floating[name])} if name in floating else {})})
            for name, one in model.floating_ips.items()
        },
        "image": {name: _line({"checksum": one.digest[:12], "format": one.format}) for name, one in _images(cloud)},
        "instance": {name: _line(_instance(one, inventory)) for name, one in cloud.instances.items()},
    }
    for kind, named in digested.items():
        lines[kind] = {name: _line({"other": _digest(one)}) for name, one in named.items()}
    return {kind: names for kind, names in lines.items() if names}


def announce(before: Allocations, after: Allocations, cloud: Cloud, moved: Mapping[str, str]) -> list[PlanChange]:
    """What changes from ``before`` to ``after``.

    :param moved: instance → why it could not stay on its node.
    """
    changes = []
    for kind in KINDS:
        old, new = before.declared.get(kind, {}), after.declared.get(kind, {})
        for name in sorted({*old, *new}, key=natural):
            if name not in old:
                changes.append(PlanChange("+", kind, name, _about(kind, name, cloud)))
            elif name not in new:
                changes.append(PlanChange("-", kind, name))
            else:
                detail = _difference(old[name], new[name])
                if kind == "instance" and name in moved:
                    detail = f"{detail} ({moved[name]})"
                if detail:
                    changes.append(PlanChange("~", kind, name, detail))
    return changes


def _images(cloud: Cloud) -> Iterable[tuple[str, Any]]:
    return {one.image.name: one.image for one in cloud.instances.values()}.items()


def _to(floating: Any) -> str:
    return f"{floating.instance}:{floating.fixed}"


def _node(node: Node) -> dict[str, str]:
    return {
        "roles": ",".join(sorted(node.roles)),
        "tunnel_ip": node.tunnel_ip,
        "mappings": ",".join(f"{one.physical_network}:{one.bridge}:{one.interface}" for one in node.mappings),
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
        "subnets": ",".join(f"{one.name}:{one.cidr}" for one in network.subnets),
        "other": _digest(model),
    }


def _router(router: Router) -> dict[str, str]:
    return {
        "node": router.node,
        "external_network": router.gateway.network if router.gateway else "",
        "external_ip": ",".join(one.address for one in router.gateway.fixed_ips) if router.gateway else "",
        "snat": "on" if router.enable_snat else "off",
        "interfaces": ",".join(one.network for one in router.interfaces),
        "routes": ",".join(f"{destination}:{nexthop}" for destination, nexthop in router.routes),
    }


def _instance(one: Instance, inventory: Inventory) -> dict[str, str]:
    model = inventory.instances[one.name]
    rest = (
        one.keys, one.user_data, one.metadata, one.project, one.security_groups, model.config_drive,
        [nic.model_dump(mode="json", exclude={"network", "subnet", "address", "mac"}) for nic in model.networks],
    )
    return {
        "node": one.node,
        "state": "" if one.state == "running" else one.state,
        "flavor": f"{one.flavor}:{one.vcpus}:{one.ram_mb}:{one.disk_gb}",
        "image": one.image.name,
        "networks": ",".join("/".join((port.network, *(ip.address for ip in port.fixed_ips))) for port in one.ports),
        "volumes": ",".join(model.volumes),
        "other": _digest(rest),
    }


def _digest(value: Any) -> str:
    data = value.model_dump(mode="json") if isinstance(value, Model) else value
    return sha256(json.dumps(data, sort_keys=True, default=list).encode()).hexdigest()[:8]


def _line(fields: Mapping[str, str]) -> str:
    """Names and addresses have no blanks and no ``=``, so the line can be taken apart again."""
    return " ".join(f"{name}={value}" for name, value in fields.items() if value)


def _fields(line: str) -> dict[str, str]:
    return dict(part.split("=", 1) for part in line.split(" ") if "=" in part)


def _difference(before: str, after: str) -> str:
    """``interfaces: +internal2 -internal3, mtu: 1450 → 1400``; "" when nothing changed."""
    if before == after:
        return ""
    old, new = _fields(before), _fields(after)
    parts = []
    for name in sorted({*old, *new} - {"other"}):
        was, now = old.get(name, ""), new.get(name, "")
        if was == now:
            continue
        if name in _LISTS:
            had, has = was.split(",") if was else [], now.split(",") if now else []
            signs = [f"+{one}" for one in has if one not in had] + [f"-{one}" for one in had if one not in has]
            parts.append(f"{name}: {' '.join(signs) or 'in another order'}")
        elif name == "state":
            parts.append(f"state: {was or 'running'} → {now or 'running'}")
        else:
            parts.append(f"{name}: {was or 'none'} → {now or 'none'}")
    # The digest also covers what is shown by itself: it only speaks when nothing else does.
    if not parts and old.get("other") != new.get("other"):
        parts.append("other settings")
    return ", ".join(parts)


def _about(kind: str, name: str, cloud: Cloud) -> str:
    if kind == "node":
        return ", ".join(sorted(cloud.nodes[name].roles))
    if kind == "network":
        network = cloud.networks[name]
        number = f" {network.segmentation_id}" if network.segmentation_id is not None else ""
        where = f" on {network.physical_network}" if network.physical_network else ""
        return ", ".join([f"{network.type}{number}{where}", *(one.cidr for one in network.subnets)])
    if kind == "router":
        router = cloud.routers[name]
        outside = router.gateway
        gateway = [f"{outside.network} {' '.join(one.address for one in outside.fixed_ips)}"] if outside else []
        return ", ".join([f"on {router.node}", *gateway, *(one.network for one in router.interfaces)])
    if kind == "floating_ip":
        found = [one for router in cloud.routers.values() for one in router.floating_ips if one.address == name]
        return f"to {found[0].instance} {found[0].fixed}" if found else "kept"
    if kind == "instance":
        instance = cloud.instances[name]
        addresses = [one.address for port in instance.ports for one in port.fixed_ips]
        return ", ".join([f"{instance.flavor} on {instance.node}", *addresses])
    return ""
