"""A small DHCP client for tests: it speaks from one interface inside a namespace and shows what the server said.

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
    """A server's answer: message type (OFFER, ACK, NAK), the address, and the raw options by number."""

    type: int
    address: str
    options: dict[int, bytes] = field(default_factory=dict)

    def addresses(self, option: int) -> list[str]:
        """An option that is a list of addresses (3, 6, 54)."""
        value = self.options.get(option, b"")
        return [socket.inet_ntoa(value[at : at + 4]) for at in range(0, len(value), 4)]

    def routes(self, option: int = 121) -> list[tuple[str, str]]:
        """Classless static routes (RFC 3442) as (destination, next hop)."""
        value, at, found = self.options.get(option, b""), 0, []
        while at < len(value):
            prefix = value[at]
            octets = (prefix + 7) // 8
            destination = socket.inet_ntoa(value[at + 1 : at + 1 + octets].ljust(4, b"\0"))
            at += 1 + octets
            found.append((f"{destination}/{prefix}", socket.inet_ntoa(value[at : at + 4])))
            at += 4
        return found


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
        """Give the port back."""
        self.socket.close()

    def boot(self) -> Answer | None:
        """DISCOVER, OFFER, REQUEST, ACK: the last answer, or None when nobody offers."""
        offer = self.discover()
        if offer is None:
            return None
        return self.ask(REQUEST, {50: socket.inet_aton(offer.address), 54: offer.options[54]})

    def discover(self) -> Answer | None:
        """The first offer."""
        return self.ask(DISCOVER)

    def reboot(self, address: str) -> Answer | None:
        """REQUEST of the address had before (INIT-REBOOT)."""
        return self.ask(REQUEST, {50: socket.inet_aton(address)})

    def ask(self, kind: int, options: dict[int, bytes] | None = None) -> Answer | None:
        """Send one message; the first answer to it, or None."""
        return next(self._answers(self._send(kind, options)), None)

    def ask_all(self, kind: int, options: dict[int, bytes] | None = None, seconds: float = 0.2) -> list[Answer]:
        """Send one message; every answer within that time."""
        self.socket.settimeout(seconds)
        return list(self._answers(self._send(kind, options)))

    def _send(self, kind: int, options: dict[int, bytes] | None) -> bytes:
        number = os.urandom(4)
        hardware = bytes.fromhex(self.mac.replace(":", ""))
        header = struct.pack("!BBBB4sHH", 1, 1, 6, 0, number, 0, 0x8000) + bytes(16) + hardware.ljust(16, b"\0")
        wanted = {
            53: bytes([kind]),
            55: bytes([1, 3, 6, 12, 15, 121, 249]),  # not 26: the MTU must come unasked
            61: b"\x01" + hardware,
            **(options or {}),
        }
        body = b"".join(bytes([code, len(value)]) + value for code, value in wanted.items())
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
    options, at = {}, 240
    while at < len(reply) and reply[at] != 255:
        if reply[at] == 0:
            at += 1
            continue
        code, length = reply[at], reply[at + 1]
        options[code] = options.get(code, b"") + reply[at + 2 : at + 2 + length]
        at += 2 + length
    return Answer(options[53][0], socket.inet_ntoa(reply[16:20]), options)
