"""The rules that drop traffic between the node's own kernel and guests' links."""

from __future__ import annotations

from clouds import s1_cloud
from states import sections


def rules(datapath: str) -> dict[str, dict[str, list[str]]]:
    """Family → chain → rules of the root namespace's tables."""
    tables = [table for table in sections(s1_cloud(datapath), "compute1")["nft"] if table["name"] == ""]
    return {table["family"]: {chain["name"]: chain["rules"] for chain in table["chains"]} for table in tables}


def test_userspace_node_drops_packets_from_and_to_guests() -> None:
    assert rules("netdev") == {
        "inet": {"output": ["oifgroup 26743 drop"], "prerouting": ["iifgroup 26743 drop"]},
        "arp": {"output": ["oifgroup 26743 drop"], "input": ["iifgroup 26743 drop"]},
    }


def test_kernel_node_drops_only_packets_to_guests() -> None:
    assert rules("system") == {"inet": {"output": ["oifgroup 26743 drop"]}, "arp": {"output": ["oifgroup 26743 drop"]}}
