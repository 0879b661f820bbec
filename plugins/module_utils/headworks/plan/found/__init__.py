"""What the nodes hold, and what the plan makes of it: older plans are refused, allocations are healed or rebuilt, and
removals are listed.

What does not belong here: reading a node (``library/node_facts.py``), and enforcing the list of removals on it
(``engine/converge.py``).
"""
