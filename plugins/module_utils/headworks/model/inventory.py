"""From the inventory's plain data to models: prefixes off, everything checked by itself, all errors collected."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from ipaddress import ip_address
from types import UnionType
from typing import Any, TypeVar, Union, get_args, get_origin

from pydantic import BaseModel, TypeAdapter, ValidationError

from .base import Model
from .cloud import AllocationsModel, CloudModel
from .compute import InstanceModel
from .errors import Problems, did_you_mean
from .names import HostName, NodeName
from .node import ROLES, NodeModel

# Every variable an operator may set, by its prefix: those that describe the cloud, and those that its caller reads.
MODELS: Mapping[str, type[Model]] = {"cloud": CloudModel, "node": NodeModel, "instance": InstanceModel}
HELPERS: Mapping[str, type[Model]] = {"cloud": AllocationsModel}
# cloud_networks__mine is added to cloud_networks: what stands between the two names.
ADDITION = "__"
# Their values may be secret: never shown.
_HIDDEN = ("user_data",)
_M = TypeVar("_M", bound=Model)
_HOST_NAME: TypeAdapter[str] = TypeAdapter(HostName)
_NODE_NAME: TypeAdapter[str] = TypeAdapter(NodeName)


@dataclass(frozen=True)
class NodeEntry:
    """A node: its variables, its roles and how Ansible reaches it (address or name)."""

    model: NodeModel
    roles: frozenset[str]
    management: str

    @property
    def management_is_ip(self) -> bool:
        """Whether ``management`` is an IPv4 address."""
        try:
            return ip_address(self.management).version == 4
        except ValueError:
            return False


@dataclass(frozen=True)
class Inventory:
    """All that an operator said. ``instances`` has no absent ones; ``absent`` has their names."""

    cloud: CloudModel
    nodes: Mapping[str, NodeEntry]
    instances: Mapping[str, InstanceModel]
    absent: frozenset[str] = frozenset()


def parse(inventory: Mapping[str, Any]) -> Inventory:
    """Models of ``{"cloud": {…}, "nodes": {name: {"groups", "vars"}}, "instances": {name: {"vars", "groups"}}}``.

    :raises PlanError: with every message, when anything by itself is not right.
    """
    problems = Problems()
    cloud = _model(CloudModel, "cloud", inventory.get("cloud") or {}, "", problems)
    nodes: dict[str, NodeEntry] = {}
    for name, node in (inventory.get("nodes") or {}).items():
        variables = node.get("vars") or {}
        roles = frozenset(node.get("groups") or ()) & frozenset(ROLES)
        model = _model(NodeModel, "node", variables, f"nodes.{name}.", problems)
        _check_name(_NODE_NAME, f"nodes.{name}", name, problems)
        if not roles:
            problems.add(f"nodes.{name}", name, f"must be in at least one of the groups {', '.join(ROLES)}")
        if model is not None:
            nodes[name] = NodeEntry(model, roles, str(variables.get("ansible_host") or name))
    instances: dict[str, InstanceModel] = {}
    for name, instance in (inventory.get("instances") or {}).items():
        found = _model(InstanceModel, "instance", instance.get("vars") or {}, f"instances.{name}.", problems)
        _check_name(_HOST_NAME, f"instances.{name}", name, problems)
        if found is not None:
            instances[name] = found
    problems.raise_if_any()
    assert cloud is not None  # or there would have been a problem
    absent = frozenset(name for name, one in instances.items() if one.state == "absent")
    return Inventory(cloud, nodes, {name: one for name, one in instances.items() if name not in absent}, absent)


def _check_name(adapter: TypeAdapter[str], key: str, name: str, problems: Problems) -> None:
    try:
        adapter.validate_python(name)
    except ValidationError as error:
        problems.add(key, name, _rule(error.errors()[0], str))


def _model(model: type[_M], prefix: str, variables: Mapping[str, Any], where: str, problems: Problems) -> _M | None:
    """``variables`` with ``prefix_`` as a ``model``, or None with the problems added."""
    start = f"{prefix}_"
    helpers = _helpers(prefix)
    fields = {
        name.removeprefix(start): value
        for name, value in variables.items()
        if isinstance(name, str) and name.startswith(start) and name.removeprefix(start) not in helpers
    }
    try:
        return model.model_validate(fields)
    except ValidationError as error:
        for one in error.errors(include_url=False):
            key = where + start + ".".join(str(part) for part in one["loc"] if part != "[key]")
            hidden = any(part in _HIDDEN for part in one["loc"]) or "PRIVATE KEY" in str(one["input"])
            rule = _rule(one, model, start)
            misspelt = one["type"] == "extra_forbidden" and len(one["loc"]) == 1
            if misspelt or one["type"] == "missing":
                problems.lacking(key, rule)
            else:
                problems.add(key, "…" if hidden else one["input"], rule)
        return None


def _helpers(prefix: str) -> list[str]:
    """The names, without ``prefix``, of the variables that describe nothing of the cloud."""
    return list(HELPERS[prefix].model_fields) if prefix in HELPERS else []


_RULES = {
    "missing": "is required",
    "int_type": "must be a whole number",
    "int_parsing": "must be a whole number",
    "int_from_float": "must be a whole number",
    "float_type": "must be a number",
    "float_parsing": "must be a number",
    "bool_type": "must be true or false",
    "bool_parsing": "must be true or false",
    "string_type": "must be a text (quote it in YAML)",
    "list_type": "must be a list",
    "dict_type": "must be a dictionary",
    "model_type": "must be a dictionary",
    "model_attributes_type": "must be a dictionary",
}
_LIMITS = {
    "greater_than": ("gt", "must be more than {}"),
    "greater_than_equal": ("ge", "must be at least {}"),
    "less_than_equal": ("le", "must be at most {}"),
    "too_long": ("max_length", "must have at most {} entries"),
    "literal_error": ("expected", "must be {}"),
}


def _rule(error: Any, root: Any, prefix: str = "") -> str:
    """The rule that pydantic says is broken, in our words."""
    kind, context = error["type"], error.get("ctx", {})
    if kind == "value_error":
        return str(context["error"])
    if kind == "extra_forbidden":
        fields = _fields_at(root, error["loc"][:-1])
        if len(error["loc"]) == 1:
            known = [prefix + one for one in fields] + [prefix + one for one in _helpers(prefix[:-1])]
            return f"is not a known variable;{did_you_mean(prefix + str(error['loc'][0]), known) or ' it is misspelt'}"
        hint = did_you_mean(str(error["loc"][-1]), fields)
        return f"is not a known key;{hint or ' known: ' + ', '.join(sorted(fields))}"
    if kind in _LIMITS:
        field, words = _LIMITS[kind]
        return words.format(context[field])
    return _RULES.get(kind) or re.sub(r"^Input should", "should", str(error["msg"]))


def _fields_at(root: Any, loc: Iterable[Any]) -> list[str]:
    """The field names of the model that ``loc`` leads to, walking the annotations."""
    here = _bare(root)
    for part in loc:
        if isinstance(here, type) and issubclass(here, BaseModel):
            info = here.model_fields.get(str(part))
            here = _bare(info.annotation) if info else None
        elif get_origin(here) in (dict, list):
            here = _bare(get_args(here)[-1])
    return list(here.model_fields) if isinstance(here, type) and issubclass(here, BaseModel) else []


def _bare(annotation: Any) -> Any:
    """``annotation`` without Annotated and without ``| None``."""
    while hasattr(annotation, "__metadata__"):
        annotation = annotation.__origin__
    if get_origin(annotation) in (Union, UnionType):
        return _bare(next(one for one in get_args(annotation) if one is not type(None)))
    return annotation
