"""What each node is told, one file per concern: pure functions of a ``NodeView``, called by ``plan/wire.py``."""
