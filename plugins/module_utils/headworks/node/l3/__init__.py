"""Addresses, routes and sysctls inside namespaces."""
