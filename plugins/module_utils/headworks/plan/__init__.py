"""Compile (inventory, allocations, facts) into one node state per node. Pure: no I/O, no clock, no randomness."""
