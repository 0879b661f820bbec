"""What the demo says at its end: the cloud on one screen, and what was proved. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Proof:
    """Something that was to be shown. ``shown`` is what was seen."""

    name: str
    ok: bool
    shown: str = ""


def proofs_of(answers: Iterable[Mapping[str, Any]]) -> list[Proof]:
    """Proofs from the answers of module guest_command."""
    return [Proof(one["name"], bool(one["ok"]), one["shown"] if one["ok"] else _failure(one)) for one in answers]


def lease_proofs(summary: Mapping[str, Any], leases: str) -> list[Proof]:
    """That every guest's address was leased by dnsmasq to its MAC.

    :param leases: the lines of dnsmasq's lease files: ``<expiry> <mac> <address> <name> <client id>``.
    """
    held = {tuple(line.split()[1:3]): line for line in leases.splitlines() if len(line.split()) >= 4}
    proofs = []
    for name, instance in summary["instances"].items():
        for nic in instance["nics"]:
            for address in nic["addresses"]:
                line = held.get((nic["mac"], address))
                proofs.append(
                    Proof(f"{name} has its address by DHCP", line is not None, line or f"no lease of {address}")
                )
    return proofs


def state_proofs(summary: Mapping[str, Any], states: Mapping[str, str]) -> list[Proof]:
    """That every guest is in the state that is declared.

    :param states: libvirt's word for each guest, by name.
    """
    return [
        Proof(f"{name} is {one['state']}", states.get(name) == one["state"], f"{one['domain']} on {one['node']}")
        for name, one in summary["instances"].items()
    ]


def cloud_lines(summary: Mapping[str, Any], states: Mapping[str, str]) -> list[str]:
    """The cloud as a table of a few lines."""
    rows: list[tuple[str, ...]] = []
    for name, one in summary["nodes"].items():
        rows.append(("node", name, ", ".join(one["roles"]), one["management_ip"], f"tunnels at {one['tunnel_ip']}"))
    for name, one in summary["networks"].items():
        kind = one["type"] + (f" {one['segmentation_id']}" if one["segmentation_id"] is not None else "")
        rows.append(("network", name, kind, ", ".join(one["subnets"]), f"mtu {one['mtu']}"))
    for name, one in summary["routers"].items():
        outside = f"{one['external_network']} {', '.join(one['external_ips'])}".strip()
        rows.append(("router", name, f"on {one['node']}", ", ".join(one["networks"]), f"outside: {outside}"))
    for address, one in summary["floating_ips"].items():
        rows.append(("floating IP", address, f"to {one['instance']}", one["fixed"], ""))
    for name, one in summary["instances"].items():
        addresses = [address for nic in one["nics"] for address in nic["addresses"]] + one["floating_ips"]
        rows.append(("guest", name, f"on {one['node']}", ", ".join(addresses), states.get(name, "not found")))
    return table(rows)


def proof_lines(proofs: Sequence[Proof]) -> list[tuple[bool, str]]:
    """(good, line) of each proof."""
    width = max((len(one.name) for one in proofs), default=0)
    return [(one.ok, f"{'ok  ' if one.ok else 'FAIL'}  {one.name:{width}}  {one.shown}".rstrip()) for one in proofs]


def table(rows: Sequence[Sequence[str]]) -> list[str]:
    """Rows as lines with aligned columns."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return ["  ".join(f"{cell:{width}}" for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]


def _failure(answer: Mapping[str, Any]) -> str:
    said = " / ".join(f"{answer['stdout']}\n{answer['stderr']}".split("\n")).strip(" /")
    return f"exit {answer['rc']}: {said[-200:]}"
