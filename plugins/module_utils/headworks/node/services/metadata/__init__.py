"""Subsystems of instance metadata: the trees of files, the nginx that serves them, and the haproxy that guests ask."""
