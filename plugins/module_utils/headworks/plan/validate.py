"""Whether everything in an inventory fits together: the list of all cross-reference checks.

Each check refuses what it finds and goes on, so that an operator sees everything at once. What a value may be by itself
is in ``model/``; what can only be known when placing and allocating is said there.
"""

from __future__ import annotations

from collections.abc import Callable

from . import (
    validate_addresses,
    validate_instances,
    validate_networks,
    validate_nodes,
    validate_pending,
    validate_routers,
    validate_services,
)
from .checking import Check

CHECKS: tuple[Callable[[Check], None], ...] = (
    validate_nodes.check,
    validate_networks.check,
    validate_routers.check,
    validate_instances.check,
    validate_addresses.check,
    validate_services.check,
    validate_pending.check,
)


def validate(check: Check) -> list[str]:
    """Run all checks; the problems are in ``check.problems``. Returns the warnings."""
    for one in CHECKS:
        one(check)
    return check.warnings
