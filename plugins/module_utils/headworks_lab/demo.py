"""The report at the end of the demo: the cloud as a table, and the proofs. Pure.

What does not belong here: printing the report (``plugins/action/demo_report.py``).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Proof:
    """A claim about the cloud: whether it holds (``ok``), and the evidence (``shown``)."""

    name: str
    ok: bool
    shown: str = ""


def proofs_of(answers: Iterable[Mapping[str, Any]]) -> list[Proof]:
    """Proofs from the answers of module guest_command."""
    return [
        Proof(answer["name"], bool(answer["ok"]), answer["shown"] if answer["ok"] else _failure(answer))
        for answer in answers
    ]


def lease_proofs(summary: Mapping[str, Any], leases: str) -> list[Proof]:
    """A proof for each address of each guest: dnsmasq leased it to the guest's MAC.

    :param leases: the lines of dnsmasq's lease files: ``<expiry> <mac> <address> <name> <client id>``.
    """
    leased = {tuple(line.split()[1:3]): line for line in leases.splitlines() if len(line.split()) >= 4}
    proofs = []
    for name, instance in summary["instances"].items():
        for nic in instance["nics"]:
            for address in nic["addresses"]:
                line = leased.get((nic["mac"], address))
                proofs.append(
                    Proof(f"{name} has its address by DHCP", line is not None, line or f"no lease of {address}")
                )
    return proofs


def state_proofs(summary: Mapping[str, Any], states: Mapping[str, str]) -> list[Proof]:
    """A proof for each guest: it is in its declared state.

    :param states: the state of each guest, by name, as libvirt reports it.
    """
    proofs = []
    for name, instance in summary["instances"].items():
        state, where = instance["state"], f"{instance['domain']} on {instance['node']}"
        proofs.append(Proof(f"{name} is {state}", states.get(name) == state, where))
    return proofs


def cloud_lines(summary: Mapping[str, Any], states: Mapping[str, str]) -> list[str]:
    """The cloud as the lines of a table: nodes, networks, routers, floating IPs and guests."""
    rows: list[tuple[str, ...]] = []
    for name, node in summary["nodes"].items():
        rows.append(("node", name, ", ".join(node["roles"]), node["management_ip"], f"tunnels at {node['tunnel_ip']}"))
    for name, network in summary["networks"].items():
        number = f" {network['segmentation_id']}" if network["segmentation_id"] is not None else ""
        subnets = ", ".join(network["subnets"])
        rows.append(("network", name, f"{network['type']}{number}", subnets, f"mtu {network['mtu']}"))
    for name, router in summary["routers"].items():
        outside = f"{router['external_network']} {', '.join(router['external_ips'])}".strip()
        rows.append(("router", name, f"on {router['node']}", ", ".join(router["networks"]), f"outside: {outside}"))
    for address, floating in summary["floating_ips"].items():
        rows.append(("floating IP", address, f"to {floating['instance']}", floating["fixed"], ""))
    for name, guest in summary["instances"].items():
        addresses = [address for nic in guest["nics"] for address in nic["addresses"]] + guest["floating_ips"]
        rows.append(("guest", name, f"on {guest['node']}", ", ".join(addresses), states.get(name, "not found")))
    return table(rows)


def proof_lines(proofs: Sequence[Proof]) -> list[tuple[bool, str]]:
    """(whether the proof holds, its line) of each proof."""
    width = max((len(proof.name) for proof in proofs), default=0)
    return [
        (proof.ok, f"{'ok  ' if proof.ok else 'FAIL'}  {proof.name:{width}}  {proof.shown}".rstrip())
        for proof in proofs
    ]


def table(rows: Sequence[Sequence[str]]) -> list[str]:
    """The rows as lines with aligned columns."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return ["  ".join(f"{cell:{width}}" for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]


def _failure(answer: Mapping[str, Any]) -> str:
    output = " / ".join(f"{answer['stdout']}\n{answer['stderr']}".split("\n")).strip(" /")
    return f"exit {answer['rc']}: {output[-200:]}"
