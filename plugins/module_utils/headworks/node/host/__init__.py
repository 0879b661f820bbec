"""The node itself: its facts, its packages and its services."""
