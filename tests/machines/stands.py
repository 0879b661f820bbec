"""Namespaces that stand on the ports of guests that are off, and what the tests send through them.

What does not belong here: the machines (``machine_lab.py``), and the expectations (``test_*.py``).
"""

from __future__ import annotations

import ipaddress
import json
import shlex
import socket
import struct
import subprocess
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from machine_lab import MachineLab
from real_nodes import eventually

ON_NODE = Path(__file__).parent / "on_node"
REMOTE = "/var/tmp/machine-tests"


@dataclass(frozen=True)
class Place:
    """A namespace on a machine, with an address on a network of the cloud."""

    lab: MachineLab
    machine: str
    namespace: str
    device: str
    address: str
    mac: str

    @property
    def prefix(self) -> list[str]:
        """What begins a command that runs here."""
        return ["ip", "netns", "exec", self.namespace]

    def run(self, *argv: str, check: bool = True, timeout: float = 120) -> str:
        """Run a command here."""
        return self.lab.ssh(self.machine, *self.prefix, *argv, check=check, timeout=timeout)

    def script(self, name: str, *arguments: str) -> subprocess.Popen[str]:
        """Start a script of ``on_node`` here."""
        command = shlex.join([*self.prefix, "python3", f"{REMOTE}/{name}", *arguments])
        return subprocess.Popen(
            [*self.lab.ssh_command(self.machine), command],
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        )  # fmt: skip

    def answers(self, address: str, size: int = 56, tries: int = 3) -> bool:
        """Whether a ping of this payload, not to be fragmented, is answered."""
        ping = ("ping", "-n", "-c", "1", "-W", "5", "-M", "do", "-s", str(size), address)
        return any(" 0% packet loss" in self.run(*ping, check=False) for _ in range(tries))


# A function that returns the namespace in place of a guest on a network.
Standing = Callable[[str, str], Place]


def result(process: subprocess.Popen[str], timeout: float = 300) -> str:
    """The output of a script that has ended well."""
    output, _ = process.communicate(timeout=timeout)
    assert process.returncode == 0, output
    return output


def install(lab: MachineLab, machines: tuple[str, ...]) -> None:
    """Put the scripts of ``on_node`` onto the machines."""
    for machine in machines:
        for script in ON_NODE.glob("*.py"):
            lab.put(machine, f"{REMOTE}/{script.name}", script.read_text())


def stand(lab: MachineLab, summary: Mapping[str, Any], guest: str, network: str) -> Place:
    """A namespace in place of a guest, on its port on a network."""
    place, program = port_of(lab, summary, guest, network)
    unit = f"stand-{guest}-{network}"
    lab.ssh(place.machine, f"systemctl stop {unit} 2>/dev/null; systemctl reset-failed {unit} 2>/dev/null; true")
    lab.ssh(place.machine, "systemd-run", f"--unit={unit}", "--property=Restart=on-failure", *program)
    eventually(lambda: "default" in place.run("ip", "route", check=False), f"{place.namespace} stands", 60, 1.0)
    return place


def port_of(lab: MachineLab, summary: Mapping[str, Any], guest: str, network: str) -> tuple[Place, list[str]]:
    """The place in front of a guest's port on a network, and the program that makes it."""
    instance, about = summary["instances"][guest], summary["networks"][network]
    nic = next(nic for nic in instance["nics"] if nic["network"] == network)
    subnet = ipaddress.ip_network(about["subnets"][0])
    address, namespace = nic["addresses"][0], f"{guest}-{network}"
    settings = [nic["mac"], f"{address}/{subnet.prefixlen}", str(about["mtu"]), str(subnet[1])]
    program = ["/usr/bin/python3", f"{REMOTE}/guest_port.py", namespace, nic["tap"], *settings]
    return Place(lab, instance["node"], namespace, "eth0", address, nic["mac"]), program


def dhcp_place(lab: MachineLab, summary: Mapping[str, Any], machine: str, network: str) -> Place:
    """The DHCP namespace of a network on a machine."""
    namespace = f"qdhcp-{summary['networks'][network]['id']}"
    subnet = ipaddress.ip_network(summary["networks"][network]["subnets"][0])
    links = json.loads(lab.ssh(machine, "ip", "-n", namespace, "-json", "address"))
    for link in links:
        for info in link["addr_info"]:
            if info["family"] == "inet" and ipaddress.ip_address(info["local"]) in subnet:
                return Place(lab, machine, namespace, link["ifname"], info["local"], link["address"])
    raise AssertionError(f"{machine}: {namespace} has no address in {subnet}: {links}")


def transfer(sender: Place, receiver: Place, megabytes: int, port: int = 7001) -> float:
    """Send data by TCP, compare its digest at both ends, and return the Mbit/s."""
    receiving = receiver.script("stream.py", "receive", receiver.address, str(port))
    assert receiving.stdout is not None
    assert receiving.stdout.readline().strip() == "ready"
    began = time.monotonic()
    sent = result(sender.script("stream.py", "send", receiver.address, str(port), str(megabytes)))
    assert result(receiving).strip() == sent.strip()
    return megabytes * 8.4 / (time.monotonic() - began)


def counted(sender: Place, victim: Place, frames: Mapping[str, bytes], times: int = 5) -> dict[str, int]:
    """Send each frame ``times`` times, and return how many of each, by the mark in it, arrive at ``victim``."""
    counting = victim.script("frames.py", "count", victim.device, "25", *frames)
    assert counting.stdout is not None
    assert counting.stdout.readline().strip() == "ready"
    hexes = [frame.hex() for frame in frames.values()]
    assert "sent" in result(sender.script("frames.py", "send", sender.device, str(times), *hexes))
    seen: dict[str, int] = json.loads(result(counting))
    return seen


def udp(source_mac: str, target: Place, source: str, mark: str, vlan: int | None = None) -> bytes:
    """A frame with a UDP packet whose payload is ``mark``."""
    payload = mark.encode().ljust(24, b".")
    header = struct.pack(
        "!BBHHHBBH4s4s", 0x45, 0, 28 + len(payload), 1, 0, 64, 17, 0,
        socket.inet_aton(source), socket.inet_aton(target.address),
    )  # fmt: skip
    header = header[:10] + struct.pack("!H", _checksum(header)) + header[12:]
    packet = header + struct.pack("!HHHH", 9999, 9999, 8 + len(payload), 0) + payload
    tag = struct.pack("!HH", 0x8100, vlan) if vlan is not None else b""
    return _mac(target.mac) + _mac(source_mac) + tag + b"\x08\x00" + packet


def arp(source_mac: str, target: Place, claimed: str, mark: str) -> bytes:
    """A frame in which ``source_mac`` tells ``target`` that it has the address ``claimed``; ``mark`` is its padding."""
    body = struct.pack("!HHBBH", 1, 0x0800, 6, 4, 2) + _mac(source_mac) + socket.inet_aton(claimed)
    body += _mac(target.mac) + socket.inet_aton(target.address)
    return _mac(target.mac) + _mac(source_mac) + b"\x08\x06" + body + mark.encode().ljust(18, b".")


def _mac(text: str) -> bytes:
    return bytes.fromhex(text.replace(":", ""))


def _checksum(data: bytes) -> int:
    total = sum(struct.unpack(f"!{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF
