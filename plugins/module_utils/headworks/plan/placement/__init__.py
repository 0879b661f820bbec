"""Placement: which node each instance, router and DHCP service is on."""
