"""Driver ``openvswitch``: security groups as flows with connection tracking. **It does not enforce them yet.**

The driver inserts no stage into the pipeline, so whatever the mechanism's spoof guards let pass is switched, and the
plan warns that security groups are not acted on (``plan/check/pending.py``). Security groups will be stages here.
"""

from __future__ import annotations

from .unfiltered import Unfiltered


class OpenVSwitchFirewall(Unfiltered):
    """Guests are plugged into the switch directly, as flows filter there."""

    name = "openvswitch"
