"""A router's namespace with guests behind it, for tests of metadata: guests A and B on the first network, C on the
second, and D on a network that is not served. What does not belong here: any test."""

from __future__ import annotations

import os
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager

from distributions import ACCOUNTS
from headworks.engine.converge import Result, converge
from headworks.node.services.metadata.proxy import MetadataProxySubsystem
from headworks.node.services.metadata.served import MetadataSubsystem
from headworks.state.codec import encode
from headworks.state.metadata import InstanceMetadata, MetadataProxy, ServedNetwork
from headworks.system.netns import in_netns

OWNER = f"test{os.getpid()}"
ROUTER = f"qrouter-{OWNER}"
NET1, NET2 = f"net1-{OWNER}", f"net2-{OWNER}"
GUESTS = {"a": ("10.18.0.3", 1), "b": ("10.18.0.4", 1), "c": ("10.22.22.3", 2)}
PROXY_UNIT = f"headworks-metadata@{ROUTER}.service"


def ip(*words: str) -> None:
    subprocess.run(["ip", *words], check=True, capture_output=True)


def guest(name: str) -> str:
    return f"guest-{name}-{OWNER}"


@contextmanager
def router_with_guests() -> Iterator[None]:
    """Create the router's namespace with three bridges, and the guests' namespaces, each connected by a veth."""
    ip("netns", "add", ROUTER)
    ip("-n", ROUTER, "link", "set", "lo", "up")
    ip("-n", ROUTER, "addr", "add", "169.254.169.254/32", "dev", "lo")
    for number, address in ((1, "10.18.0.1/24"), (2, "10.22.22.1/24"), (3, "10.33.33.1/24")):
        ip("-n", ROUTER, "link", "add", f"br{number}", "type", "bridge")
        ip("-n", ROUTER, "addr", "add", address, "dev", f"br{number}")
        ip("-n", ROUTER, "link", "set", f"br{number}", "up")
    for name, (address, number) in {**GUESTS, "d": ("10.33.33.3", 3)}.items():
        ip("netns", "add", guest(name))
        ip("-n", ROUTER, "link", "add", f"p{name}", "type", "veth", "peer", "eth0", "netns", guest(name))
        ip("-n", ROUTER, "link", "set", f"p{name}", "master", f"br{number}", "up")
        ip("-n", guest(name), "addr", "add", f"{address}/24", "dev", "eth0")
        ip("-n", guest(name), "link", "set", "eth0", "up")
        ip("-n", guest(name), "route", "add", "default", "via", address.rpartition(".")[0] + ".1")
    yield
    for name in (ROUTER, *map(guest, "abcd")):
        subprocess.run(["ip", "netns", "delete", name], check=False, capture_output=True)


def tree(name: str, **more: str) -> InstanceMetadata:
    address, number = GUESTS[name]
    files = {
        "2009-04-04/meta-data/hostname": name,
        "2009-04-04/meta-data/placement/availability-zone": "nova",
        "2009-04-04/meta-data/public-keys/": "0=ops",
        "2009-04-04/meta-data/public-keys/0/openssh-key": "ssh-ed25519 AAAA ops",
        "2009-04-04/user-data": f"#!/bin/sh\necho secret of {name} ü\n\n",
        "openstack/latest/meta_data.json": '{"uuid": "1"}',
        **more,
    }
    network = NET1 if number == 1 else NET2
    return InstanceMetadata(network, address, f"uuid-{name}", files, {"latest": "2009-04-04"})


def proxy() -> MetadataProxy:
    return MetadataProxy(ROUTER, (ServedNetwork(NET1, "10.18.0.0/24"), ServedNetwork(NET2, "10.22.22.0/24")))


def run(
    proxies: list[MetadataProxy], trees: list[InstanceMetadata], check: bool = False, owner: str | None = OWNER
) -> Result:
    steps = [
        (MetadataSubsystem(owner, accounts=ACCOUNTS), MetadataSubsystem.load([encode(tree) for tree in trees])),
        (MetadataProxySubsystem(owner, user="haproxy", group="haproxy"), {proxy.name: proxy for proxy in proxies}),
    ]
    return converge(steps, check=check)


def run_for_all_guests() -> Result:
    return run([proxy()], [tree("a"), tree("b"), tree("c")])


def send_raw(name: str, request: bytes, timeout: float = 5) -> bytes:
    """Send bytes from a guest. Returns all bytes that arrive until the server closes or sends none for ``timeout``."""
    with in_netns(guest(name)):
        connection = socket.create_connection(("169.254.169.254", 80), timeout=timeout)
    with connection:
        connection.sendall(request)
        answer = b""
        try:
            while piece := connection.recv(65536):
                answer += piece
        except TimeoutError:
            pass
        return answer


def get(name: str, path: str, *headers: str, method: str = "GET") -> tuple[int, bytes]:
    lines = [f"{method} {path} HTTP/1.1", "Host: 169.254.169.254", "Connection: close", *headers, "", ""]
    head, _, body = send_raw(name, "\r\n".join(lines).encode()).partition(b"\r\n\r\n")
    return int(head.split()[1]), body


def main_pid(unit: str) -> int:
    """Return the id of the unit's main process."""
    words = ["systemctl", "show", "--value", "--property=MainPID", unit]
    return int(subprocess.run(words, check=True, capture_output=True, text=True).stdout)
