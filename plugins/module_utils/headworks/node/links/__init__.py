"""Subsystems of network namespaces and of links of the root namespace."""
