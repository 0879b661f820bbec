"""Ids derived from names, MACs derived from ids, and the natural order of names (web2 before web10)."""

from __future__ import annotations

import re
from collections.abc import Container
from hashlib import sha1, sha256
from uuid import UUID

# The UUID namespace of all ids. A change here would change every id of every cloud.
_NAMESPACE = UUID("68656164-776f-726b-7300-000000000000").bytes
_DIGITS = re.compile(r"(\d+)")


def object_id(cloud: str, kind: str, name: str) -> str:
    """The UUIDv5 of an object. ``kind`` is network, subnet, router, port, instance or floating_ip."""
    # As uuid.uuid5, in a quarter of its time: a plan needs five ids for each instance.
    digest = bytearray(sha1(_NAMESPACE + f"{cloud}/{kind}/{name}".encode(), usedforsecurity=False).digest()[:16])
    digest[6] = digest[6] & 0x0F | 0x50
    digest[8] = digest[8] & 0x3F | 0x80
    text = digest.hex()
    return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"


def derived_mac(port_id: str, taken: Container[str]) -> str:
    """A MAC from Neutron's range for a port. It depends only on the port's id and on which MACs are ``taken``.

    If the first MAC derived from the id is taken, the result is the next derived MAC that is free.
    """
    digest = sha256(port_id.encode()).digest()
    while True:
        for start in range(0, 30, 3):
            mac = f"fa:16:3e:{digest[start]:02x}:{digest[start + 1]:02x}:{digest[start + 2]:02x}"
            if mac not in taken:
                return mac
        digest = sha256(digest).digest()


def natural(name: str) -> tuple[tuple[int, int, str], ...]:
    """A sort key that puts web2 before web10."""
    parts = filter(None, _DIGITS.split(name))
    return tuple((0, int(part), part) if part.isdecimal() else (1, 0, part) for part in parts)
