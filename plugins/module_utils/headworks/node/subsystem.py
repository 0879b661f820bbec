"""The shape of a subsystem: read, diff, apply, and the typed data that these three hand to the walk.

A subsystem handles one kind of thing on a node (links, OVS rows, flows, …). Desired and actual objects are records of
the same frozen dataclass, keyed by name. It is in ``state/`` if the plan makes the records, otherwise beside the
subsystem. What does not belong here: the order of the subsystems
(``engine/order.py``) and the walk through them (``engine/converge.py``).
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from typing import Any, ClassVar, Generic, TypeVar

from ..state.codec import decode, encode
from ..state.distribution import Distribution

T = TypeVar("T")

SIGNS = {"add": "+", "remove": "-", "change": "~"}  # verb of a change → its sign in output for people


class Cause(Enum):
    """Why an object must be applied again although the node has it as desired. The value is for people."""

    DEVICE_RECREATED = "its device is recreated"
    BRIDGE_CLEARED = "its bridge loses its flows"
    PORT_RENUMBERED = "a port that it names gets another number"


@dataclass(frozen=True)
class Change(Generic[T]):
    """One difference. ``before`` is None for an object to add, ``after`` is None for an object to remove. ``cause`` is
    set when the object itself was as desired (see ``Subsystem.undone_by``)."""

    kind: str
    name: str
    before: T | None
    after: T | None
    cause: Cause | None = None

    @property
    def verb(self) -> str:
        """``add``, ``remove`` or ``change``."""
        if self.before is None:
            return "add"
        return "remove" if self.after is None else "change"

    @property
    def label(self) -> str:
        """One line for people: ``+ link tapX``, ``~ flows br-int …``, ``- domain instance-00000001``."""
        return f"{SIGNS[self.verb]} {self.kind} {self.name}"


class Effect(Enum):
    """What a change does to those who use the object. The value is for machines."""

    RESTART = "restart"  # it takes effect at the next start of a guest
    OUTAGE = "outage"  # something that works stops working
    LOSS = "loss"  # something is lost for good


@dataclass(frozen=True)
class Note:
    """Something that a person must know about the object ``name`` of ``kind``. The run does not act on it. ``effect``
    says what a change of the object brings about, if the note is about that."""

    kind: str
    name: str
    text: str
    effect: Effect | None = None


@dataclass(frozen=True)
class Conflict:
    """Why the object ``name`` cannot be brought to its desired state. A run with a conflict stops before it applies
    anything."""

    name: str
    text: str


@dataclass(frozen=True)
class Confirmation:
    """A change of ``name`` (of ``kind``) that undoes itself unless the control node confirms it in time."""

    kind: str
    name: str
    text: str


@dataclass(frozen=True)
class Reading(Generic[T]):
    """What is on the node: our objects, and all other objects that have a desired name.

    ``objects`` maps name → object. ``owned`` has the names of the objects with our mark: only these may be removed.
    ``needs`` maps the kind of another subsystem → names of its objects that must not be removed, because objects that
    stay use them. ``protected`` has the names of objects whose mark forbids to remove them. ``withheld`` has the names
    of guests that are left as they are: their guarded objects are neither created nor changed. ``broken`` maps the name
    of a desired object → why it cannot be brought to its desired state now: it is left alone, and the run fails at its
    end. ``notes`` and ``conflicts`` say where the node does not fit the desired objects.
    """

    objects: Mapping[str, T] = field(default_factory=dict)
    owned: frozenset[str] = frozenset()
    needs: Mapping[str, frozenset[str]] = field(default_factory=dict)
    notes: tuple[Note, ...] = ()
    conflicts: tuple[Conflict, ...] = ()
    protected: frozenset[str] = frozenset()
    withheld: frozenset[str] = frozenset()
    broken: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Undone:
    """The desired objects that changes of earlier subsystems undo. ``causes`` maps the name of such an object → why it
    must be applied again. ``read_again`` True: those changes may undo more objects, so the node must be read again
    before this subsystem applies its changes."""

    causes: Mapping[str, Cause] = field(default_factory=dict)
    read_again: bool = False


@dataclass(frozen=True)
class Applied:
    """The result of ``apply``: notes for people, and changes that must be confirmed. ``failures`` maps the name of an
    object, or of a part of it (``Subsystem.parts``), → why it could not be changed. The walk leaves as they are: the
    other guarded objects of a guest, and objects that require what failed (``Subsystem.requires``). It completes the
    rest, and then fails with these texts."""

    notes: tuple[Note, ...] = ()
    confirmations: tuple[Confirmation, ...] = ()
    failures: Mapping[str, str] = field(default_factory=dict)


# The names that a verification is limited to: name → the change that was just made.
Scope = Mapping[str, Change[Any]]


class Subsystem(Generic[T]):
    """Base of every subsystem. Construct it, then call ``read``, ``diff`` (pure) and ``apply``. It keeps nothing
    between these calls.

    ``owner`` is the cloud's name when a whole node state is converged: created objects are marked with it, and marked
    objects that are no longer desired are removed. It is None when a single-purpose module is used: then nothing is
    marked and nothing is pruned.
    """

    kind: ClassVar[str] = ""
    record: ClassVar[type]
    # True: removals and additions go into one atomic batch, applied in forward order. False: removals of all
    # subsystems come first, in reverse order (guests before their ports, ports before their links).
    atomic: ClassVar[bool] = False
    # True: removing such an object loses data of a guest, so a removal must be listed in the call
    # (``engine/removals.py``). All guarded objects of a guest have the guest's uuid as name.
    guarded: ClassVar[bool] = False

    def __init__(self, owner: str | None = None) -> None:
        self.owner = owner

    @classmethod
    def of_node(cls, owner: str, distribution: Distribution) -> Subsystem[T]:
        """Return the subsystem for a whole node state. Override it where the subsystem needs names of the
        distribution."""
        return cls(owner)

    @classmethod
    def of_document(cls, document: Mapping[str, Any], distribution: Distribution) -> Subsystem[T]:
        """Return the subsystem for a whole node state. Override it where the subsystem needs more of the document than
        its section."""
        return cls.of_node(str(document["cloud"]), distribution)

    @classmethod
    def load(cls, items: Iterable[Mapping[str, Any]]) -> dict[str, T]:
        """Return the desired objects of a section of the node state (a list of plain dicts), keyed by name."""
        objects: list[T] = [decode(cls.record, item) for item in items]
        return {cls.key(item): item for item in objects}

    @classmethod
    def key(cls, item: T) -> str:
        """Return the name of an object. It is unique within the subsystem on a node."""
        return item.name  # type: ignore[attr-defined,no-any-return]

    def read(self, desired: Mapping[str, T], scope: Scope | None = None) -> Reading[T]:
        """Return the actual objects: all of ours, and all others that have a name in ``desired``.

        The reading is empty when the tool or daemon is not installed yet (a bare node in check mode).

        :param desired: all desired objects, also in a verification.
        :param scope: the names that a verification is limited to. Reading more than these is allowed.
        """
        raise NotImplementedError

    def diff(self, desired: Mapping[str, T], actual: Reading[T]) -> list[Change[T]]:
        """Return the changes from ``actual`` to ``desired``, sorted by name. Only owned objects are removed. Pure: it
        raises no error and keeps no data."""
        changes = []
        for name in sorted(desired):
            before = actual.objects.get(name)
            if before is None or not self.same(desired[name], before):
                changes.append(Change(self.kind, name, before, desired[name]))
        for name in sorted(actual.owned - set(desired)):
            changes.append(Change(self.kind, name, actual.objects[name], None))
        return changes

    def same(self, desired: T, actual: T) -> bool:
        """Return whether both objects mean the same. Override it where the node reports more than the plan says."""
        return desired == actual

    def undone_by(
        self, earlier: Sequence[Change[Any]], desired: Mapping[str, T], actual: Reading[T]
    ) -> Undone:
        """Return which objects that are as desired now the changes of earlier subsystems undo. Pure."""
        return Undone()

    def parts(self, item: T) -> Collection[str]:
        """Return further names under which ``apply`` may report a failure of the object: what it shares with others,
        and fails with. Override it where one failure concerns many objects."""
        return ()

    def requires(self, item: T) -> Mapping[str, Collection[str]]:
        """Return what the object must not go on without: the kind of another subsystem → names of its objects or parts.

        If one of these fails, the object is neither created nor changed. If the object cannot be removed, these stay.
        Name only what would be dangerous to go on without; an object that simply does not work without another fails by
        itself.
        """
        return {}

    def can_wait(self, removals: Sequence[Change[T]], desired: Mapping[str, T]) -> Sequence[Change[T]]:
        """Return those of ``removals`` that wait in a run that removes nothing, because a subsystem cannot be read.
        Override it where a removal belongs to the replacement of something that stays."""
        return removals

    def unsafe_to_restore(self, changes: Sequence[Change[T]]) -> Sequence[Note]:
        """Return a note for each of ``changes`` that a restore must not make: it would create an object that must exist
        since an earlier run, or it needs an operator. Only objects that are to be created or changed are left alone."""
        return ()

    def foreseen(self, change: Change[T]) -> Sequence[Note]:
        """Return the notes on what the change brings about: what it interrupts, what is lost, what waits for a restart.
        Pure. Check mode reports them too, so the texts must fit before and after the change."""
        return ()

    def apply(self, changes: Sequence[Change[T]]) -> Applied:
        """Make the changes in one batch. A run that was killed at any point can be repeated."""
        raise NotImplementedError

    def describe(self, item: T | None) -> Any:
        """Return the object as plain data for ``--diff``. Override it where objects hold secrets."""
        return None if item is None else encode(item)

    def note(self, name: str, text: str, effect: Effect | None = None) -> Note:
        """Return a note about the object ``name`` of this subsystem."""
        return Note(self.kind, name, text, effect)
