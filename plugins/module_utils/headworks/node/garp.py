"""Gratuitous ARP: telling the neighbours that an address is (now) at this MAC. Three rounds, a second apart.

The first round goes out at once. The other two come from a small child process that holds neither the run's files nor
any namespace between rounds, and ends by itself after two seconds.
"""

from __future__ import annotations

import os
import socket
import struct
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress

from .process import in_netns

ROUNDS = 3
PAUSE = 1.0  # seconds between rounds
_GRACE = 0.1
_ETH_ARP = 0x0806
_REQUEST, _REPLY = 1, 2

# namespace → device → IPv4 addresses without prefix
Announcements = Mapping[str, Mapping[str, Sequence[str]]]


def announce(addresses: Announcements) -> None:
    """Send the first round now and leave the others to a child process. Failures are nobody's error: the neighbours
    will ask."""
    if not any(ips for devices in addresses.values() for ips in devices.values()):
        return
    sockets = _round(addresses)
    _later(addresses, sockets)
    for one in sockets:
        one.close()


def frame(mac: bytes, address: str, operation: int) -> bytes:
    """An Ethernet broadcast with a gratuitous ARP packet (``operation`` 1 = request, 2 = reply)."""
    ip = socket.inet_aton(address)
    target = bytes(6) if operation == _REQUEST else mac
    header = b"\xff" * 6 + mac + struct.pack("!H", _ETH_ARP)
    return header + struct.pack("!HHBBH", 1, 0x0800, 6, 4, operation) + mac + ip + target + ip


def _round(addresses: Announcements) -> list[socket.socket]:
    """Send everything once. The sockets are returned open: closing one waits for the kernel, 10 ms or more each."""
    sockets = []
    for netns, devices in addresses.items():
        try:
            with in_netns(netns):
                for device, ips in devices.items():
                    if ips:
                        sockets.append(_send(device, ips))
        except OSError:
            continue  # the namespace or the device has gone meanwhile
    return sockets


def _send(device: str, addresses: Sequence[str]) -> socket.socket:
    packets = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)
    packets.bind((device, 0))
    mac = packets.getsockname()[4]
    for address in addresses:
        for operation in (_REQUEST, _REPLY):  # hosts differ in which of the two they heed
            packets.send(frame(mac, address, operation))
    return packets


def _later(addresses: Announcements, sockets: Sequence[socket.socket]) -> None:
    """The remaining rounds, in a grandchild that outlives the run (no zombie, no inherited pipes)."""
    child = os.fork()
    if child:
        os.waitpid(child, 0)
        return
    try:
        os.setsid()
        if os.fork() == 0:
            _detach({one.fileno() for one in sockets})
            time.sleep(_GRACE)  # by then the parent has closed them: closing for good falls to us
            for one in sockets:
                one.close()
            for _ in range(ROUNDS - 1):
                time.sleep(PAUSE)
                for one in _round(addresses):
                    one.close()
    finally:
        os._exit(0)


def _detach(kept: set[int]) -> None:
    null = os.open(os.devnull, os.O_RDWR)
    for number in (0, 1, 2):
        os.dup2(null, number)
    for name in os.listdir("/proc/self/fd"):
        if int(name) > 2 and int(name) not in kept:
            with suppress(OSError):
                os.close(int(name))
