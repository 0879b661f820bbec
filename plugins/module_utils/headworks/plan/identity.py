"""Who is who: ids that follow from names, MACs that follow from ids, and the order in which people count."""

from __future__ import annotations

import re
from collections.abc import Container
from hashlib import sha256
from uuid import UUID, uuid5

# The namespace of every id: changing it would change every id of every cloud.
_NAMESPACE = UUID("68656164-776f-726b-7300-000000000000")
_DIGITS = re.compile(r"(\d+)")


def object_id(cloud: str, kind: str, name: str) -> str:
    """The UUIDv5 of an object. ``kind`` is network, subnet, router, port, instance or floating_ip."""
    return str(uuid5(_NAMESPACE, f"{cloud}/{kind}/{name}"))


def derived_mac(port_id: str, taken: Container[str]) -> str:
    """A MAC of Neutron's range for a port: always the same, unless ``taken``; then the next one that also follows
    from the id."""
    digest = sha256(port_id.encode()).digest()
    while True:
        for start in range(0, 30, 3):
            mac = f"fa:16:3e:{digest[start]:02x}:{digest[start + 1]:02x}:{digest[start + 2]:02x}"
            if mac not in taken:
                return mac
        digest = sha256(digest).digest()


def natural(name: str) -> tuple[tuple[int, int, str], ...]:
    """A sort key that puts web2 before web10."""
    return tuple((0, int(one), one) if one.isdecimal() else (1, 0, one) for one in _DIGITS.split(name) if one)
