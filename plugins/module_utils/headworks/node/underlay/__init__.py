"""Subsystem of physical NICs that are ports of OVS bridges."""
