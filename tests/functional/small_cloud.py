"""A small cloud for tests that converge a whole node: scenario S1 with all its parts on node ``here``.

A second node ``there`` is only declared, so that ``here`` has a tunnel. The helpers are in tests/samples.
"""

from __future__ import annotations

import sys
from dataclasses import replace
from hashlib import sha256
from pathlib import Path
from typing import Any

from headworks.plan.cloud import (
    OWNER_DHCP,
    OWNER_INSTANCE,
    OWNER_ROUTER_GATEWAY,
    OWNER_ROUTER_INTERFACE,
    BridgeMapping,
    Cloud,
    FloatingIp,
    Image,
    Instance,
    Node,
    Router,
)
from headworks.state.codec import encode
from headworks.wiring.documents import wire

sys.path.insert(0, str(Path(__file__).parents[1] / "samples"))
from clouds import identity, make_instance, make_network, make_port
from distributions import DEBIAN

CLOUD = "functional-node"
STORE = Path("/var/tmp/functional-node-store")


def blank_image() -> Image:
    """Return a blank image in a directory of this machine that stands for the image store."""
    STORE.mkdir(exist_ok=True)
    content = STORE / "blank.raw"
    if not content.exists():
        content.write_bytes(bytes(1 << 20))
    digest = sha256(content.read_bytes()).hexdigest()
    return Image("blank", f"sha256:{digest}", digest, content.as_uri(), format="raw")


def guest(name: str, network: str, address: str, number: int, node: str = "here") -> Instance:
    """Return a guest that is defined but not started; the cloud tests start guests."""
    port = make_port(network, address, node, OWNER_INSTANCE, name)
    more: dict[str, Any] = {"state": "stopped", "image": blank_image(), "user_data": "#!/bin/sh\necho hello\n"}
    return make_instance(name, number, node, port, **more)


def small_cloud(with_internal2: bool = True) -> Cloud:
    """Return the cloud. Without ``internal2`` it also lacks that network's guest and the router's interface on it."""
    ext = make_network("ext", "flat", "172.16.0.0/16", "172.16.0.1", physical_network="physnet1", external=True)
    subnet = replace(ext.subnets[0], enable_dhcp=False)
    networks = {
        "internal": make_network("internal", "gre", "10.18.0.0/24", "10.18.0.1", segmentation_id=2, isolated=False),
        "ext": replace(ext, subnets=(subnet,)),
    }
    interfaces = [make_port("internal", "10.18.0.1", "here", OWNER_ROUTER_INTERFACE, "r1")]
    instances = {
        "vm1": guest("vm1", "internal", "10.18.0.3", 1),
        "vm2": guest("vm2", "internal", "10.18.0.4", 2, node="there"),
    }
    dhcp_ports = {"internal": (make_port("internal", "10.18.0.2", "here", OWNER_DHCP, "internal"),)}
    vlans = {"internal": 1, "ext": 2}
    if with_internal2:
        second = make_network("internal2", "vxlan", "10.22.22.0/24", "10.22.22.1", segmentation_id=3, isolated=False)
        networks["internal2"] = second
        interfaces.append(make_port("internal2", "10.22.22.1", "here", OWNER_ROUTER_INTERFACE, "r1"))
        instances["vm3"] = guest("vm3", "internal2", "10.22.22.3", 3)
        dhcp_ports["internal2"] = (make_port("internal2", "10.22.22.2", "here", OWNER_DHCP, "internal2"),)
        vlans["internal2"] = 3
    router = Router(
        "r1",
        identity("router r1"),
        ("here",),
        gateway=make_port("ext", "172.16.19.1", "here", OWNER_ROUTER_GATEWAY, "r1"),
        interfaces=tuple(interfaces),
        floating_ips=(FloatingIp("172.16.19.232", "ext", "10.18.0.3", "vm1", identity("floating ip 172.16.19.232")),),
    )
    here = Node(
        "here",
        frozenset({"network", "compute"}),
        "127.0.0.1",
        "10.99.0.1",
        datapath_type="netdev",
        mappings=(BridgeMapping("physnet1", "br-ex"),),
        local_vlans=vlans,
    )
    there = Node("there", frozenset({"compute"}), "127.0.0.2", "10.99.0.2", local_vlans={"internal": 1})
    return Cloud(CLOUD, {"here": here, "there": there}, networks, {"r1": router}, instances, dhcp_ports)


def state_of_here(with_internal2: bool = True) -> dict[str, Any]:
    """Return the node state of ``here``."""
    return {**wire(small_cloud(with_internal2))["here"], "distribution": encode(DEBIAN)}


def empty_state() -> dict[str, Any]:
    """Return the node state without any object: all that the cloud has on the node is removed."""
    state = state_of_here()
    return {**state, "sections": {name: [] for name in state["sections"]}}
