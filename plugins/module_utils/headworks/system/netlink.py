"""Asking the kernel over netlink: sockets, requests, dumps and attributes. A read costs microseconds, not a process.

What does not belong here: what the messages mean (``rtnl.py`` for links and addresses, ``conntrack.py``, ``nft.py``).
A socket belongs to the namespace in which it is opened (``process.in_netns``).
"""

from __future__ import annotations

import os
import socket
import struct
from collections.abc import Iterator
from types import TracebackType

ROUTE = 0
NETFILTER = 12

F_REQUEST = 0x1
F_ACK = 0x4
F_DUMP = 0x300

_ERROR = 2
_DONE = 3
_HEADER = struct.Struct("=IHHII")
_ATTRIBUTE = struct.Struct("=HH")
_BUFFER = 1 << 18
_TYPE_MASK = 0x3FFF


class Netlink:
    """A netlink socket of the current namespace; a context manager."""

    def __init__(self, protocol: int = ROUTE) -> None:
        self._socket = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, protocol)
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4 * _BUFFER)
        self._socket.settimeout(30)
        self._socket.bind((0, 0))
        self._sequence = 0

    def __enter__(self) -> Netlink:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._socket.close()

    def option(self, level: int, name: int, size: int) -> bytes:
        """A socket option of ``size`` bytes.

        :raises OSError: this kernel does not know it.
        """
        return self._socket.getsockopt(level, name, size)

    def dump(self, kind: int, body: bytes) -> Iterator[bytes]:
        """Bodies of the messages that answer a dump request."""
        yield from self._ask(kind, F_REQUEST | F_DUMP, body)

    def ask(self, kind: int, body: bytes) -> list[bytes]:
        """Bodies of the messages that answer one request; empty if it is only acknowledged.

        :raises OSError: the kernel refused, with its error number (FileNotFoundError for ENOENT, …).
        """
        return list(self._ask(kind, F_REQUEST | F_ACK, body))

    def _ask(self, kind: int, flags: int, body: bytes) -> Iterator[bytes]:
        self._sequence += 1
        self._socket.send(_HEADER.pack(16 + len(body), kind, flags, self._sequence, 0) + body)
        while True:
            data = self._socket.recv(_BUFFER)
            offset = 0
            while offset + 16 <= len(data):
                length, answer, _, sequence, _ = _HEADER.unpack_from(data, offset)
                if sequence == self._sequence:
                    if answer == _DONE:
                        return
                    if answer == _ERROR:
                        (number,) = struct.unpack_from("=i", data, offset + 16)
                        if number:
                            raise OSError(-number, os.strerror(-number))
                        return
                    yield data[offset + 16 : offset + length]
                offset += (length + 3) & ~3


def attributes(data: bytes, offset: int = 0) -> dict[int, bytes]:
    """Attributes of a message from ``offset`` on, by type; the flag bits of the type are left off."""
    found = {}
    end = len(data)
    while offset + 4 <= end:
        length, kind = _ATTRIBUTE.unpack_from(data, offset)
        if length < 4:
            break
        found[kind & _TYPE_MASK] = data[offset + 4 : offset + length]
        offset += (length + 3) & ~3
    return found


def attribute(kind: int, value: bytes) -> bytes:
    """One attribute, padded."""
    length = 4 + len(value)
    return _ATTRIBUTE.pack(length, kind) + value + bytes(-length % 4)


def text(value: bytes) -> str:
    """A NUL-terminated string attribute."""
    return value.rstrip(b"\0").decode()


def number(value: bytes) -> int:
    """An unsigned attribute in host order, of whatever width."""
    return int.from_bytes(value, "little" if _LITTLE else "big")


_LITTLE = struct.pack("=H", 1) == b"\1\0"
