"""Mechanisms: how a node switches packets and how networks reach other nodes. A package for each."""
