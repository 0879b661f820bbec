"""Words for types and values, as the comments in ``group_vars`` and the tables in ``docs`` use them."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import Any

from ...model.base import Model
from ...model.compute import AddressPairModel, AffinityGroupModel, FlavorModel, ImageModel, NicModel, VolumeModel
from ...model.describe import DictOf, Entry, ListOf, Nested, Shape
from ...model.network import (
    FloatingIpModel,
    HostRoute,
    InterfaceModel,
    NetworkModel,
    Pool,
    RouterModel,
    SubnetModel,
)
from ...model.node import MappingModel
from ...model.security import QosPolicyModel, RuleModel, SecurityGroupModel
from ...model.services import (
    HealthMonitorModel,
    ListenerModel,
    LoadBalancerModel,
    MemberModel,
    PoolModel,
    ProjectModel,
    QuotaModel,
)

TITLES: dict[type[Model], str] = {
    NetworkModel: "network",
    SubnetModel: "subnet",
    Pool: "allocation pool",
    HostRoute: "route",
    RouterModel: "router",
    InterfaceModel: "router interface",
    FloatingIpModel: "floating IP",
    SecurityGroupModel: "security group",
    RuleModel: "security group rule",
    QosPolicyModel: "QoS policy",
    FlavorModel: "flavor",
    ImageModel: "image",
    VolumeModel: "volume",
    AffinityGroupModel: "affinity group",
    LoadBalancerModel: "load balancer",
    ListenerModel: "listener",
    PoolModel: "pool",
    MemberModel: "pool member",
    HealthMonitorModel: "health monitor",
    ProjectModel: "project",
    QuotaModel: "quota",
    MappingModel: "bridge mapping",
    NicModel: "NIC",
    AddressPairModel: "address pair",
}
# Texts that YAML reads as the same text without quotes: words, paths, addresses.
_PLAIN = re.compile(r"[A-Za-z/][A-Za-z0-9_./-]*|[0-9]+(\.[0-9]+){3}(/[0-9]+)?")
_NOT_PLAIN = ("true", "false", "yes", "no", "on", "off", "null", "y", "n")


def kind_of(
    shape: Shape, choice: Callable[[Any], str] = str, model: Callable[[type[Model]], str] = TITLES.__getitem__
) -> str:
    """The type of a value in words: ``list of NIC or name``, ``one of vxlan, gre``.

    :param choice: the text of an allowed value.
    :param model: the name of a nested model.
    """
    words = _core(shape, choice, model)
    short = [kind.text for kind in shape.also if kind.text not in ("null", "empty")]
    # "list of NIC or name or name" would not distinguish the item from the list.
    return f"{words}, or one {short[0]}" if short and isinstance(shape, ListOf) else " or ".join([words, *short])


def _core(shape: Shape, choice: Callable[[Any], str], model: Callable[[type[Model]], str]) -> str:
    if isinstance(shape, ListOf):
        return f"list of {kind_of(shape.item, choice, model)}"
    if isinstance(shape, DictOf):
        return f"dict of {kind_of(shape.value, choice, model)}"
    if isinstance(shape, Nested):
        return model(shape.model)
    return f"one of {', '.join(map(choice, shape.choices))}" if shape.choices else shape.kind.text


def default_of(entry: Entry) -> str:
    """The default in words: ``required``, a value as YAML, or the meaning of an absent field."""
    return "required" if entry.required else entry.unset or flow(entry.default)


def flow(value: Any) -> str:
    """A value as YAML on one line."""
    if isinstance(value, dict):
        return "{" + ", ".join(f"{flow(key)}: {flow(item)}" for key, item in value.items()) + "}"
    if isinstance(value, (list, tuple)):
        return "[" + ", ".join(map(flow, value)) + "]"
    if isinstance(value, str) and _PLAIN.fullmatch(value) and value.lower() not in _NOT_PLAIN:
        return value
    return json.dumps(value, ensure_ascii=False)
