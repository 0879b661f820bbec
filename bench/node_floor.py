"""The floor of bench/node_converge: the time in which the fastest raw tools create the same node state.

Nothing is read, compared, verified or stored. The tools' input is prepared before the clock starts, except the port
numbers, which must be read from the switch. The time of each tool is measured by itself.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from pathlib import Path
from tempfile import mkdtemp
from typing import Any

from headworks.node.l3 import ip_lines
from headworks.node.l3.namespaces import L3Subsystem
from headworks.node.links.links import LinkSubsystem
from headworks.node.nft import language
from headworks.node.nft.tables import NftSubsystem
from headworks.node.openflow.flows import FlowSubsystem
from headworks.node.openflow.syntax import write_ports
from headworks.node.ovs.bridges import OvsBridgeSubsystem
from headworks.node.ovs.ports import OvsPortSubsystem
from headworks.node.services.dhcp import files as dhcp_files
from headworks.node.services.dhcp.dnsmasq import DhcpSubsystem
from headworks.state.dhcp import DhcpNetwork
from headworks.state.l3 import NamespaceConfig
from headworks.state.links import Link
from headworks.state.nft import NftTable
from headworks.state.openflow import COOKIE, Flow
from headworks.state.ovs import OvsBridge, OvsPort
from headworks.system.netns import in_netns

GROUP = 4242  # the links' group, by which they are removed


class Floor:
    """The raw tools' work for a node state: ``put`` creates its objects, ``add`` adds a port, ``take`` removes all."""

    def __init__(self, state: Mapping[str, Any]) -> None:
        sections = state["sections"]
        self.namespaces = [namespace["name"] for namespace in sections["netns"]]
        self.links: list[Link] = list(LinkSubsystem.load(sections["links"]).values())
        self.bridges: list[OvsBridge] = list(OvsBridgeSubsystem.load(sections["ovs_bridges"]).values())
        self.ports: list[OvsPort] = list(OvsPortSubsystem.load(sections["ovs_ports"]).values())
        self.flows: list[Flow] = list(FlowSubsystem.load(sections["flows"]).values())
        self.tables: list[NftTable] = list(NftSubsystem.load(sections["nft"]).values())
        self.configs: list[NamespaceConfig] = list(L3Subsystem.load(sections["l3"]).values())
        self.networks: list[DhcpNetwork] = list(DhcpSubsystem.load(sections["dhcp"]).values())
        self.directory = Path(mkdtemp(prefix="bench-dnsmasq-"))

    def put(self) -> dict[str, float]:
        """Create all objects. Return the seconds by tool."""
        seconds = {}
        batch = _ip_lines(self.namespaces, self.links)
        inside = {
            config.name: "\n".join(ip_lines.lines_for(config, NamespaceConfig(config.name))) for config in self.configs
        }
        clock = time.monotonic()
        _run("ip", "-batch", "-", text=batch)
        for name, lines in inside.items():
            _run("ip", "-batch", "-", text=lines, netns=name)
        seconds["ip -batch"] = time.monotonic() - clock

        words = _vsctl_words(self.bridges, self.ports)
        clock = time.monotonic()
        _run("ovs-vsctl", *words)
        seconds["ovs-vsctl"] = time.monotonic() - clock

        clock = time.monotonic()
        numbers = _port_numbers()
        asked = time.monotonic() - clock
        texts = _flow_texts(self.flows, numbers)
        clock = time.monotonic()
        for bridge, text in texts.items():
            _run("ovs-ofctl", "-O", "OpenFlow14", "--bundle", "replace-flows", bridge, "-", text=text)
        seconds["ovs-ofctl replace-flows"] = asked + time.monotonic() - clock

        tables = [(table.name, language.transaction(None, table)) for table in self.tables]
        clock = time.monotonic()
        for netns, text in tables:
            _run("nft", "-f", "-", text=text, netns=netns)
        seconds["nft -f"] = time.monotonic() - clock

        self._write_dnsmasq(self.networks)
        clock = time.monotonic()
        for network in self.networks:
            _run("dnsmasq", f"--conf-file={self._config(network)}", netns=network.netns)
        seconds["dnsmasq"] = time.monotonic() - clock
        return seconds

    def add(self, more: Floor) -> float:
        """Create the objects that only ``more`` has (a port, with its flows and DHCP host). Return the seconds."""
        links = [link for link in more.links if link not in self.links]
        ports = [port for port in more.ports if port not in self.ports]
        flows = [flow for flow in more.flows if flow not in set(self.flows)]
        networks = [network for network in more.networks if network not in self.networks]
        self._write_dnsmasq(networks)
        batch, words = _ip_lines([], links), _vsctl_words([], ports)
        clock = time.monotonic()
        _run("ip", "-batch", "-", text=batch)
        _run("ovs-vsctl", *words)
        asked = time.monotonic() - clock
        texts = _flow_texts(flows, _port_numbers())
        clock = time.monotonic()
        for bridge, text in texts.items():
            _run("ovs-ofctl", "-O", "OpenFlow14", "--bundle", "add-flows", bridge, "-", text=text)
        for network in networks:
            os.kill(int((self._config(network).parent / "pid").read_text()), signal.SIGHUP)
        return asked + time.monotonic() - clock

    def take(self) -> None:
        """Remove all objects that ``put`` and ``add`` created."""
        for path in self.directory.glob("*/pid"):
            os.kill(int(path.read_text()), signal.SIGTERM)
        for table in self.tables:
            if not table.name:
                _run("nft", "delete", "table", table.family, "headworks")
        _run("ip", "-batch", "-", text="".join(f"netns delete {name}\n" for name in self.namespaces))
        _run("ovs-vsctl", *_joined([["--if-exists", "del-br", bridge.name] for bridge in self.bridges]))
        _run("ip", "link", "delete", "group", str(GROUP))
        shutil.rmtree(self.directory)
        self.directory.mkdir()

    def _config(self, network: DhcpNetwork) -> Path:
        return self.directory / network.name / dhcp_files.CONFIG

    def _write_dnsmasq(self, networks: Sequence[DhcpNetwork]) -> None:
        for network in networks:
            directory = self.directory / network.name
            directory.mkdir(exist_ok=True)
            for name, text in dhcp_files.render(network, directory, "dnsmasq").items():
                (directory / name).write_text(text)


def _ip_lines(namespaces: Sequence[str], links: Sequence[Link]) -> str:
    lines = [f"netns add {name}" for name in namespaces]
    for link in links:
        mtu = f" mtu {link.mtu}" if link.mtu else ""
        if link.kind == "tap":
            lines += [f"tuntap add dev {link.name} mode tap", f"link set dev {link.name} group {GROUP}{mtu}"]
        else:
            peer_mac = f" address {link.peer_mac}" if link.peer_mac else ""
            peer = f"peer name {link.peer}{mtu}{peer_mac} netns {link.peer_netns}"
            lines.append(f"link add name {link.name}{mtu} group {GROUP} type veth {peer}")
        # As the engine does. Otherwise ovs-vswitchd would be busy for minutes with the first packets.
        lines += [f"link set dev {link.name} addrgenmode none", f"link set dev {link.name} up"]
    return "\n".join(lines) + "\n"


def _vsctl_words(bridges: Sequence[OvsBridge], ports: Sequence[OvsPort]) -> list[str]:
    commands = []
    for bridge in bridges:
        commands.append(["add-br", bridge.name])
        settings = [f"datapath_type={bridge.datapath_type}", f"fail_mode={bridge.fail_mode}"]
        settings += [f"other_config:hwaddr={_quoted(bridge.mac)}"] if bridge.mac else []
        commands.append(["set", "bridge", bridge.name, *settings])
    for port in ports:
        tag = [] if port.tag is None else [f"tag={port.tag}"]
        commands.append(["add-port", port.bridge, port.name, *tag])
        settings = [f"type={port.type}"] if port.type else []
        settings += [] if port.mtu is None else [f"mtu_request={port.mtu}"]
        settings += [f"options:{key}={_quoted(value)}" for key, value in port.options.items()]
        settings += [f"external_ids:{key}={_quoted(value)}" for key, value in port.external_ids.items()]
        if settings:
            commands.append(["set", "interface", port.name, *settings])
    return _joined(commands)


def _flow_texts(flows: Sequence[Flow], numbers: Mapping[str, str]) -> dict[str, str]:
    lines: dict[str, list[str]] = {}
    for flow in flows:
        head = f"cookie={COOKIE:#x},table={flow.table},priority={flow.priority},{flow.match}"
        text = write_ports(f"{head} actions={flow.actions}", numbers)
        lines.setdefault(flow.bridge, []).append(text)
    return {bridge: "\n".join(text) + "\n" for bridge, text in lines.items()}


def _joined(commands: Sequence[Sequence[str]]) -> list[str]:
    return [word for command in commands for word in ("--", *command)]


def _quoted(value: str) -> str:
    return json.dumps(value)


def _port_numbers() -> dict[str, str]:
    answer = json.loads(_run("ovs-vsctl", "--format=json", "--columns=name,ofport", "list", "interface"))
    return {name: "LOCAL" if number == 65534 else str(number) for name, number in answer["data"]}


def _run(*words: str, text: str | None = None, netns: str = "") -> str:
    with in_netns(netns) if netns else nullcontext():
        done = subprocess.run(words, input=text, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise RuntimeError(f"{' '.join(words[:6])}: {done.stderr.strip() or done.stdout.strip()}")
    return done.stdout
