"""Mechanisms: how a node switches and how networks get from node to node. A package for each."""
