"""headworks: a private cloud compiled from an Ansible inventory and converged node by node.

``model`` and ``plan`` run on the control side only (they use pydantic); ``node`` runs on the nodes with the standard
library and Debian's ``python3-libvirt`` alone; ``view`` turns state into text and pictures.
"""
