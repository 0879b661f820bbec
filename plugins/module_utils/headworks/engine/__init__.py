"""Run the subsystems: the order, the walk, the doors, the restore at boot and the command line on a node.

What does not belong here: the subsystems themselves (``node/``).
"""
