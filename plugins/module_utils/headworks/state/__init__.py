"""The node state: frozen records, one file per section, and their codec. Standard library only.

The plan side writes these records and the node side reads them. The two sides share nothing else. What does not belong
here: code that reads a node (``node/``), and code that decides what a node gets (``wiring/``).
"""
