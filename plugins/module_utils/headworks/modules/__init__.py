"""What only the modules in ``library/`` share.

What does not belong here: anything that ``site.yml`` needs on a node (``engine/`` and ``node/``).
"""
