"""The firewall drivers that there are, by the value of ``cloud_firewall_driver``.

The plan refuses the values that are missing here: ``AVAILABLE`` in ``wiring/documents.py`` tells it.
"""

from __future__ import annotations

from ...plan.cloud import Cloud
from ..errors import WiringError
from .interface import FirewallDriver
from .none import NoFirewall
from .openvswitch import OpenVSwitchFirewall

FIREWALLS: dict[str, FirewallDriver] = {driver.name: driver for driver in (OpenVSwitchFirewall(), NoFirewall())}


def firewall_of(cloud: Cloud) -> FirewallDriver:
    """The driver that the cloud uses.

    :raises WiringError: there is no such driver.
    """
    driver = FIREWALLS.get(cloud.firewall_driver)
    if driver is None:
        known = ", ".join(sorted(FIREWALLS))
        raise WiringError(f"cloud_firewall_driver: {cloud.firewall_driver!r}: must be one of {known}")
    return driver
