"""What the subsystems of bridges and of ports share: comparing by what is wanted, and the mark of what is ours.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, replace
from typing import Any

from ...system.ovsdb import ENDPOINT
from ..marks import MARK
from ..subsystem import Change, Reading, Subsystem

NOTHING: tuple[Any, ...] = ("", None, (), {}, False)


class OvsSubsystem(Subsystem[Any]):
    """What bridges and ports share.

    :param owner: see ``Subsystem``. Maps (external_ids, other_config) are then compared by the wanted keys only.
    :param exact: maps are compared whole: for desired objects that were made from the actual ones (see
        ``modules/ovs/options.py``), so that a key can also be removed.
    :param seconds: how long ovs-vswitchd may take to act on a change; None: as long as its size warrants.
    """

    def __init__(
        self,
        owner: str | None = None,
        *,
        endpoint: str = ENDPOINT,
        exact: bool = False,
        seconds: float | None = None,
    ) -> None:
        super().__init__(owner)
        self.endpoint = endpoint
        self.exact = exact
        self.seconds = seconds

    def diff(self, desired: Mapping[str, Any], actual: Reading[Any]) -> list[Change[Any]]:
        """The changes; ``before`` shows only what ``desired`` speaks of, so that foreign keys are never in a diff."""
        objects = {
            name: self.comparable(one, desired[name]) if name in desired else one
            for name, one in actual.objects.items()
        }
        return super().diff(desired, replace(actual, objects=objects))

    def comparable(self, actual: Any, wanted: Any) -> Any:
        """``actual`` without what ``wanted`` leaves open."""
        raise NotImplementedError

    def describe(self, one: Any) -> Any:
        """What is set of the object: here the records' defaults are worth showing, emptiness is not."""
        return None if one is None else {key: value for key, value in asdict(one).items() if value not in NOTHING}

    def only(self, actual: Mapping[str, str], wanted: Mapping[str, str]) -> Mapping[str, str]:
        return actual if self.exact else {key: value for key, value in actual.items() if key in wanted}

    def mark(self) -> dict[str, str]:
        return {MARK: self.owner} if self.owner is not None else {}

    def is_ours(self, external_ids: Mapping[str, str]) -> bool:
        return self.owner is not None and external_ids.get(MARK) == self.owner
