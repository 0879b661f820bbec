"""The one error of the wiring."""

from __future__ import annotations


class WiringError(ValueError):
    """The resolved cloud contradicts itself; the message names the variable, node, network or port and its value."""
