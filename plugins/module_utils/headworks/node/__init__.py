"""Converge a node to its state: a file per subsystem, all of the shape in ``subsystem.py``, ordered in ``order.py``."""
