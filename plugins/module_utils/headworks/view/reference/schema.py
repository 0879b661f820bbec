"""A JSON Schema of the files of an inventory, for editors: variables as they are written, before Ansible's templates.

It accepts what the models accept, and templates in place of any value. It refuses what is wrong in a single value; what
several values say together is checked by the plan only. It keeps to the keywords that editors for older drafts of JSON
Schema know as well.
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
    """The schema as the file has it."""
    return json.dumps(schema(), indent=1, ensure_ascii=False) + "\n"


def schema() -> dict[str, Any]:
    """The schema of a file: of group_vars or host_vars, or a YAML inventory."""
    every = [entry for prefix in MODELS for entry in variables(prefix)]
    group = {"$ref": "#/$defs/group"}
    is_group = {"type": "object", "minProperties": 1, "propertyNames": {"enum": list(_GROUP_KEYS)}}
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Files of a headworks inventory",
        "description": "Generated from the models by scripts/reference: do not edit.",
        "allOf": [{"$ref": "#/$defs/variables"}],
        "properties": {"all": group},
        # A variable of the operator's own may be anything; a group of hosts is known by its keys.
        "patternProperties": {f"^(?!{_OURS[1:]})": {"if": is_group, "then": group}},
        "$defs": {
            "template": {"type": "string", "pattern": r"\{[{%#]"},
            "group": _group(),
            "variables": _variables(every),
            **{_key(model): model_schema(model) for model in nested_models(every)},
        },
    }


def _group() -> dict[str, Any]:
    """A group of a YAML inventory."""
    variables_ = {"$ref": "#/$defs/variables"}
    properties = {
        "hosts": {"type": ["object", "string", "null"], "additionalProperties": variables_},
        "children": {"type": ["object", "string", "null"], "additionalProperties": {"$ref": "#/$defs/group"}},
        "vars": variables_,
    }
    return {"type": ["object", "null"], "properties": properties, "additionalProperties": False}


def _variables(every: Iterable[Entry]) -> dict[str, Any]:
    """Variables of a host or a group: ours as the models are, others as they like."""
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
    """The fields of a model, each under its name or another name for it."""
    found = entries(model)
    built: dict[str, Any] = {
        "type": "object",
        "properties": {name: value for entry in found for name, value in _properties(entry).items()},
        "additionalProperties": False,
    }
    required = [entry for entry in found if entry.required]
    if required:
        built["required"] = [entry.name for entry in required if not entry.aliases]
        aliased = [entry for entry in required if entry.aliases]
        built["allOf"] = [
            {"anyOf": [{"required": [name]} for name in (entry.name, *entry.aliases)]} for entry in aliased
        ]
    return {key: value for key, value in built.items() if value != []}


def _properties(entry: Entry) -> dict[str, dict[str, Any]]:
    """The property of a field, and of every other name it has."""
    about: dict[str, Any] = {"description": entry.description}
    if not entry.required and not entry.unset:
        about["default"] = entry.default
    if entry.examples:
        about["examples"] = list(entry.examples)
    value = _value(entry.shape)
    others = {name: {"description": f"The same as {entry.name}.", **value} for name in entry.aliases}
    return {entry.name: {**about, **value}, **others}


def _value(shape: Shape) -> dict[str, Any]:
    """A value as it is written: as its type says, in a short form, or as a template."""
    core = _core(shape)
    if core == {} or (core == {"type": "string"} and not shape.also):
        return core
    ways: list[Mapping[str, Any]] = [core] if set(core) != {"anyOf"} else list(core["anyOf"])
    return {"anyOf": [*ways, *(kind.schema for kind in shape.also), _TEMPLATE]}


def _core(shape: Shape) -> dict[str, Any]:
    if isinstance(shape, Scalar):
        return dict(shape.kind.schema)
    if isinstance(shape, ListOf):
        return {"type": "array", "items": _value(shape.item)}
    if isinstance(shape, Nested):
        return {"$ref": f"#/$defs/{_key(shape.model)}"}
    keys = dict(shape.key.kind.schema)
    value = {"type": "object", "propertyNames": keys, "additionalProperties": _value(shape.value)}
    return {**value, "maxProperties": shape.most} if shape.most else value
