"""A small DHCP client for tests: it sends from an interface inside a namespace and returns the server's answers.

What does not belong here: any test.
"""

from __future__ import annotations

import os
import socket
import struct
from collections.abc import Iterator
from dataclasses import dataclass, field

from headworks.system.netns import in_netns

DISCOVER, OFFER, REQUEST, ACK, NAK = 1, 2, 3, 5, 6


@dataclass
class Answer:
    """A server's answer: its message type (OFFER, ACK, NAK), the address, and the raw options by their number."""

    type: int
    address: str
    options: dict[int, bytes] = field(default_factory=dict)

    def addresses(self, option: int) -> list[str]:
        """Return an option that is a list of addresses (3, 6, 54)."""
        value = self.options.get(option, b"")
        return [socket.inet_ntoa(value[offset : offset + 4]) for offset in range(0, len(value), 4)]

    def routes(self, option: int = 121) -> list[tuple[str, str]]:
        """Return the classless static routes (RFC 3442) as (destination, next hop)."""
        value, offset = self.options.get(option, b""), 0
        routes = []
        while offset < len(value):
            prefix = value[offset]
            octets = (prefix + 7) // 8
            destination = socket.inet_ntoa(value[offset + 1 : offset + 1 + octets].ljust(4, b"\0"))
            offset += 1 + octets
            routes.append((f"{destination}/{prefix}", socket.inet_ntoa(value[offset : offset + 4])))
            offset += 4
        return routes


class DhcpClient:
    """A guest with ``mac`` on ``interface`` of namespace ``netns``."""

    def __init__(self, netns: str, interface: str, mac: str, timeout: float = 1.5) -> None:
        self.mac = mac
        with in_netns(netns):
            self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, interface.encode())
            self.socket.bind(("", 68))
        self.socket.settimeout(timeout)

    def close(self) -> None:
        """Close the socket."""
        self.socket.close()

    def boot(self) -> Answer | None:
        """Exchange DISCOVER, OFFER, REQUEST and ACK. Returns the last answer, or None if no server offers an
        address."""
        offer = self.discover()
        if offer is None:
            return None
        return self.ask(REQUEST, {50: socket.inet_aton(offer.address), 54: offer.options[54]})

    def discover(self) -> Answer | None:
        """Send a DISCOVER. Returns the first offer, or None."""
        return self.ask(DISCOVER)

    def reboot(self, address: str) -> Answer | None:
        """Send a REQUEST for an address that the guest had before (INIT-REBOOT). Returns the answer, or None."""
        return self.ask(REQUEST, {50: socket.inet_aton(address)})

    def ask(self, kind: int, options: dict[int, bytes] | None = None) -> Answer | None:
        """Send a message. Returns the first answer, or None."""
        return next(self._answers(self._send(kind, options)), None)

    def ask_all(self, kind: int, options: dict[int, bytes] | None = None, seconds: float = 0.2) -> list[Answer]:
        """Send a message. Returns all answers that arrive within ``seconds``."""
        self.socket.settimeout(seconds)
        return list(self._answers(self._send(kind, options)))

    def _send(self, kind: int, options: dict[int, bytes] | None) -> bytes:
        number = os.urandom(4)
        hardware = bytes.fromhex(self.mac.replace(":", ""))
        header = struct.pack("!BBBB4sHH", 1, 1, 6, 0, number, 0, 0x8000) + bytes(16) + hardware.ljust(16, b"\0")
        sent = {
            53: bytes([kind]),
            55: bytes([1, 3, 6, 12, 15, 121, 249]),  # not 26: the server must send the MTU to all clients
            61: b"\x01" + hardware,
            **(options or {}),
        }
        body = b"".join(bytes([code, len(value)]) + value for code, value in sent.items())
        self.socket.sendto(header + bytes(192) + b"\x63\x82\x53\x63" + body + b"\xff", ("255.255.255.255", 67))
        return number

    def _answers(self, number: bytes) -> Iterator[Answer]:
        try:
            while True:
                reply = self.socket.recv(4096)
                if reply[4:8] == number and reply[0] == 2:
                    yield _parse(reply)
        except TimeoutError:
            return


def _parse(reply: bytes) -> Answer:
    options, offset = {}, 240
    while offset < len(reply) and reply[offset] != 255:
        if reply[offset] == 0:
            offset += 1
            continue
        code, length = reply[offset], reply[offset + 1]
        options[code] = options.get(code, b"") + reply[offset + 2 : offset + 2 + length]
        offset += 2 + length
    return Answer(options[53][0], socket.inet_ntoa(reply[16:20]), options)
