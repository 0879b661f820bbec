"""The control side around the plan: inventory variables, image files, the allocations file, node states in transfer.

What does not belong here: the plan itself, which is pure (``plan/``), and Ansible's interfaces (``plugins/action``).
"""
