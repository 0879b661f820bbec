"""A router's namespace from its node state, by plain ip, sysctl and nft, between Linux bridges in one namespace that
stands for all the switching. Guests and the outside are namespaces. Independent of the engine."""

from __future__ import annotations

import socket
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from headworks.system.netns import in_netns


def run(*words: str, text: str | None = None) -> str:
    """Run a command; its output, or an error with what it said."""
    done = subprocess.run(words, input=text, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{' '.join(words)}: {done.stderr}"
    return done.stdout


def nft_text(table: Mapping[str, Any]) -> str:
    """A table record as an nft file."""
    lines = [f"table {table.get('family', 'ip')} headworks {{"]
    for one in table.get("maps", ()):
        elements = ", ".join(f"{key} : {value}" if value else key for key, value in one.get("elements", {}).items())
        content = f"elements = {{ {elements} }};" if elements else ""
        keyword = "map" if ":" in one["type"] else "set"
        kind = one["type"] if one["type"].startswith("typeof ") else f"type {one['type']}"
        lines.append(f"{keyword} {one['name']} {{ {kind}; {content} }}")
    for chain in table.get("chains", ()):
        lines += [f"chain {chain['name']} {{", chain.get("hook", ""), *chain["rules"], "}"]
    return "\n".join([*lines, "}\n"])


class RouterLab:
    """The first router of a node state document, with a bridge per network that it is on."""

    def __init__(self, state: Mapping[str, Any], prefix: str) -> None:
        self.prefix = prefix
        sections = state["sections"]
        self.table = next(one for one in sections["nft"] if one["name"])
        self.netns = self.table["name"]
        self.config = next(one for one in sections["l3"] if one["name"] == self.netns)
        self.links = [one for one in sections["links"] if one.get("peer_netns") == self.netns]
        self.networks = {one["name"]: one["tag"] for one in sections["ovs_ports"] if one.get("tag")}
        self.switch = f"{prefix}-switch"
        self.hosts: list[str] = []

    def up(self) -> None:
        """Make the router."""
        self.down()
        for name in (self.netns, self.switch):
            run("ip", "netns", "add", name)
            run("ip", "-n", name, "link", "set", "lo", "up")
        for tag in sorted({self.networks[link["name"]] for link in self.links}):
            run("ip", "-n", self.switch, "link", "add", f"br{tag}", "up", "type", "bridge")
        for link in self.links:
            words = ["type", "veth", "peer", "name", link["peer"], "netns", self.netns, "address", link["peer_mac"]]
            run("ip", "-n", self.switch, "link", "add", link["name"], "up", "master", self._bridge(link), *words)
        for device in self.config["devices"]:
            for address in device["addresses"]:
                run("ip", "-n", self.netns, "addr", "add", address, "dev", device["name"])
            run("ip", "-n", self.netns, "link", "set", device["name"], "up")
        for route in self.config["routes"]:
            run(
                "ip",
                "-n",
                self.netns,
                "route",
                "add",
                route["destination"],
                "via",
                route["via"],
                "dev",
                route["device"],
            )
        with in_netns(self.netns):
            for key, value in self.config["sysctls"].items():
                Path("/proc/sys/net", key).write_text(value)
        run("ip", "netns", "exec", self.netns, "nft", "-f", "-", text=nft_text(self.table))

    def host(self, name: str, tag: int, address: str, gateway: str = "") -> str:
        """A guest (or the outside) on the network with local VLAN ``tag``; returns its namespace."""
        netns = f"{self.prefix}-{name}"
        self.hosts.append(netns)
        subprocess.run(["ip", "netns", "del", netns], capture_output=True, check=False)
        run("ip", "netns", "add", netns)
        run("ip", "-n", netns, "link", "set", "lo", "up")
        peer = ["type", "veth", "peer", "name", "eth0", "netns", netns]
        run("ip", "-n", self.switch, "link", "add", name, "up", "master", f"br{tag}", *peer)
        run("ip", "-n", netns, "addr", "add", address, "dev", "eth0")
        run("ip", "-n", netns, "link", "set", "eth0", "up")
        if gateway:
            run("ip", "-n", netns, "route", "add", "default", "via", gateway)
        return netns

    def down(self) -> None:
        """Remove everything, whether it is there or not."""
        for name in (self.netns, self.switch, *self.hosts):
            subprocess.run(["ip", "netns", "del", name], capture_output=True, check=False)
        self.hosts.clear()

    def _bridge(self, link: Mapping[str, Any]) -> str:
        return f"br{self.networks[link['name']]}"


def peer_seen(client: str, target: str, server: str, bind: str = "", port: int = 8080, seconds: float = 3.0) -> str:
    """Connect from namespace ``client`` to ``target`` by TCP, where namespace ``server`` listens (at ``bind``, or any
    address); the source address that the server sees. Data goes both ways before that counts.

    :raises TimeoutError: the connection was not made within ``seconds``.
    """
    with in_netns(server):
        listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((bind, port))
        listener.listen()
        listener.settimeout(seconds)
    with in_netns(client):
        caller = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    caller.settimeout(seconds)
    with listener, caller:
        caller.connect((target, port))
        answerer, (address, _) = listener.accept()
        with answerer:
            caller.sendall(b"question")
            assert answerer.recv(100) == b"question"
            answerer.sendall(b"answer")
            assert caller.recv(100) == b"answer"
        return str(address)
