"""Subsystems of daemons that serve guests: one folder for each service. ``daemons.py`` has what the services share."""
