"""Mechanism openvswitch: br-int, br-tun and the provider bridges."""
