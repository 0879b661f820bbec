"""Sections ``metadata`` and ``metadata_proxies``: the metadata that guests read, and the proxies that they ask."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import ClassVar

METADATA_ADDRESS = "169.254.169.254"

# Regular expressions for all checks of these values. A value that matches does not lead out of the directory of the
# trees, and does not end a word in the configuration of haproxy or nginx.
NETWORK_ID = "[A-Za-z0-9][A-Za-z0-9_-]*"
ADDRESS = "[0-9a-f][0-9a-f.:]*"


@dataclass(frozen=True)
class ServedNetwork:
    """A network that a proxy serves: requests from ``cidr`` come from guests of network ``network_id``."""

    network_id: str
    cidr: str


@dataclass(frozen=True)
class MetadataProxy:
    """A haproxy on 169.254.169.254:80 inside namespace ``name`` (section ``l3`` configures the address itself).

    ``name`` ``host`` is the root namespace. ``problems`` is set only when a node is read: it lists where the proxy
    differs from its record.
    """

    name: str
    networks: tuple[ServedNetwork, ...] = ()
    problems: tuple[str, ...] = ()
    nested: ClassVar[Mapping[str, type]] = {"networks": ServedNetwork}


@dataclass(frozen=True)
class InstanceMetadata:
    """The metadata that an instance reads from one of its addresses.

    ``files`` maps a path without leading slash (``latest/meta-data/hostname``) to its content. Directory listings are
    made from the paths; a path that ends in ``/`` holds the listing of that directory instead. ``links`` maps a
    directory to the directory that it equals (``latest`` → ``2009-04-04``). ``digest`` is set only when a node is read,
    instead of the files: it tells which tree the node serves ("": no tree).
    """

    network_id: str
    address: str
    instance_id: str
    files: Mapping[str, str] = field(default_factory=dict)
    links: Mapping[str, str] = field(default_factory=dict)
    digest: str = ""

    @property
    def name(self) -> str:
        """``<network id>/<address>``: the metadata server finds the tree by it."""
        return f"{self.network_id}/{self.address}"
