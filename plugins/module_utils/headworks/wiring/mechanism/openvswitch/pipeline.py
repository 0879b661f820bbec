"""The tables of br-int: the stages of a packet and their order, with Neutron's table numbers (26 is ours).

    0 sort by port
      from a guest with spoof guards: 24 ARP, 25 MAC, 26 IP addresses, then the firewall driver's ``from_guest`` stages
    58 packet rate, 59 bandwidth (for meters), 60 transient; from here DHCP discovery goes to 61, and no further
      the firewall driver's ``to_guest`` stages
    and then the packet is switched (NORMAL)

The next stage is computed from this order; no flow has a fixed number of its next table. What does not belong here: the
flows of the stages (``flows_int.py``, ``wiring/firewall/``), and the tables of br-tun (``flows_tun.py``).
"""

from __future__ import annotations

from collections.abc import Sequence

from ...errors import WiringError
from ...firewall.interface import FirewallDriver, Stage
from . import names

SORT = Stage("sort", 0)
ARP_SPOOF = Stage("arp_spoof", 24)
MAC_SPOOF = Stage("mac_spoof", 25)
IP_SPOOF = Stage("ip_spoof", 26)
PACKET_RATE = Stage("packet_rate", 58)
BANDWIDTH = Stage("bandwidth", 59)
TRANSIENT = Stage("transient", 60)
# Packets do not go through this stage: by its one flow, Neutron's agents see whether Open vSwitch has lost its flows.
CANARY = Stage("canary", 23)

# DHCP discovery leaves br-int here, only towards DHCP servers. No other packet goes through this stage.
DISCOVERY = Stage("dhcp_discovery", 61)

SWITCH = "NORMAL"  # the action after the last stage


class Pipeline:
    """The stages of br-int, including the stages of a firewall driver."""

    bridge = names.BR_INT

    def __init__(self, firewall: FirewallDriver) -> None:
        """:raises WiringError: the driver uses a name or a table of another stage."""
        order = (
            SORT,
            ARP_SPOOF,
            MAC_SPOOF,
            IP_SPOOF,
            *firewall.from_guest,
            PACKET_RATE,
            BANDWIDTH,
            TRANSIENT,
            *firewall.to_guest,
        )
        _check_unique(firewall.name, (*order, CANARY, DISCOVERY))
        following = [*(self.to(stage) for stage in order[1:]), SWITCH]
        self._after = dict(zip(order, following, strict=True))

    @staticmethod
    def to(stage: Stage) -> str:
        """Return the action that sends a packet to ``stage``."""
        return f"resubmit(,{stage.table})"

    def after(self, stage: Stage) -> str:
        """Return the action that sends a packet from ``stage`` to the next stage; NORMAL after the last stage."""
        return self._after[stage]


def _check_unique(driver: str, stages: Sequence[Stage]) -> None:
    for values in ([stage.name for stage in stages], [f"table {stage.table}" for stage in stages]):
        taken = sorted({value for value in values if values.count(value) > 1})
        if taken:
            raise WiringError(f"cloud_firewall_driver: {driver!r}: {', '.join(taken)}: must belong to one stage only")
