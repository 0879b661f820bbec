"""Subsystems for Open vSwitch bridges and ports, which are rows of OVSDB."""
