"""Runs on a node: foreign objects, as a person would create them by hand.

``place`` creates them, ``intrude`` adds a port and a flow to br-int, ``show`` prints their state as JSON, and
``show-lasting`` prints the state of those that survive a reboot.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from typing import Any

DOMAIN = """
<domain type='qemu'>
  <name>foreign</name>
  <memory unit='MiB'>16</memory>
  <os><type arch='x86_64' machine='pc'>hvm</type></os>
  <devices><emulator>/usr/bin/qemu-system-x86_64</emulator></devices>
</domain>
"""
RULES = """
table ip foreign {
  chain input { type filter hook input priority 10; policy accept; tcp dport 9 drop; }
}
"""


def run(*args: str, stdin: str | None = None) -> str:
    done = subprocess.run(args, input=stdin, capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(f"{' '.join(args)}: {done.stderr}")
    return done.stdout


def place() -> None:
    run("systemctl", "start", "openvswitch-switch", "libvirtd")
    run("ovs-vsctl", "add-br", "br-foreign", "--", "set", "Bridge", "br-foreign", "datapath_type=netdev")
    run("ovs-ofctl", "add-flow", "br-foreign", "priority=7,in_port=LOCAL,actions=drop")
    run("ip", "link", "add", "brforeign", "type", "bridge")
    run("ip", "link", "set", "brforeign", "up")
    run("ip", "address", "add", "192.0.2.1/24", "dev", "brforeign")
    run("ip", "netns", "add", "qrouter-foreign")
    run("ip", "link", "add", "tapforeign", "type", "veth", "peer", "name", "qr-foreign", "netns", "qrouter-foreign")
    run("ip", "-netns", "qrouter-foreign", "address", "add", "198.51.100.1/24", "dev", "qr-foreign")
    run("ip", "netns", "exec", "qrouter-foreign", "nft", "-f", "-", stdin=RULES)
    run("nft", "-f", "-", stdin=RULES)
    run("virsh", "define", "/dev/stdin", stdin=DOMAIN)
    run("virsh", "start", "--paused", "foreign")


def intrude() -> None:
    run("ovs-vsctl", "add-port", "br-int", "tapforeign", "tag=4000")
    run("ovs-ofctl", "add-flow", "br-int", "cookie=0x666f,table=60,priority=77,udp,tp_dst=9,actions=drop")


def lasting() -> dict[str, Any]:
    columns = ("--format=json", "--columns=name,datapath_type,external_ids", "find")
    return {
        "bridge": run("ovs-vsctl", *columns, "Bridge", "name=br-foreign"),
        "port": run("ovs-vsctl", "--format=json", "--columns=name,tag,external_ids", "find", "Port", "name=tapforeign"),
        "domain": run("virsh", "dumpxml", "--inactive", "foreign"),
    }


def show() -> dict[str, Any]:
    inside = ("ip", "netns", "exec", "qrouter-foreign")
    flows = run("ovs-ofctl", "--no-stats", "dump-flows", "br-foreign").splitlines()
    intruding = run("ovs-ofctl", "--no-stats", "dump-flows", "br-int", "cookie=0x666f/-1").splitlines()
    return {
        **lasting(),
        "flows": flows,
        "intruding flows": [line for line in intruding if "priority" in line],
        "linux bridge": run("ip", "-o", "address", "show", "brforeign"),
        "namespace": run(*inside, "ip", "-o", "address", "show", "qr-foreign"),
        "nft": run("nft", "--handle", "list", "table", "ip", "foreign"),
        "nft inside": run(*inside, "nft", "--handle", "list", "table", "ip", "foreign"),
        "domain state": run("virsh", "domstate", "foreign"),
        "domain id": run("virsh", "domid", "foreign"),
    }


VERBS: dict[str, Callable[[], Any]] = {"place": place, "intrude": intrude, "show": show, "show-lasting": lasting}
print(json.dumps(VERBS[sys.argv[1]]()))
