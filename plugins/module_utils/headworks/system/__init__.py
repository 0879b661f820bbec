"""Thin helpers over the operating system: processes, files, netlink, systemd, OVSDB, nftables.

What does not belong here: what headworks wants of a node. These files know no network, no guest and no cloud.
"""
