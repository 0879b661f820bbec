"""A JSON Schema of the files of an inventory, for editors. It describes variables before Ansible expands templates.

The schema accepts what the models accept, and a template in place of any value. It refuses a single invalid value; only
the plan checks whether several values fit together. The schema uses only keywords that editors for older drafts of JSON
Schema also know.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any

from ...model.base import Model
from ...model.describe import DictOf, Entry, ListOf, Nested, Scalar, Shape, entries, nested_models, variables
from ...model.inventory import ADDITION, MODELS
from .words import TITLES

_TEMPLATE = {"$ref": "#/$defs/template"}
_OURS = f"^({'|'.join(MODELS)})_"
_GROUP_KEYS = ("hosts", "children", "vars")


def text() -> str:
    """The content of the schema's file."""
    return json.dumps(schema(), indent=1, ensure_ascii=False) + "\n"


def schema() -> dict[str, Any]:
    """The schema of a file of group_vars or host_vars, and of a YAML inventory."""
    every = [entry for prefix in MODELS for entry in variables(prefix)]
    group = {"$ref": "#/$defs/group"}
    is_group = {"type": "object", "minProperties": 1, "propertyNames": {"enum": list(_GROUP_KEYS)}}
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Files of a headworks inventory",
        "description": "Generated from the models by scripts/reference: do not edit.",
        "allOf": [{"$ref": "#/$defs/variables"}],
        "properties": {"all": group},
        # An operator's own variable may have any value. An entry with the keys of a group is a group of hosts.
        "patternProperties": {f"^(?!{_OURS[1:]})": {"if": is_group, "then": group}},
        "$defs": {
            "template": {"type": "string", "pattern": r"\{[{%#]"},
            "group": _group(),
            "variables": _variables(every),
            **{_key(model): model_schema(model) for model in nested_models(every)},
        },
    }


def _group() -> dict[str, Any]:
    """The schema of a group of a YAML inventory."""
    variables_ = {"$ref": "#/$defs/variables"}
    properties = {
        "hosts": {"type": ["object", "string", "null"], "additionalProperties": variables_},
        "children": {"type": ["object", "string", "null"], "additionalProperties": {"$ref": "#/$defs/group"}},
        "vars": variables_,
    }
    return {"type": ["object", "null"], "properties": properties, "additionalProperties": False}


def _variables(every: Iterable[Entry]) -> dict[str, Any]:
    """The schema of the variables of a host or a group: those of the models, and any others."""
    properties = {name: value for entry in every for name, value in _properties(entry).items()}
    # Only the cloud's dictionaries can be added to (``control/variables.py``).
    additions = [entry.name for entry in entries(MODELS["cloud"], "cloud_") if isinstance(entry.shape, DictOf)]
    known = [{"enum": list(properties)}, {"pattern": f"^({'|'.join(additions)}){ADDITION}"}]
    added = {f"^{name}{ADDITION}": {"$ref": f"#/$defs/variables/properties/{name}"} for name in additions}
    return {
        "type": ["object", "null"],
        "properties": properties,
        "patternProperties": added,
        "propertyNames": {"if": {"pattern": _OURS}, "then": {"anyOf": known}},
    }


def _key(model: type[Model]) -> str:
    return TITLES[model].replace(" ", "_").lower()


def model_schema(model: type[Model]) -> dict[str, Any]:
    """The schema of a model's fields, each under its name and its other names."""
    fields = entries(model)
    built: dict[str, Any] = {
        "type": "object",
        "properties": {name: value for entry in fields for name, value in _properties(entry).items()},
        "additionalProperties": False,
    }
    built["required"] = [entry.name for entry in fields if entry.required and not entry.aliases]
    # A field that has several names is given under one of them.
    built["allOf"] = [
        {"oneOf": names} if entry.required else {"not": {"required": [entry.name, other]}}
        for entry in fields
        for other in entry.aliases
        for names in [[{"required": [name]} for name in (entry.name, *entry.aliases)]]
    ]
    return {key: value for key, value in built.items() if value != []}


def _properties(entry: Entry) -> dict[str, dict[str, Any]]:
    """Name → property of a field, for the field's name and its other names."""
    about: dict[str, Any] = {"description": entry.description}
    if not entry.required and not entry.unset:
        about["default"] = entry.default
    if entry.examples:
        about["examples"] = list(entry.examples)
    value = _value(entry.shape)
    others = {name: {"description": f"The same as {entry.name}.", **value} for name in entry.aliases}
    return {entry.name: {**about, **value}, **others}


def _value(shape: Shape) -> dict[str, Any]:
    """The schema of a value: a value of its type, a short form, or a template."""
    core = _core(shape)
    if core == {} or (core == {"type": "string"} and not shape.also):
        return core
    ways: list[Mapping[str, Any]] = [core] if set(core) != {"anyOf"} else list(core["anyOf"])
    return {"anyOf": [*ways, *(kind.schema for kind in shape.also), _TEMPLATE]}


def _core(shape: Shape) -> dict[str, Any]:
    if isinstance(shape, Scalar):
        return dict(shape.kind.schema)
    if isinstance(shape, ListOf):
        item = _value(shape.item)
        # A list with one item may be written without brackets.
        alone = item["anyOf"] if set(item) == {"anyOf"} else [item]
        return {"anyOf": [{"type": "array", "items": item}, *(one for one in alone if one != _TEMPLATE)]}
    if isinstance(shape, Nested):
        return {"$ref": f"#/$defs/{_key(shape.model)}"}
    keys = dict(shape.key.kind.schema)
    value = {"type": "object", "propertyNames": keys, "additionalProperties": _value(shape.value)}
    return {**value, "maxProperties": shape.most} if shape.most else value
