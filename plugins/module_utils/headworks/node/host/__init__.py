"""The node itself: what it has."""
