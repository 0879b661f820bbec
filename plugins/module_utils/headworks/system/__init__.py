"""Thin helpers over the operating system: processes, files, netlink, systemd, OVSDB, nftables.

What does not belong here: the state that headworks configures on a node (``node/``). These files know nothing of
networks, guests and clouds.
"""
