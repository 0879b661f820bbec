"""Firewall drivers: how security groups are enforced, and how a guest's port gets to the switch. One file for each."""
