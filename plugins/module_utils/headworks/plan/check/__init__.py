"""Checks that the parts of an inventory fit together: one file for each part, listed in ``everything.py``."""
