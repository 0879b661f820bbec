"""Firewall drivers: how security groups are enforced, and how a guest is connected to the switch. A file for each."""
