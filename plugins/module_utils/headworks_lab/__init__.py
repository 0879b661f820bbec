"""The lab: systemd containers that stand for machines, so that a whole cloud fits on one.

It serves developers, the demo and the tests; nothing of the cloud itself knows it, and it knows nothing of the cloud.
"""
