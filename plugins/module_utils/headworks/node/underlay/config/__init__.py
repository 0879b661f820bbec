"""The system's own network configuration of a NIC that is in a bridge: at each boot the bridge gets the NIC's addresses
(static, DHCP or advertised) without headworks, and the NIC gets none.

``networkd.py`` does it for systemd-networkd (also below netplan), ``ifupdown.py`` for ifupdown. ``release.py`` gives
the NIC its own addresses while Open vSwitch does not run. Which program configures a NIC is read by
``system/net_managers.py``. What does not belong here: moving the addresses now (``node/underlay``).
"""

from __future__ import annotations

from ....system.net_managers import IFUPDOWN, NETPLAN, NETWORKD, REFUSED, manager_of
from ..carry import Carried
from . import ifupdown, networkd, release

__all__ = ["KEEPS_BRIDGE", "REFUSED", "delete", "is_written", "manager_of", "undo_commands", "write"]

# With these programs, a bridge that is created again gets its addresses at once.
KEEPS_BRIDGE = frozenset({NETWORKD, NETPLAN})


def is_written(nic: str, bridge: str) -> bool:
    """Return whether the bridge gets the NIC's addresses at boot. A NIC that no program configures needs nothing."""
    manager = manager_of(nic)
    if manager in KEEPS_BRIDGE:
        return networkd.is_written(nic, bridge) and release.is_written(nic)
    if manager == IFUPDOWN:
        return ifupdown.is_written(nic, bridge) and release.is_written(nic)
    return True


def write(nic: str, bridge: str, carried: Carried, vswitchd_service: str = release.VSWITCHD) -> list[str]:
    """Write the configuration that gives the NIC's addresses to the bridge at each boot. Returns notes.

    The NIC must be in the bridge already. Every file is complete on the disk before the next one is written. The first
    ones only add something, so a power cut in between leaves the NIC or the bridge with the addresses.

    :raises OSError, RuntimeError: a file cannot be read or written, or a program does not read it.
    """
    manager = manager_of(nic)
    if manager in KEEPS_BRIDGE:
        release.write(nic, networkd.release_commands(nic, bridge), networkd.take_commands(nic, bridge), bridge,
                      vswitchd_service)  # fmt: skip
        return networkd.write(nic, bridge, carried)
    if manager == IFUPDOWN:
        release.write(nic, ifupdown.release_commands(nic, bridge), ifupdown.take_commands(nic), bridge,
                      vswitchd_service)  # fmt: skip
        return ifupdown.write(nic, bridge)
    return [_unmanaged(nic, bridge, manager)] if carried.addresses else []


def delete(nic: str, bridge: str) -> list[str]:
    """Delete all that ``write`` wrote: the NIC has its own configuration again. Returns notes."""
    notes = networkd.delete(nic, bridge) + ifupdown.delete(nic, bridge)
    release.delete(nic)
    return notes


def undo_commands(nic: str, bridge: str) -> list[list[str]]:
    """Return commands that do what ``delete`` does, without headworks. Each works by itself."""
    return [*networkd.undo_commands(nic, bridge), *ifupdown.undo_commands(nic), *release.undo_commands(nic)]


def _unmanaged(nic: str, bridge: str, manager: str) -> str:
    if manager in REFUSED:
        return f"nic {nic}: {REFUSED[manager]} configures it, so {bridge} may lose its addresses at the next boot"
    return (
        f"nic {nic}: no program of the system configures it (systemd-networkd, netplan, ifupdown), so after a boot "
        f"{bridge} has no addresses until something sets them"
    )
