"""Whether an inventory fits together: one file per part of it, listed in ``everything.py``."""
