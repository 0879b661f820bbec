"""The nftables table of a DHCP namespace: a guest speaks to the DHCP server only about itself.

A DHCP message names its client in the field chaddr, apart from the frame's source MAC. Spoof guards check only the
source MAC, so without this table a guest could give up or decline the leases of others. What does not belong here: the
DHCP service itself (``dhcp.py``).
"""

from __future__ import annotations

from ..state.nft import NftChain, NftMap, NftTable
from . import names
from .dhcp import dhcp_networks
from .node_view import NodeView
from .owners import owner_of

CLIENTS, RELAYS = "dhcp_clients", "dhcp_relays"
_CHADDR = "@th,288,48"  # 8 octets UDP header, 28 octets of the message before chaddr; 6 octets of a MAC


def dhcp_tables(view: NodeView) -> list[NftTable]:
    """Return the table of every DHCP namespace on the node.

    A message passes if source MAC and chaddr are the MAC of the same guest, or if it comes from a guest without port
    security, which may be a relay. Messages of unknown guests are dropped; the server would not answer them.
    """
    tables = []
    for (network, _), service in zip(view.dhcp, dhcp_networks(view), strict=True):
        macs = sorted({host.mac for host in service.hosts})
        relays = sorted(
            port.mac
            for port in view.index.ports_of_network[network.name]
            if owner_of(port).spoof_guards and not port.port_security
        )
        tables.append(
            NftTable(
                name=names.dhcp_netns(network),
                maps=(
                    NftMap(CLIENTS, f"typeof ether saddr . {_CHADDR}", {_client(mac): "" for mac in macs}),
                    NftMap(RELAYS, "ether_addr", dict.fromkeys(relays, "")),
                ),
                chains=(_input(),),
            )
        )
    return tables


def _client(mac: str) -> str:
    """Return the element for a guest: its MAC as source MAC, and as chaddr, which nft writes as a number."""
    return f"{mac} . {int(mac.replace(':', ''), 16):#x}"


def _input() -> NftChain:
    return NftChain(
        name="input",
        hook="type filter hook input priority filter; policy accept;",
        rules=(
            'iifname "lo" accept',  # headworks itself ends the leases of removed guests
            f"udp dport 67 ether saddr @{RELAYS} accept",
            f"udp dport 67 ether saddr . {_CHADDR} != @{CLIENTS} drop",
        ),
    )
