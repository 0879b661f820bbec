"""Sections ``metadata`` and ``metadata_proxies``: what guests read, and who answers them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import ClassVar


@dataclass(frozen=True)
class ServedNetwork:
    """A network whose guests come through this proxy: requests from ``cidr`` belong to network ``network_id``."""

    network_id: str
    cidr: str


@dataclass(frozen=True)
class MetadataProxy:
    """haproxy on 169.254.169.254:80 inside namespace ``name`` (the address itself is put there by ``l3.py``).

    ``name`` ``host`` is the root namespace. ``problems`` is set only by reading: why the proxy is not as its own record
    says.
    """

    name: str
    networks: tuple[ServedNetwork, ...] = ()
    problems: tuple[str, ...] = ()
    nested: ClassVar[Mapping[str, type]] = {"networks": ServedNetwork}


@dataclass(frozen=True)
class InstanceMetadata:
    """What one instance may read at one of its addresses.

    ``files`` maps a path without leading slash (``latest/meta-data/hostname``) to its content; directory listings are
    made from it, except where a path that ends in ``/`` gives the listing of that directory. ``links`` maps a directory
    to the one that it equals (``latest`` → ``2009-04-04``). ``name`` is ``<network id>/<address>``. ``digest`` is set
    only by reading, instead of the files: which tree is served ("" = none).
    """

    network_id: str
    address: str
    instance_id: str
    files: Mapping[str, str] = field(default_factory=dict)
    links: Mapping[str, str] = field(default_factory=dict)
    digest: str = ""

    @property
    def name(self) -> str:
        """``<network id>/<address>``: where the tree is served."""
        return f"{self.network_id}/{self.address}"
