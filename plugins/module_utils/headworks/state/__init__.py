"""The node state: frozen records, one file per section, and their codec. Standard library only.

The plan side writes these records and the node side reads them; nothing else is shared between the two. What does not
belong here: reading a node (``node/``), and deciding what a node gets (``wiring/``).
"""
