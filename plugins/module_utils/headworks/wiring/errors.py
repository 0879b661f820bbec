"""The error that the wiring raises."""

from __future__ import annotations


class WiringError(ValueError):
    """The resolved cloud contradicts itself. The message names the variable, node, network or port and its value."""
