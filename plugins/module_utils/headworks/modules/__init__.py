"""Code that only the modules in ``library/`` use.

What does not belong here: anything that ``site.yml`` needs on a node (``engine/`` and ``node/``).
"""
