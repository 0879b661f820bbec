"""Converge a node to its state: one file per subsystem, all of the shape in ``subsystem.py``; the order is in ``order.py``."""
