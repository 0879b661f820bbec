"""Gratuitous ARP: it tells the neighbours the MAC of a new address, in three rounds at intervals of one second.

The first round is sent at once. A separate small process sends the other two. It inherits the sockets but no other
files or pipes of the run, closes the sockets of a namespace that is removed, and ends after two seconds.
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
# The program of the later rounds. Its standard input has lines of socket, namespace file and frame. It is started as a
# new process because a fork of the engine takes ten times as long. It sends with os.write because importing socket
# would double its start-up time.
_LATER_ROUNDS = """
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
    """Send the first round, and start the process that sends the other rounds. A failure is not an error: neighbours
    without an announcement ask with ARP."""
    sent = []
    for netns, devices in addresses.items():
        try:
            with in_netns(netns):
                sent += [(netns, *_send(device, ips)) for device, ips in devices.items() if ips]
        except OSError:
            continue  # the namespace or the device has been removed meanwhile
    if sent:
        _start_later_rounds(sent)
    for _, packets, _ in sent:
        packets.close()


def frame(mac: bytes, address: str, operation: int) -> bytes:
    """Return an Ethernet broadcast frame with a gratuitous ARP packet (``operation`` 1 = request, 2 = reply)."""
    ip = socket.inet_aton(address)
    target = bytes(6) if operation == _REQUEST else mac
    header = b"\xff" * 6 + mac + struct.pack("!H", _ETH_ARP)
    return header + struct.pack("!HHBBH", 1, 0x0800, 6, 4, operation) + mac + ip + target + ip


def _send(device: str, addresses: Sequence[str]) -> tuple[socket.socket, list[bytes]]:
    """Announce the addresses once. Returns the open socket and the frames that were sent."""
    packets = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)
    packets.bind((device, 0))
    mac = packets.getsockname()[4]
    # Some hosts learn from the request only, others from the reply only.
    frames = [frame(mac, address, operation) for address in addresses for operation in (_REQUEST, _REPLY)]
    for data in frames:
        packets.send(data)
    return packets, frames


def _start_later_rounds(sent: Sequence[tuple[str, socket.socket, list[bytes]]]) -> None:
    """Start the process for the remaining rounds. It also closes the sockets last, because the kernel needs 10 ms or
    more for each."""
    lines = [
        f"{packets.fileno()} {NETNS_DIR / netns if netns else '/proc/self'} {data.hex()}\n"
        for netns, packets, frames in sent
        for data in frames
    ]
    with os.fdopen(os.memfd_create("announcements"), "w+") as work:
        work.writelines(lines)
        work.seek(0)
        process = subprocess.Popen(
            [sys.executable, "-I", "-S", "-c", _LATER_ROUNDS, str(ROUNDS - 1), str(PAUSE)],
            stdin=work,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            pass_fds=[packets.fileno() for _, packets, _ in sent],
            start_new_session=True,
        )
    process.returncode = 0  # the run does not wait for the process: it ends earlier, and init adopts the process
