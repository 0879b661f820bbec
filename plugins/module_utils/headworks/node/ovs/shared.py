"""The base of the subsystems for bridges and for ports: comparing by the desired keys, and the owner's mark.

What does not belong here: reading and changing rows (``bridges.py``, ``ports.py``).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, replace
from typing import Any

from ...system.ovsdb import ENDPOINT
from ..marks import MARK
from ..subsystem import Change, Reading, Subsystem

EMPTY: tuple[Any, ...] = ("", None, (), {}, False)


class OvsSubsystem(Subsystem[Any]):
    """The base of the subsystems for bridges and for ports.

    :param owner: see ``Subsystem``.
    :param exact: compare maps (external_ids, other_config) by all keys, so that a key can also be removed. This is for
        desired objects that are made from actual objects (see ``modules/ovs/options.py``). Otherwise only the keys of
        the desired object are compared.
    :param seconds: how long ovs-vswitchd may take to act on a change; None: a time that grows with the change.
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
        """Return the changes. ``before`` has only the keys and columns of the desired object, so that a diff never
        shows keys of other programs."""
        objects = {
            name: self.comparable(item, desired[name]) if name in desired else item
            for name, item in actual.objects.items()
        }
        return super().diff(desired, replace(actual, objects=objects))

    def comparable(self, actual: Any, wanted: Any) -> Any:
        """Return ``actual`` without the keys and columns that ``wanted`` leaves open."""
        raise NotImplementedError

    def describe(self, item: Any) -> Any:
        """Return the fields of the object that are not empty. Fields with a default value that is not empty are
        shown."""
        return None if item is None else {key: value for key, value in asdict(item).items() if value not in EMPTY}

    def only(self, actual: Mapping[str, str], wanted: Mapping[str, str]) -> Mapping[str, str]:
        """Return the keys of ``actual`` that ``wanted`` has; all keys if ``exact``."""
        return actual if self.exact else {key: value for key, value in actual.items() if key in wanted}

    def mark(self) -> dict[str, str]:
        """Return the external_ids that mark a row as ours; empty without an owner."""
        return {MARK: self.owner} if self.owner is not None else {}

    def is_ours(self, external_ids: Mapping[str, str]) -> bool:
        """Whether the external_ids of a row have the owner's mark."""
        return self.owner is not None and external_ids.get(MARK) == self.owner
