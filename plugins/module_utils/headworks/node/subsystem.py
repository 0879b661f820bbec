"""The one shape of a subsystem: read → diff → apply, and what travels between the three.

A subsystem is one kind of thing on a node (links, OVS rows, flows, …). Desired and actual are the same frozen
dataclass, keyed by name. What does not belong here: the order between subsystems (``order.py``) and the walk through
them (``converge.py``).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, Generic, TypeVar

from ..state.codec import decode, encode

T = TypeVar("T")


@dataclass(frozen=True)
class Change(Generic[T]):
    """One difference: ``before`` is None for something to add, ``after`` is None for something to remove."""

    kind: str
    name: str
    before: T | None
    after: T | None

    @property
    def verb(self) -> str:
        """``add``, ``remove`` or ``change``."""
        if self.before is None:
            return "add"
        return "remove" if self.after is None else "change"

    @property
    def label(self) -> str:
        """One line for people: ``+ link tapX``, ``~ flows br-int …``, ``- domain instance-00000001``."""
        sign = {"add": "+", "remove": "-", "change": "~"}[self.verb]
        return f"{sign} {self.kind} {self.name}"


@dataclass(frozen=True)
class Reading(Generic[T]):
    """What is on the node: ours, and whatever else bears a desired name.

    ``objects`` maps name → object. ``owned`` are the names that carry our mark: only these may ever be removed.
    """

    objects: Mapping[str, T] = field(default_factory=dict)
    owned: frozenset[str] = frozenset()


class Subsystem(Generic[T]):
    """Base of every subsystem. Construct it, then ``read``, ``diff`` (pure) and ``apply``.

    ``owner`` is the cloud's name when a whole node state is converged: what is made is marked with it, and what bears
    the mark and is no longer desired is removed. It is None when a single-purpose module is used: then nothing is
    marked and nothing is pruned.
    """

    kind: ClassVar[str] = ""
    record: ClassVar[type]
    # True: removals and additions go into one atomic batch, applied in forward order. False: removals of all
    # subsystems come first, in reverse order (guests before their ports, ports before their links).
    atomic: ClassVar[bool] = False

    def __init__(self, owner: str | None = None) -> None:
        self.owner = owner

    @classmethod
    def load(cls, items: Iterable[Mapping[str, Any]]) -> dict[str, T]:
        """Desired objects from a section of the node state (a list of plain dicts), keyed by name."""
        objects: list[T] = [decode(cls.record, item) for item in items]
        return {cls.key(one): one for one in objects}

    @classmethod
    def key(cls, one: T) -> str:
        """The name under which an object is known; unique within the subsystem on one node."""
        return one.name  # type: ignore[attr-defined,no-any-return]

    def read(self, desired: Mapping[str, T], scope: frozenset[str] | None = None) -> Reading[T]:
        """Actual objects: all that are ours, and those that bear a name in ``desired``.

        Returns an empty reading when the tool or daemon is not installed yet (a bare node in check mode).

        :param scope: when given, only these names matter (the check after applying); reading more is allowed.
        """
        raise NotImplementedError

    def diff(self, desired: Mapping[str, T], actual: Reading[T]) -> list[Change[T]]:
        """The changes from ``actual`` to ``desired``: pure, sorted by name; only owned things are removed."""
        changes = []
        for name in sorted(desired):
            before = actual.objects.get(name)
            if before is None or not self.same(desired[name], before):
                changes.append(Change(self.kind, name, before, desired[name]))
        for name in sorted(actual.owned - set(desired)):
            changes.append(Change(self.kind, name, actual.objects[name], None))
        return changes

    def same(self, desired: T, actual: T) -> bool:
        """Whether the two mean the same. Override where the node reports more than the plan says."""
        return desired == actual

    def unsettled_by(self, made: Sequence[Change[Any]]) -> bool:
        """Whether changes just made to earlier subsystems can have undone what was found as desired. It is then read
        and compared again before its own turn."""
        return False

    def apply(self, changes: Sequence[Change[T]]) -> None:
        """Make the changes, in one batch. Must be safe to repeat after having been killed half way."""
        raise NotImplementedError

    def describe(self, one: T | None) -> Any:
        """The object as plain data for ``--diff``. Override where it holds secrets."""
        return None if one is None else encode(one)


