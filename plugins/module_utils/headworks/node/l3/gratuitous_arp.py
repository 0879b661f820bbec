"""Gratuitous ARP: telling the neighbours that an address is (now) at this MAC. Three rounds, a second apart.

The first round goes out at once. The other two come from a small process of their own, which has the sockets but none
of the run's files and pipes, lets go of a namespace that is removed, and ends by itself after two seconds.
"""

from __future__ import annotations

import os
import socket
import struct
import subprocess
import sys
from collections.abc import Mapping, Sequence

from ...system.netns import NETNS_DIR, in_netns

ROUNDS = 3
PAUSE = 1.0  # seconds between rounds
_ETH_ARP = 0x0806
_REQUEST, _REPLY = 1, 2
# The later rounds: standard input has lines of socket, namespace file and frame. Started rather than forked, since a
# fork of the engine costs ten times as much; it sends by os.write, since importing socket would double its start.
_LATER = """
import os, sys, time
rounds, pause = int(sys.argv[1]), float(sys.argv[2])
frames = {}
for line in sys.stdin:
    number, path, frame = line.split()
    frames.setdefault((int(number), path), []).append(bytes.fromhex(frame))
for tick in range(1, 10 * rounds + 1):
    time.sleep(pause / 10)
    for number, path in [key for key in frames if not os.path.exists(key[1])]:
        os.close(number)
        del frames[number, path]
    if tick % 10 == 0:
        for (number, _), some in frames.items():
            for frame in some:
                try:
                    os.write(number, frame)
                except OSError:
                    break
"""

# namespace → device → IPv4 addresses without prefix
Announcements = Mapping[str, Mapping[str, Sequence[str]]]


def announce(addresses: Announcements) -> None:
    """Send the first round now and leave the others to a process of their own. Failures are nobody's error: the
    neighbours will ask."""
    sent = []
    for netns, devices in addresses.items():
        try:
            with in_netns(netns):
                sent += [(netns, *_send(device, ips)) for device, ips in devices.items() if ips]
        except OSError:
            continue  # the namespace or the device has gone meanwhile
    if sent:
        _later(sent)
    for _, packets, _ in sent:
        packets.close()


def frame(mac: bytes, address: str, operation: int) -> bytes:
    """An Ethernet broadcast with a gratuitous ARP packet (``operation`` 1 = request, 2 = reply)."""
    ip = socket.inet_aton(address)
    target = bytes(6) if operation == _REQUEST else mac
    header = b"\xff" * 6 + mac + struct.pack("!H", _ETH_ARP)
    return header + struct.pack("!HHBBH", 1, 0x0800, 6, 4, operation) + mac + ip + target + ip


def _send(device: str, addresses: Sequence[str]) -> tuple[socket.socket, list[bytes]]:
    """Announce the addresses once; the socket, still open, and the frames that were sent."""
    packets = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)
    packets.bind((device, 0))
    mac = packets.getsockname()[4]
    # Hosts differ in which of the two they heed.
    frames = [frame(mac, address, operation) for address in addresses for operation in (_REQUEST, _REPLY)]
    for one in frames:
        packets.send(one)
    return packets, frames


def _later(sent: Sequence[tuple[str, socket.socket, list[bytes]]]) -> None:
    """Start the process for the remaining rounds. It also is the last to close the sockets, which takes the kernel
    10 ms or more each."""
    lines = [
        f"{packets.fileno()} {NETNS_DIR / netns if netns else '/proc/self'} {one.hex()}\n"
        for netns, packets, frames in sent
        for one in frames
    ]
    with os.fdopen(os.memfd_create("announcements"), "w+") as work:
        work.writelines(lines)
        work.seek(0)
        process = subprocess.Popen(
            [sys.executable, "-I", "-S", "-c", _LATER, str(ROUNDS - 1), str(PAUSE)],
            stdin=work,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            pass_fds=[packets.fileno() for _, packets, _ in sent],
            start_new_session=True,
        )
    process.returncode = 0  # nobody waits for it: it is init's when the run ends, which is sooner
