"""Driver ``openvswitch``: security groups as flows with connection tracking. **It does not enforce them yet.**

The driver inserts no stage into the pipeline, so the mechanism switches all packets that pass its spoof guards, and
the plan warns that security groups are not enforced (``plan/check/pending.py``). Security groups will be stages here.
"""

from __future__ import annotations

from .unfiltered import Unfiltered


class OpenVSwitchFirewall(Unfiltered):
    """Connects guests to the switch directly, as flows will filter there."""

    name = "openvswitch"
