"""The subsystems of a node: one folder for each area. All subsystems have the shape that ``subsystem.py`` declares.

What does not belong here: the order of the subsystems and the walk through them (``engine/``), and helpers that know
nothing of a cloud (``system/``).
"""
