"""The implemented firewall drivers, by the value of ``cloud_firewall_driver``.

The plan refuses values that are missing here: it reads them from ``AVAILABLE`` in ``wiring/documents.py``.
"""

from __future__ import annotations

from ...plan.cloud import Cloud
from ..errors import WiringError
from .interface import FirewallDriver
from .none import NoFirewall
from .openvswitch import OpenVSwitchFirewall

FIREWALLS: dict[str, FirewallDriver] = {driver.name: driver for driver in (OpenVSwitchFirewall(), NoFirewall())}


def firewall_of(cloud: Cloud) -> FirewallDriver:
    """Return the driver that the cloud uses.

    :raises WiringError: the driver does not exist.
    """
    driver = FIREWALLS.get(cloud.firewall_driver)
    if driver is None:
        names = ", ".join(sorted(FIREWALLS))
        raise WiringError(f"cloud_firewall_driver: {cloud.firewall_driver!r}: must be one of {names}")
    return driver
