"""The implemented mechanisms, by the value of ``cloud_l2_mechanism``.

The plan refuses values that are missing here: it reads them from ``AVAILABLE`` in ``wiring/documents.py``.
"""

from __future__ import annotations

from ...plan.cloud import Cloud
from ..errors import WiringError
from .interface import Mechanism
from .openvswitch.mechanism import OpenVSwitch

MECHANISMS: dict[str, Mechanism] = {mechanism.name: mechanism for mechanism in (OpenVSwitch(),)}


def mechanism_of(cloud: Cloud) -> Mechanism:
    """Return the mechanism that the cloud uses.

    :raises WiringError: the mechanism does not exist.
    """
    mechanism = MECHANISMS.get(cloud.l2_mechanism)
    if mechanism is None:
        names = ", ".join(sorted(MECHANISMS))
        raise WiringError(f"cloud_l2_mechanism: {cloud.l2_mechanism!r}: must be one of {names}")
    return mechanism
