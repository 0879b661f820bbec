"""The floor that bench/node_converge is held against: the same node state, put there once by the fastest raw tools.

Nothing is read, compared, verified or remembered here; texts are made ready before the clock starts, except the port
numbers, which have to be asked for. Each tool's time is told apart.
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

GROUP = 4242  # for taking the links away again


class Floor:
    """The raw tools' work for one node state: ``put`` makes it and returns seconds by tool, ``add`` is one port more,
    ``take`` removes everything."""

    def __init__(self, state: Mapping[str, Any]) -> None:
        sections = state["sections"]
        self.namespaces = [one["name"] for one in sections["netns"]]
        self.links: list[Link] = list(LinkSubsystem.load(sections["links"]).values())
        self.bridges: list[OvsBridge] = list(OvsBridgeSubsystem.load(sections["ovs_bridges"]).values())
        self.ports: list[OvsPort] = list(OvsPortSubsystem.load(sections["ovs_ports"]).values())
        self.flows: list[Flow] = list(FlowSubsystem.load(sections["flows"]).values())
        self.tables: list[NftTable] = list(NftSubsystem.load(sections["nft"]).values())
        self.configs: list[NamespaceConfig] = list(L3Subsystem.load(sections["l3"]).values())
        self.networks: list[DhcpNetwork] = list(DhcpSubsystem.load(sections["dhcp"]).values())
        self.directory = Path(mkdtemp(prefix="bench-dnsmasq-"))

    def put(self) -> dict[str, float]:
        """Make everything; seconds by tool."""
        seconds = {}
        batch = _ip_lines(self.namespaces, self.links)
        inside = {one.name: "\n".join(ip_lines.lines_for(one, NamespaceConfig(one.name))) for one in self.configs}
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
        """Make what ``more`` has besides (a port: its link, row, flows and DHCP host); seconds."""
        links = [one for one in more.links if one not in self.links]
        ports = [one for one in more.ports if one not in self.ports]
        flows = [one for one in more.flows if one not in set(self.flows)]
        networks = [one for one in more.networks if one not in self.networks]
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
        """Remove everything that ``put`` made."""
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
    for one in links:
        mtu = f" mtu {one.mtu}" if one.mtu else ""
        if one.kind == "tap":
            lines += [f"tuntap add dev {one.name} mode tap", f"link set dev {one.name} group {GROUP}{mtu}"]
        else:
            peer_mac = f" address {one.peer_mac}" if one.peer_mac else ""
            peer = f"peer name {one.peer}{mtu}{peer_mac} netns {one.peer_netns}"
            lines.append(f"link add name {one.name}{mtu} group {GROUP} type veth {peer}")
        # As the engine does, or else ovs-vswitchd would be busy for minutes with the first packets.
        lines += [f"link set dev {one.name} addrgenmode none", f"link set dev {one.name} up"]
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
