"""The mechanisms that there are, by the value of ``cloud_l2_mechanism``.

The plan refuses the values that are missing here: ``AVAILABLE`` in ``wiring/documents.py`` tells it.
"""

from __future__ import annotations

from ...plan.cloud import Cloud
from ..errors import WiringError
from .interface import Mechanism
from .openvswitch.mechanism import OpenVSwitch

MECHANISMS: dict[str, Mechanism] = {mechanism.name: mechanism for mechanism in (OpenVSwitch(),)}


def mechanism_of(cloud: Cloud) -> Mechanism:
    """The mechanism that the cloud uses.

    :raises WiringError: there is no such mechanism.
    """
    mechanism = MECHANISMS.get(cloud.l2_mechanism)
    if mechanism is None:
        known = ", ".join(sorted(MECHANISMS))
        raise WiringError(f"cloud_l2_mechanism: {cloud.l2_mechanism!r}: must be one of {known}")
    return mechanism
