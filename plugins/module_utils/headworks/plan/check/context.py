"""What every check of the inventory works with. The checks themselves are in ``validate_*.py``."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
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
    """The inventory under examination, what is known beside it, and where findings go. ``before`` are the allocations
    of the last run."""

    inventory: Inventory
    spaces: Spaces
    facts: Mapping[str, NodeFacts]
    images: Mapping[str, ImageFacts]
    before: Allocations
    problems: Problems
    warnings: list[str] = field(default_factory=list)

    @property
    def cloud(self) -> CloudModel:
        """The cloud's own variables."""
        return self.inventory.cloud

    def bad(self, key: str, value: Any, rule: str) -> None:
        """Refuse ``value`` at ``key``."""
        self.problems.add(key, value, rule)

    def known(self, key: str, value: str | None, what: str, names: Iterable[str]) -> bool:
        """Whether ``value`` is one of ``names`` (None: not given, which is fine); if not, that is refused."""
        if value is None:
            return True
        names = names if isinstance(names, (dict, set, frozenset)) else list(names)
        if value not in names:
            self.problems.unknown(key, value, what, names)
            return False
        return True

    def nodes_with(self, role: str) -> list[str]:
        """Names of the nodes in a group."""
        return [name for name, entry in self.inventory.nodes.items() if role in entry.roles]
