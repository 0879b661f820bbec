"""The list of all checks of an inventory, and the function that runs them.

Each check adds what it refuses to the problems and continues, so that an operator sees every problem at once. What does
not belong here: whether a value is valid by itself (``model/``), and whether there is room for it, which only placement
(``plan/placement``) and allocation (``plan/allocation``) can tell.
"""

from __future__ import annotations

from collections.abc import Callable

from .addresses import check_addresses
from .context import Check
from .instances import check_instances
from .kernel import check_kernel
from .networks import check_networks
from .nodes import check_nodes
from .pending import check_pending
from .placed import check_placed
from .routers import check_routers
from .services import check_services

CHECKS: tuple[Callable[[Check], None], ...] = (
    check_nodes,
    check_kernel,
    check_networks,
    check_routers,
    check_instances,
    check_placed,
    check_addresses,
    check_services,
    check_pending,
)


def validate(check: Check) -> list[str]:
    """Run all checks and return the warnings. The problems are in ``check.problems``."""
    for run in CHECKS:
        run(check)
    return check.warnings
