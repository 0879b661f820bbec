"""Daemons that serve guests: one folder per service. ``daemons.py`` is what they share."""
