"""Subsystem of addresses, routes and sysctls inside namespaces."""
