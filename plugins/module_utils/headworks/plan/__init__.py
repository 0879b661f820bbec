"""Decide everything that an inventory leaves open: (inventory, allocations, facts) → the resolved cloud.

Pure: no I/O, no clock, no randomness. What does not belong here: node states, which ``wiring/`` makes from the resolved
cloud, and reading files, which is in ``control/``.
"""
