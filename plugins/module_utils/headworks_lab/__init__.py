"""The lab: systemd containers that stand for machines, so that a whole cloud fits on one machine.

The lab is for developers, the demo and the tests. This package does not import headworks, and headworks does not import
this package.
"""
