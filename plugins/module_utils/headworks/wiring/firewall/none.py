"""Driver ``none``: the operator chose not to enforce security groups.

The mechanism's spoof guards do not depend on the driver: only a port without port security has no spoof guards.
"""

from __future__ import annotations

from .unfiltered import Unfiltered


class NoFirewall(Unfiltered):
    """Connects guests to the switch directly."""

    name = "none"
