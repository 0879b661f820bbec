"""A bridge whose NIC has no addresses does not make the node a member of the NIC's network.

The bridge's device must be up. By default, the kernel would then give it a link-local address, by which guests and
others on a provider network reach the services of the node, and addresses and a default route from any router that
advertises them. What does not belong here: a NIC with addresses, whose settings the bridge gets (``advertised.py``).
"""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

from ...system import rtnl

CONF = Path("/proc/sys/net/ipv6/conf")
# addr_gen_mode 1 is "none". IPv6 itself stays on, so that an operator can add an address to the bridge.
APART = {"addr_gen_mode": "1", "accept_ra": "0"}


def keep_apart(bridge: str) -> None:
    """Keep IPv6 of the kernel from configuring ``bridge``, if nobody has brought the device up."""
    device = rtnl.links([bridge]).get(bridge)
    if device is None or device.up:
        return
    for name, value in APART.items():
        with suppress(OSError):  # a kernel that was started without IPv6
            (CONF / bridge / name).write_text(value)
