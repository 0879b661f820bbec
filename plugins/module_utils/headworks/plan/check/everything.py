"""Whether everything in an inventory fits together: the list of all cross-reference checks.

Each check refuses what it finds and goes on, so that an operator sees everything at once. What a value may be by itself
is in ``model/``; what can only be known when placing and allocating is said there.
"""

from __future__ import annotations

from collections.abc import Callable

from . import (
    addresses as validate_addresses,
)
from . import (
    instances as validate_instances,
)
from . import (
    networks as validate_networks,
)
from . import (
    nodes as validate_nodes,
)
from . import (
    pending as validate_pending,
)
from . import (
    routers as validate_routers,
)
from . import (
    services as validate_services,
)
from .context import Check

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
