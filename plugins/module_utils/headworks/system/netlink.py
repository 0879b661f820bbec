"""Requests to the kernel over netlink: sockets, messages, dumps, attributes. A read costs microseconds, not a process.

Numbers bear the kernel's names; those here come from ``linux/netlink.h``. What does not belong here: the messages of a
family (``rtnl.py`` for links, addresses and routes; ``nfnetlink.py`` for nftables and connection tracking).
A socket belongs to the network namespace in which it is opened (``netns.in_netns``), so all requests over it are made
within that namespace.
"""

from __future__ import annotations

import errno
import os
import socket
import struct
import time
from collections.abc import Callable, Iterator
from types import TracebackType

NETLINK_ROUTE = 0
NETLINK_NETFILTER = 12

NLM_F_REQUEST = 0x01
NLM_F_ACK = 0x04
NLM_F_DUMP_INTR = 0x10
NLM_F_DUMP = 0x100 | 0x200  # NLM_F_ROOT | NLM_F_MATCH

NLMSG_NOOP = 1
NLMSG_ERROR = 2
NLMSG_DONE = 3
NLMSG_OVERRUN = 4

NLA_F_NESTED = 1 << 15
NLA_TYPE_MASK = 0x3FFF  # without NLA_F_NESTED and NLA_F_NET_BYTEORDER

_NLMSGHDR = struct.Struct("=IHHII")  # length, type, flags, sequence, port id
_NLATTR = struct.Struct("=HH")  # length, type
_INT = struct.Struct("=i")
_BUFFER = 1 << 18
_SECONDS = 30.0  # within which the kernel must answer

# A dump that the kernel calls inconsistent is repeated this often, after a pause that grows by as much each time.
DUMP_ATTEMPTS = 10
DUMP_PAUSE = 0.01


class NetlinkError(RuntimeError):
    """The kernel's answer cannot be used: it is incomplete, inconsistent or malformed. (What the kernel refuses is an
    ``OSError`` with the kernel's error number.)"""


class _IncompleteError(Exception):
    """Messages of an answer are missing, or do not fit each other; the text says why."""


class Netlink:
    """A netlink socket of the current namespace; a context manager."""

    def __init__(self, protocol: int = NETLINK_ROUTE) -> None:
        self._protocol = protocol
        self._sequence = 0
        self._socket = _open(protocol)

    def __enter__(self) -> Netlink:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._socket.close()

    def dump(self, kind: int, body: bytes, keep: Callable[[bytes], object] | None = None) -> list[bytes]:
        """Bodies of the messages that answer a dump request: the whole list, as it was at one moment.

        The kernel says so when the list changed while it was being sent (NLM_F_DUMP_INTR), or when a part of it was
        lost (ENOBUFS, NLMSG_OVERRUN). What has been received is then thrown away and the dump repeated.

        :param keep: only bodies for which it returns something true are kept; for long lists of which few matter.
        :raises OSError: the kernel refused, with its error number.
        :raises NetlinkError: each of ``DUMP_ATTEMPTS`` dumps was interrupted.
        """
        reason = ""
        for attempt in range(DUMP_ATTEMPTS):
            if attempt:
                time.sleep(DUMP_PAUSE * attempt)
                self._reopen()  # the rest of the interrupted dump may still be under way on the old socket
            try:
                bodies = self._request(kind, NLM_F_REQUEST | NLM_F_DUMP, body)
                return [one for one in bodies if keep is None or keep(one)]
            except _IncompleteError as error:
                reason = str(error)
        raise NetlinkError(f"netlink dump of message type {kind}: {reason}, in each of {DUMP_ATTEMPTS} attempts")

    def ask(self, kind: int, body: bytes) -> list[bytes]:
        """Bodies of the messages that answer one request; empty if it is only acknowledged.

        :raises OSError: the kernel refused, with its error number (FileNotFoundError for ENOENT, …).
        :raises NetlinkError: the answer was lost; whether the request was carried out is not known.
        """
        try:
            return list(self._request(kind, NLM_F_REQUEST | NLM_F_ACK, body))
        except _IncompleteError as error:
            raise NetlinkError(f"netlink request of message type {kind}: {error}") from error

    def _reopen(self) -> None:
        self._socket.close()
        self._socket = _open(self._protocol)

    def _request(self, kind: int, flags: int, body: bytes) -> Iterator[bytes]:
        """Send a request, and yield the bodies of its answer as they come."""
        self._sequence += 1
        self._socket.send(_NLMSGHDR.pack(_NLMSGHDR.size + len(body), kind, flags, self._sequence, 0) + body)
        while True:
            data = self._receive()
            offset = 0
            while offset < len(data):
                length, answer, remarks, sequence = _header(data, offset)
                if sequence == self._sequence:
                    if remarks & NLM_F_DUMP_INTR:
                        raise _IncompleteError("the list changed while the kernel was sending it")
                    if answer == NLMSG_OVERRUN:
                        raise _IncompleteError("the kernel lost a part of the answer")
                    if answer in (NLMSG_DONE, NLMSG_ERROR):  # DONE too has an error if a dump failed half-way
                        _check(data[offset + _NLMSGHDR.size : offset + length])
                        return
                    if answer != NLMSG_NOOP:
                        yield data[offset + _NLMSGHDR.size : offset + length]
                offset += aligned(length)

    def _receive(self) -> bytes:
        try:
            return self._socket.recv(_BUFFER)
        except TimeoutError as error:
            raise NetlinkError(f"netlink: no answer within {_SECONDS:.0f} s") from error
        except OSError as error:
            if error.errno == errno.ENOBUFS:
                raise _IncompleteError("the socket's receive buffer overflowed") from error
            raise


def _open(protocol: int) -> socket.socket:
    opened = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, protocol)
    opened.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4 * _BUFFER)
    opened.settimeout(_SECONDS)
    opened.bind((0, 0))
    return opened


def _header(data: bytes, offset: int) -> tuple[int, int, int, int]:
    """Length, type, flags and sequence of the message at ``offset``."""
    if offset + _NLMSGHDR.size <= len(data):
        length, kind, flags, sequence, _ = _NLMSGHDR.unpack_from(data, offset)
        if _NLMSGHDR.size <= length <= len(data) - offset:
            return length, kind, flags, sequence
    raise NetlinkError(f"netlink: a message of {len(data)} bytes is cut off or malformed at byte {offset}")


def _check(body: bytes) -> None:
    """Raise the error of an NLMSG_ERROR or NLMSG_DONE; 0 is success, and DONE need not have a number."""
    number = _INT.unpack_from(body)[0] if len(body) >= _INT.size else 0
    if number:
        raise OSError(-number, os.strerror(-number))


def aligned(length: int) -> int:
    """``length`` rounded up to the four bytes at which messages and attributes begin (NLMSG_ALIGN, NLA_ALIGN)."""
    return (length + 3) & ~3


def attributes(data: bytes, offset: int = 0) -> dict[int, bytes]:
    """Attributes of a message from ``offset`` on, by type; the flag bits of the type are left off."""
    found = {}
    head, end = _NLATTR.size, len(data)
    while offset + head <= end:
        length, kind = _NLATTR.unpack_from(data, offset)
        if length < head:
            break
        found[kind & NLA_TYPE_MASK] = data[offset + head : offset + length]
        offset += aligned(length)
    return found


def attribute(kind: int, value: bytes) -> bytes:
    """One attribute, padded."""
    length = _NLATTR.size + len(value)
    return _NLATTR.pack(length, kind) + value + bytes(-length % 4)


def attribute_text(kind: int, value: str) -> bytes:
    """One attribute that is a NUL-terminated string."""
    return attribute(kind, value.encode() + b"\0")


def text(value: bytes) -> str:
    """A NUL-terminated string attribute."""
    return value.rstrip(b"\0").decode()


def number(value: bytes) -> int:
    """An unsigned attribute in host order, of whatever width."""
    return int.from_bytes(value, "little" if _LITTLE else "big")


_LITTLE = struct.pack("=H", 1) == b"\1\0"
