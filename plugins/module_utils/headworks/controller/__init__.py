"""Subsystems that only the controller has: the image store."""
