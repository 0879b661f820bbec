"""Metadata of instances: the trees, nginx that serves them, haproxy in front."""
