"""Parse the inventory's plain data into models: remove the prefixes, check each value by itself, collect all errors.

What does not belong here: checks of values against each other (``plan/check/``).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from ipaddress import ip_address
from types import UnionType
from typing import Any, TypeVar, Union, get_args, get_origin

from pydantic import BaseModel, TypeAdapter, ValidationError

from .base import Model, aliases
from .cloud import AllocationsModel, CloudModel, RunModel
from .compute import InstanceModel
from .errors import Problems, did_you_mean
from .names import HostName, NodeName
from .node import ROLES, NodeModel

# All variables that an operator may set, by prefix. MODELS: variables that describe the cloud; HELPERS: variables that
# the caller reads.
MODELS: Mapping[str, type[Model]] = {"cloud": CloudModel, "node": NodeModel, "instance": InstanceModel}
HELPERS: Mapping[str, tuple[type[Model], ...]] = {"cloud": (AllocationsModel, RunModel)}
# The separator in names such as cloud_networks__mine, whose value is added to cloud_networks.
ADDITION = "__"
# Variables whose values may be secret. Messages never show them.
_HIDDEN = ("user_data", "metadata")
_M = TypeVar("_M", bound=Model)
_HOST_NAME: TypeAdapter[str] = TypeAdapter(HostName)
_NODE_NAME: TypeAdapter[str] = TypeAdapter(NodeName)


@dataclass(frozen=True)
class NodeEntry:
    """A node: its variables, its roles, and the address or name by which Ansible connects to it."""

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
    """A parsed inventory. ``absent`` has the names of the instances with state absent, ``instances`` has the others."""

    cloud: CloudModel
    nodes: Mapping[str, NodeEntry]
    instances: Mapping[str, InstanceModel]
    absent: frozenset[str] = frozenset()


def parse(inventory: Mapping[str, Any]) -> Inventory:
    """Return the models of an inventory.

    :param inventory: ``{"cloud": {…}, "nodes": {name: {"groups", "vars"}}, "instances": {name: {"vars", "groups"}}}``.
    :raises PlanError: values are invalid. It has a message for each.
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
    models: dict[str, InstanceModel] = {}
    for name, instance in (inventory.get("instances") or {}).items():
        found = _model(InstanceModel, "instance", instance.get("vars") or {}, f"instances.{name}.", problems)
        _check_name(_HOST_NAME, f"instances.{name}", name, problems)
        if found is not None:
            models[name] = found
            if found.protected and found.state == "absent":
                rule = "instance_protected: true and instance_state: absent contradict each other; to remove it, "
                problems.lacking(f"instances.{name}", f"{rule}set instance_protected: false in a run of its own first")
    problems.raise_if_any()
    assert cloud is not None  # otherwise a problem was raised
    absent = frozenset(name for name, instance in models.items() if instance.state == "absent")
    present = {name: instance for name, instance in models.items() if name not in absent}
    return Inventory(cloud, nodes, present, absent)


def parse_run(variables: Mapping[str, Any]) -> RunModel:
    """Return the variables that describe the run (``cloud_confirm_removal`` and others).

    :param variables: the ``cloud_*`` variables with all templates expanded. Variables that describe the cloud are left
        out. Values of ``-e name=value`` are text; numbers and booleans as text are accepted.
    :raises PlanError: values are invalid. It has a message for each.
    """
    problems = Problems()
    mine = {name: value for name, value in variables.items() if name.removeprefix("cloud_") in RunModel.model_fields}
    run = _model(RunModel, "cloud", mine, "", problems)
    problems.raise_if_any()
    assert run is not None  # otherwise a problem was raised
    return run


def _check_name(adapter: TypeAdapter[str], key: str, name: str, problems: Problems) -> None:
    try:
        adapter.validate_python(name)
    except ValidationError as error:
        problems.add(key, name, _rule(error.errors()[0], str))


def _model(model: type[_M], prefix: str, variables: Mapping[str, Any], where: str, problems: Problems) -> _M | None:
    """Return the ``variables`` with ``prefix_`` as a ``model``; None, with the problems added, if a value is
    invalid."""
    start = f"{prefix}_"
    helpers = set(_helpers(prefix)) - set(model.model_fields)
    fields = {
        name.removeprefix(start): value
        for name, value in variables.items()
        if isinstance(name, str) and name.startswith(start) and name.removeprefix(start) not in helpers
    }
    try:
        return model.model_validate(fields)
    except ValidationError as error:
        for detail in error.errors(include_url=False):
            key = where + start + ".".join(str(part) for part in detail["loc"] if part != "[key]")
            hidden = any(part in _HIDDEN for part in detail["loc"]) or "PRIVATE KEY" in str(detail["input"])
            rule = _rule(detail, model, start)
            misspelt = detail["type"] == "extra_forbidden" and len(detail["loc"]) == 1
            if misspelt or detail["type"] == "missing":
                problems.lacking(key, rule)
            else:
                problems.add(key, "…" if hidden else detail["input"], rule)
        return None


def _helpers(prefix: str) -> list[str]:
    """Return the names, without ``prefix``, of the variables that do not describe the cloud."""
    return [name for model in HELPERS.get(prefix, ()) for name in model.model_fields]


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
    """Return the rule that an error of pydantic reports, in plain words."""
    kind, context = error["type"], error.get("ctx", {})
    if kind == "value_error":
        return str(context["error"])
    if kind == "extra_forbidden":
        fields = _fields_at(root, error["loc"][:-1])
        if len(error["loc"]) == 1:
            known = [prefix + field for field in (*fields, *_helpers(prefix[:-1]))]
            return f"is not a known variable;{did_you_mean(prefix + str(error['loc'][0]), known) or ' it is misspelt'}"
        if name := _other_name(root, error["loc"]):
            return f"is another name of {name}, which is given as well; give one of them"
        hint = did_you_mean(str(error["loc"][-1]), fields)
        return f"is not a known key;{hint or ' known: ' + ', '.join(sorted(fields))}"
    if kind in _LIMITS:
        field, words = _LIMITS[kind]
        return words.format(context[field])
    return _RULES.get(kind) or re.sub(r"^Input should", "should", str(error["msg"]))


def _other_name(root: Any, loc: Sequence[Any]) -> str:
    """Return the name of the field that the last part of ``loc`` is another name of; "" if it is none."""
    model = _model_at(root, loc[:-1])
    fields = model.model_fields.items() if model else ()
    return next((name for name, info in fields if loc[-1] in aliases(info)), "")


def _fields_at(root: Any, loc: Iterable[Any]) -> list[str]:
    """Return the field names of the model at the location ``loc``."""
    model = _model_at(root, loc)
    return list(model.model_fields) if model else []


def _model_at(root: Any, loc: Iterable[Any]) -> type[BaseModel] | None:
    """Return the model at the location ``loc``. It is found by following the annotations."""
    here = _bare(root)
    for part in loc:
        if isinstance(here, type) and issubclass(here, BaseModel):
            info = here.model_fields.get(str(part))
            here = _bare(info.annotation) if info else None
        elif get_origin(here) in (dict, list):
            here = _bare(get_args(here)[-1])
    return here if isinstance(here, type) and issubclass(here, BaseModel) else None


def _bare(annotation: Any) -> Any:
    """Return ``annotation`` without Annotated and without ``| None``."""
    while hasattr(annotation, "__metadata__"):
        annotation = annotation.__origin__
    if get_origin(annotation) in (Union, UnionType):
        return _bare(next(part for part in get_args(annotation) if part is not type(None)))
    return annotation
