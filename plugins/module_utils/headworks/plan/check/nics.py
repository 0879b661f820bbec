"""Checks of the NICs that go into bridges: they must exist, and nothing else may use or configure them.

What does not belong here: the bridges, and which NIC has the tunnel address (``nodes.py``).
"""

from __future__ import annotations

from ..facts import NicFacts, NodeFacts
from .context import Check

# The programs of node/host/facts.py (``manager``) that would take the addresses back from the bridge.
_REFUSED = {"networkmanager": "NetworkManager", "dhcpcd": "dhcpcd", "connman": "connman"}
_SHARES_MAC = {"vlan", "macvlan", "ipvlan", "macvtap"}  # kinds of devices that may have the MAC of their parent


def check_nic(check: Check, node: str, key: str, nic: str) -> None:
    """Check a NIC that is mapped to a bridge.

    A NIC that is missing, but that an earlier run found, is broken hardware: the run goes on without it, and the node
    reports it as failed.
    """
    facts = check.facts.get(node)
    if facts is None:
        return
    if nic in facts.nics:
        _usable(check, facts, node, key, nic)
        return
    before = check.before.facts.get(node)
    known = before.nics.get(nic) if before else None
    if known is None:
        names = ", ".join(sorted(facts.nics)) or "none"
        check.refuse(key, nic, f"{node} has no NIC of this name (NICs: {names})")
        return
    renamed = _with_mac(facts, known.mac)
    if renamed:
        rule = f"{node} calls this NIC {renamed} now (MAC {known.mac}); write {renamed} instead of {nic}"
        check.refuse(key, nic, rule)
    else:
        check.warnings.append(
            f"{key}: {nic!r}: is missing on {node}, which had it in earlier runs (MAC {known.mac or 'unknown'}); the "
            "run goes on without it and fails at the end"
        )


def check_moved_nic(check: Check, node: str, key: str, nic: str) -> None:
    """Check that the system leaves a NIC alone that goes into a bridge of headworks."""
    facts = check.facts.get(node)
    program = _REFUSED.get(facts.nics[nic].manager) if facts and nic in facts.nics else None
    if program:
        check.refuse(
            key, nic,
            f"{program} configures this NIC on {node}, and would take its addresses back from the bridge; let "
            "systemd-networkd, netplan with networkd, or ifupdown configure it",
        )


def _usable(check: Check, facts: NodeFacts, node: str, key: str, nic: str) -> None:
    found = facts.nics[nic]
    check_moved_nic(check, node, key, nic)
    if found.kind == "wireless":
        check.refuse(key, nic, "is a wireless NIC, which cannot send the packets of others")
    if found.master:
        bond = found.master in facts.nics and facts.nics[found.master].kind == "bond"
        rule = f"is a member of bond {found.master}; map {found.master}" if bond else (
            f"is in {found.master} of the node's own configuration; take it out of there, or map another NIC"
        )
        check.refuse(key, nic, rule)
    if check.inventory.nodes[node].model.datapath_type == "netdev":
        for name, child in sorted(facts.nics.items()):
            # With the kernel's datapath, a VLAN gets its packets before the bridge.
            if child.lower == nic and child.addresses:
                addresses = " ".join(child.addresses)
                check.refuse(
                    key, nic,
                    f"is the parent of VLAN {name} with {addresses}, which gets no packets if its parent is in a "
                    "bridge with node_datapath_type netdev; map another NIC, or use node_datapath_type system",
                )


def _with_mac(facts: NodeFacts, mac: str) -> str:
    """The name of the NIC that has the MAC from its hardware, or ""."""
    return next((name for name, nic in sorted(facts.nics.items()) if mac and _own_mac(nic) == mac), "")


def _own_mac(nic: NicFacts) -> str:
    return "" if nic.kind in _SHARES_MAC else nic.permanent_mac or nic.mac
