"""The node state of each node: pure functions that turn the resolved cloud into records, one file for each concern.

``documents.py`` puts the records together. What does not belong here: decisions (``plan/``), and applying the records
on a node (``node/``).
"""
