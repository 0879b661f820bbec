"""Whether ``cloud_*`` variables have the same value on every host. The plan reads them once, from one node.

Values are compared before their templates are expanded, together with the variables that the templates name. Group
variables are the same objects on all hosts, so the comparison costs little.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator, Mapping
from typing import Any

from ..model.errors import some
from ..model.inventory import ADDITION, HELPERS, MODELS
from .references import names_used
from .variables import ALLOCATIONS

_PREFIX = "cloud_"
_KNOWN = frozenset(name for model in (MODELS["cloud"], *HELPERS["cloud"]) for name in model.model_fields)
_SECRET = re.compile("user_data|passw|secret|token|private", re.IGNORECASE)
_UNSET = object()
_SHOWN = 60
_HOSTS_SHOWN = 3
_PLACES_SHOWN = 3


class Comparison:
    """The variables of the first node, and the hosts that have other values."""

    def __init__(self) -> None:
        self._nodes: list[str] = []
        self._raw: Mapping[str, Any] = {}
        self._cloud: dict[str, Any] = {}
        # Name of a variable → the cloud_ variable whose template uses it.
        self._used: dict[str, str] = {}
        self._of_nodes: dict[str, dict[str, Any]] = {}
        self._of_instances: dict[str, dict[str, Any]] = {}

    def node(self, name: str, raw: Mapping[str, Any]) -> None:
        """Take the variables of the first node, or compare those of a further one."""
        self._nodes.append(name)
        if len(self._nodes) == 1:
            self._raw, self._cloud = raw, _cloud(raw)
            self._used = {used: key for key, value in self._cloud.items() for used in sorted(names_used(value, raw))}
            return
        theirs = _cloud(raw)
        for key in {**self._cloud, **theirs}:
            self._compare(key, self._cloud.get(key, _UNSET), theirs.get(key, _UNSET), name, self._of_nodes)
        for key in self._used.keys() - self._cloud.keys():
            self._compare(key, self._raw.get(key, _UNSET), raw.get(key, _UNSET), name, self._of_nodes)

    def instance(self, name: str, raw: Mapping[str, Any]) -> None:
        """Compare the variables of an instance. Those that are no variables of headworks do not count."""
        for key, value in _cloud(raw).items():
            if key.partition(ADDITION)[0].removeprefix(_PREFIX) in _KNOWN:
                self._compare(key, self._cloud.get(key, _UNSET), value, name, self._of_instances)

    def problems(self, groups: Mapping[str, Collection[str]]) -> list[str]:
        """A message for each variable that has several values."""
        messages: list[str] = []
        for key, others in self._of_nodes.items():
            same = [name for name in self._nodes if name not in others]
            reference = self._raw.get(key, _UNSET)
            if key in self._cloud or key.startswith(_PREFIX):
                start, rule = key, "must be the same on all nodes; set it for group all"
            else:
                start = f"{self._used[key]}: uses {key}, which differs"
                rule = "the plan would depend on the node that is read first"
            messages += _differences(start, key, (reference, same), others, groups, rule)
        for key, others in self._of_instances.items():
            reference = (self._cloud.get(key, _UNSET), self._nodes)
            rule = "is read from the nodes only; set it for group all"
            messages += _differences(key, key, reference, others, groups, rule)
        return messages

    @staticmethod
    def _compare(key: str, ours: Any, theirs: Any, host: str, into: dict[str, dict[str, Any]]) -> None:
        if ours is not theirs and (ours is _UNSET or theirs is _UNSET or ours != theirs):
            into.setdefault(key, {})[host] = theirs


def _cloud(raw: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in raw.items() if name.startswith(_PREFIX) and name != ALLOCATIONS}


def _differences(
    start: str, key: str, reference: tuple[Any, Collection[str]], others: Mapping[str, Any],
    groups: Mapping[str, Collection[str]], rule: str,
) -> Iterator[str]:
    """A message with both values for each place inside a variable that differs, for the first few places."""
    value, hosts = reference
    first = next(iter(others.values()))
    places = list(_places((), value, first))
    for path, one, other in places[:_PLACES_SHOWN]:
        where = ".".join((start, *path)) if start == key else start
        hidden = any(_SECRET.search(part) for part in (key, *path))
        alike = [host for host, its in others.items() if its is first or its == first]
        yield (
            f"{where}: {_shown(one, hidden)} on {_hosts(hosts, groups)}, {_shown(other, hidden)} on "
            f"{_hosts(alike, groups)}: {rule}"
        )
    if len(places) > _PLACES_SHOWN:
        yield f"{start}: differs in {len(places) - _PLACES_SHOWN} more places"


def _places(path: tuple[str, ...], one: Any, other: Any) -> Iterator[tuple[tuple[str, ...], Any, Any]]:
    if not isinstance(one, Mapping) or not isinstance(other, Mapping):
        yield path, one, other
        return
    for name in {**one, **other}:
        ours, theirs = one.get(name, _UNSET), other.get(name, _UNSET)
        if ours is not theirs and (ours is _UNSET or theirs is _UNSET or ours != theirs):
            yield from _places((*path, str(name)), ours, theirs)


def _shown(value: Any, hidden: bool) -> str:
    if value is _UNSET:
        return "not set"
    if hidden or _is_encrypted(value):
        return "…"
    if isinstance(value, (Mapping, list, tuple)):
        return f"{'a dictionary' if isinstance(value, Mapping) else 'a list'} of {len(value)}"
    text = repr(value)
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}…"


def _is_encrypted(value: Any) -> bool:
    return not isinstance(value, (str, int, float, Mapping, list, tuple)) and value is not None


def _hosts(hosts: Collection[str], groups: Mapping[str, Collection[str]]) -> str:
    """Hosts in words: by the group that has exactly them, otherwise by the first names."""
    wanted = set(hosts)
    exact = [name for name, members in groups.items() if len(members) == len(wanted) and set(members) == wanted]
    named: Iterable[str] = [name for name in exact if name not in ("all", "ungrouped")]
    return some(hosts, _HOSTS_SHOWN) + "".join(f" (group {name})" for name in sorted(named)[:1])
