"""Node compute2 of S1 with more guests, and what its tests send: packets between guests, and whether they arrive.

What does not belong here: any test.
"""

from __future__ import annotations

from dataclasses import replace
from itertools import count

from clouds import make_instance, make_port, s1_cloud
from frames import ethernet, ip_packet
from headworks.plan.cloud import OWNER_INSTANCE, Cloud, Port
from ovs_lab import OvsLab

VM1, VM2, VM3, VM4 = "10.18.0.3", "10.18.0.4", "10.22.22.3", "10.18.0.5"
PORTS = {"vm2": make_port("internal", VM2, "compute2", OWNER_INSTANCE, "vm2")}
PORTS["vm4"] = make_port("internal", VM4, "compute2", OWNER_INSTANCE, "vm4")
PORTS["free"] = make_port("internal", "10.18.0.6", "compute2", OWNER_INSTANCE, "free", port_security=False)
PORTS["pair"] = make_port(
    "internal", "10.18.0.7", "compute2", OWNER_INSTANCE, "pair", allowed_pairs=(("", "10.18.0.96/28"),)
)
# A guest that may send from all addresses of its network, as a router or a VPN gateway does.
PORTS["wide"] = make_port(
    "internal",
    "10.18.0.8",
    "compute2",
    OWNER_INSTANCE,
    "wide",
    allowed_pairs=(("", "0.0.0.0/0"), (PORTS["vm4"].mac, "10.18.0.9/32"), ("", "fe80::/10")),
)
MAC1, MAC2, MAC4 = "fa:16:3e:12:00:03", PORTS["vm2"].mac, PORTS["vm4"].mac
LOCAL2, LOCAL4 = "fe80::f816:3eff:fe12:4", "fe80::f816:3eff:fe12:5"
LEARNED = "0x6865616477726b74"
OTHER = "fa:16:3e:99:99:99"
NUMBERS = count()
TO_COMPUTE1, TO_NETWORK1 = "gre-0a00011f", "gre-0a000115"


def s1_with_more() -> Cloud:
    """Return S1 with more guests on compute2: vm4 (like vm2), a guest without port security, a guest with an allowed
    pair, and a guest whose pairs contain the addresses of all others."""
    cloud = s1_cloud()
    more = {
        name: make_instance(name, 0x30 + number, "compute2", PORTS[name])
        for number, name in enumerate(("vm4", "free", "pair", "wide"))
    }
    return replace(cloud, instances={**cloud.instances, **more})


def v4(source: str, target: str, payload: bytes, src_mac: str = MAC2, dst_mac: str = MAC4) -> bytes:
    """A UDP packet between two guests, unless told otherwise."""
    return ethernet(src_mac, dst_mac, 0x0800, ip_packet(source, target, 17, payload))


def v6(source: str, target: str, protocol: int, payload: bytes, src_mac: str = MAC2, dst_mac: str = MAC4) -> bytes:
    """An IPv6 packet between two guests."""
    return ethernet(src_mac, dst_mac, 0x86DD, ip_packet(source, target, protocol, payload))


def passes(lab: OvsLab, sender: Port, receiver: Port, frame: bytes, fence: bytes) -> bool:
    """Whether ``receiver`` gets ``frame``. ``fence`` is sent after it: when it arrives, ``frame`` would have
    arrived, too."""
    number = next(NUMBERS)  # frames of an earlier call may still be in the receiver's queue
    mark, end = b"<marked frame %d>" % number, b"<fence %d>" % number
    lab.guest(sender.id).send(frame + mark)
    lab.guest(sender.id).send(fence + end)
    seen = lab.guest(receiver.id).until(end)
    return any(mark in frame for frame in seen)
