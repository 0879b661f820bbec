"""Which subsystems there are, and the order in which things are made on a node (and unmade, backwards).

A section of the node state (``{"sections": {"netns": […], …}}``) bears the name used here.
"""
