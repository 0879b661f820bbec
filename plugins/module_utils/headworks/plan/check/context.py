"""What every check of the inventory works with. The checks themselves are in the other files of this folder."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from ...model.cloud import CloudModel
from ...model.errors import Problems
from ...model.inventory import Inventory
from ..allocation.allocations import Allocations
from ..allocation.ports import Spaces
from ..facts import NodeFacts
from ..images import ImageFacts


@dataclass
class Check:
    """The inventory that is checked, what else is known about the cloud, and where problems and warnings go.

    ``before`` holds the allocations of the last run. ``available`` maps a cloud variable to the values that headworks
    implements. A variable that is not in ``available`` may have every value that its model accepts.
    """

    inventory: Inventory
    spaces: Spaces
    facts: Mapping[str, NodeFacts]
    images: Mapping[str, ImageFacts]
    before: Allocations
    problems: Problems
    available: Mapping[str, Collection[str]] = field(default_factory=dict)
    warnings: list[str] = field(default_factory=list)

    @property
    def cloud(self) -> CloudModel:
        """The cloud's own variables."""
        return self.inventory.cloud

    def refuse(self, key: str, value: Any, rule: str) -> None:
        """Add a problem: ``value`` of ``key`` breaks ``rule``."""
        self.problems.add(key, value, rule)

    def exists(self, key: str, value: str | None, what: str, names: Iterable[str]) -> bool:
        """Return whether ``value`` is one of ``names``; if it is not, refuse it as an unknown ``what``.

        None means that the inventory does not set ``key``, which is allowed.
        """
        if value is None:
            return True
        names = names if isinstance(names, (dict, set, frozenset)) else list(names)
        if value not in names:
            self.problems.unknown(key, value, what, names)
            return False
        return True

    def nodes_with(self, role: str) -> list[str]:
        """The names of the nodes in group ``role``."""
        return [name for name, entry in self.inventory.nodes.items() if role in entry.roles]
