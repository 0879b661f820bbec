"""Namespaces and links of the root namespace."""
