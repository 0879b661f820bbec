"""One node's bridges and flows from its node state, by plain ovs-vsctl, ovs-ofctl and ip: independent of the engine.

Bridges and patch ports get names of their own, so that this can stand beside a node's real ones. Guests are veth pairs
into namespaces; tunnels and NICs are internal ports, on which a test sees what would leave the node.
"""

from __future__ import annotations

import re
import subprocess
from collections.abc import Mapping
from typing import Any

from frames import RawSocket


def run(*words: str, text: str | None = None) -> str:
    """Run a command; its output, or an error with what it said."""
    done = subprocess.run(words, input=text, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{' '.join(words)}: {done.stderr}"
    return done.stdout


GROUP = 26999  # not the engine's own, so that no other test's links are meant
OFCTL = ("ovs-ofctl", "-O", "OpenFlow14")


class OvsLab:
    """The bridges, ports, flows and guests of one node state document."""

    def __init__(self, state: Mapping[str, Any], prefix: str) -> None:
        self.prefix = prefix
        self.sections = state["sections"]
        self.bridges = [one["name"] for one in self.sections["ovs_bridges"] if one.get("fail_mode") != "standalone"]
        self._ours = {name: f"{prefix}-{name}"[:15] for name in self.bridges}
        for port in self.sections["ovs_ports"]:
            if port.get("type") == "patch":
                self._ours[port["name"]] = f"{prefix}-{port['name']}"[:15]
        self._sockets: dict[tuple[str, str], RawSocket] = {}
        self._numbers: dict[str, str] = {}

    def ours(self, name: str) -> str:
        """What ``name`` is called here."""
        return self._ours.get(name, name)

    def up(self) -> None:
        """Make everything."""
        self.down()
        for link in self.sections["links"]:
            self._link(link)
        words: list[str] = []
        for bridge in self.bridges:
            words += ["--", "add-br", self.ours(bridge), "--", "set", "bridge", self.ours(bridge)]
            words += ["datapath_type=netdev", "fail_mode=secure"]
        stand_ins = []
        for port in self.sections["ovs_ports"]:
            name, kind = self.ours(port["name"]), port.get("type", "")
            words += ["--", "add-port", self.ours(port["bridge"]), name]
            words += [f"tag={port['tag']}"] if port.get("tag") else []
            if kind == "patch":
                words += [
                    "--",
                    "set",
                    "interface",
                    name,
                    "type=patch",
                    f"options:peer={self.ours(port['options']['peer'])}",
                ]
            elif kind:
                stand_ins.append(name)
        for bridge in self.bridges:
            if bridge not in ("br-int", "br-tun"):
                name = self.nic(bridge)
                words += ["--", "add-port", self.ours(bridge), name]
                stand_ins.append(name)
        for name in stand_ins:
            words += ["--", "set", "interface", name, "type=internal"]
        run("ovs-vsctl", *words)
        for name in stand_ins:
            run("ip", "link", "set", name, "up")
        for bridge in self.bridges:
            self._flows(bridge)

    def nic(self, bridge: str) -> str:
        """The stand-in for a provider bridge's NIC."""
        return f"{self.prefix}-nic-{bridge[3:]}"[:15]

    def down(self) -> None:
        """Remove everything, whether it is there or not."""
        for one in self._sockets.values():
            one.close()
        self._sockets.clear()
        words = [word for bridge in self.bridges for word in ("--", "--if-exists", "del-br", self.ours(bridge))]
        run("ovs-vsctl", *words)
        for link in self.sections["links"]:
            subprocess.run(["ip", "link", "del", link["name"]], capture_output=True, check=False)
            subprocess.run(["ip", "netns", "del", self._home(link)[0]], capture_output=True, check=False)

    def socket(self, netns: str, device: str) -> RawSocket:
        """A raw socket, kept until ``down``; opened once, so that it sees everything from then on."""
        if (netns, device) not in self._sockets:
            self._sockets[netns, device] = RawSocket(netns, device)
        return self._sockets[netns, device]

    def guest(self, port_id: str) -> RawSocket:
        """The NIC of the guest whose port this is."""
        return self.socket(f"{self.prefix}-{port_id[:8]}", "eth0")

    def trace(self, bridge: str, flow: str, *options: str) -> str:
        """What the switch would do (with ``-generate``: does) with a packet; ``{name}`` in ``flow`` is a port."""
        return run("ovs-appctl", "ofproto/trace", self.ours(bridge), self._numbered(flow), *options)

    def outputs(self, bridge: str, flow: str) -> set[str]:
        """The names of the ports (of any bridge here) that a packet would finally leave by."""
        text = self.trace(bridge, flow).rsplit("Datapath actions:", 1)[1].strip()
        numbers = set(re.findall(r"(?:^|,)\s*(\d+)(?=,|$)", text))
        found = set()
        for line in run("ovs-appctl", "dpctl/show", "netdev@ovs-netdev").splitlines():
            match = re.match(r"\s+port (\d+): (\S+)", line)
            if match and match[1] in numbers:
                found.add(match[2])
        return found

    def flow_texts(self, bridge: str) -> str:
        """The flows of a bridge as ovs-ofctl reads them."""
        lines = []
        for one in self.sections["flows"]:
            if one["bridge"] == bridge:
                match = f",{one['match']}" if one["match"] else ""
                lines.append(f"table={one['table']},priority={one['priority']}{match},actions={one['actions']}\n")
        return self._numbered("".join(lines))

    def _flows(self, bridge: str) -> None:
        run(*OFCTL, "--bundle", "add-flows", self.ours(bridge), "-", text=self.flow_texts(bridge))

    def _numbered(self, text: str) -> str:
        for name in set(re.findall(r"\{([^}]+)\}", text)):
            if name not in self._numbers:
                self._numbers[name] = run("ovs-vsctl", "get", "interface", self.ours(name), "ofport").strip()
        return re.sub(r"\{([^}]+)\}", lambda found: self._numbers[found[1]], text)

    def _home(self, link: Mapping[str, Any]) -> tuple[str, str]:
        """(namespace, device) at the far end of a tap or veth; a guest's is called after its port."""
        if link["kind"] == "veth":
            return link["peer_netns"], link["peer"]
        return f"{self.prefix}-{link['name'][3:11]}", "eth0"

    def _link(self, link: Mapping[str, Any]) -> None:
        netns, device = self._home(link)
        if netns not in run("ip", "netns", "list").split():
            run("ip", "netns", "add", netns)
        port = next(one for one in self.sections["ovs_ports"] if one["name"] == link["name"])
        address = port["external_ids"]["attached-mac"]
        words = ["ip", "link", "add", link["name"], "type", "veth", "peer", "name", device, "netns", netns]
        run(*words, "address", address)
        run("ip", "link", "set", link["name"], "group", str(GROUP))
        for args in (["ip", "-n", netns, "link", "set", device, "up"], ["ip", "link", "set", link["name"], "up"]):
            run(*args)
        for where, name in ((netns, device), ("", link["name"])):
            run(*(["ip", "netns", "exec", where] if where else []), "ethtool", "-K", name, "tx", "off")
