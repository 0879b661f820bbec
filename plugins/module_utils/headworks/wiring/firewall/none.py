"""Driver ``none``: security groups are not enforced, because the operator wants it so.

Spoof guards stay: they are the mechanism's, and a port is without them only when it has no port security.
"""

from __future__ import annotations

from .unfiltered import Unfiltered


class NoFirewall(Unfiltered):
    """Guests are plugged into the switch directly."""

    name = "none"
