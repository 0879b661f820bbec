"""Requests to the kernel over netlink: sockets, messages, dumps, attributes. A read costs microseconds, not a process.

Constants have the kernel's names. Those in this file come from ``linux/netlink.h``. A socket belongs to the network
namespace in which it is opened (``netns.in_netns``), so all its requests concern this namespace. What does not belong
here: the messages of a netlink family (``rtnl.py`` for links, addresses and routes; ``nfnetlink.py`` for nftables and
connection tracking).
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

# An inconsistent dump is attempted up to DUMP_ATTEMPTS times. Each pause is DUMP_PAUSE seconds longer than the last.
DUMP_ATTEMPTS = 10
DUMP_PAUSE = 0.01


class NetlinkError(RuntimeError):
    """The kernel's answer is incomplete, inconsistent or malformed. (A request that the kernel refuses raises an
    ``OSError`` with the kernel's error number instead.)"""


class _IncompleteError(Exception):
    """Messages of an answer are missing or inconsistent. The text says why."""


class Netlink:
    """A netlink socket in the current namespace; a context manager."""

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
        """Return the bodies of the messages that answer a dump request: the complete list, as it was at one moment.

        The kernel reports a list that changed while the kernel sent it (NLM_F_DUMP_INTR), and a lost part (ENOBUFS,
        NLMSG_OVERRUN). This method then discards what it has received and repeats the dump.

        :param keep: return only bodies for which ``keep`` returns a true value; for long lists of which few matter.
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
                return [answer for answer in bodies if keep is None or keep(answer)]
            except _IncompleteError as error:
                reason = str(error)
        raise NetlinkError(f"netlink dump of message type {kind}: {reason}, in each of {DUMP_ATTEMPTS} attempts")

    def ask(self, kind: int, body: bytes) -> list[bytes]:
        """Return the bodies of the messages that answer one request; empty if the kernel only acknowledges it.

        :raises OSError: the kernel refused, with its error number (FileNotFoundError for ENOENT, …).
        :raises NetlinkError: the answer was lost. It is unknown whether the kernel carried out the request.
        """
        try:
            return list(self._request(kind, NLM_F_REQUEST | NLM_F_ACK, body))
        except _IncompleteError as error:
            raise NetlinkError(f"netlink request of message type {kind}: {error}") from error

    def _reopen(self) -> None:
        self._socket.close()
        self._socket = _open(self._protocol)

    def _request(self, kind: int, flags: int, body: bytes) -> Iterator[bytes]:
        """Send a request, and yield the body of each message of its answer."""
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
                    if answer in (NLMSG_DONE, NLMSG_ERROR):  # DONE has an error number, too, if a dump failed half-way
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
    """Return length, type, flags and sequence number of the message at ``offset``."""
    if offset + _NLMSGHDR.size <= len(data):
        length, kind, flags, sequence, _ = _NLMSGHDR.unpack_from(data, offset)
        if _NLMSGHDR.size <= length <= len(data) - offset:
            return length, kind, flags, sequence
    raise NetlinkError(f"netlink: a message of {len(data)} bytes is cut off or malformed at byte {offset}")


def _check(body: bytes) -> None:
    """Raise OSError if an NLMSG_ERROR or NLMSG_DONE has an error number: 0 is success, and DONE may have no number."""
    number = _INT.unpack_from(body)[0] if len(body) >= _INT.size else 0
    if number:
        raise OSError(-number, os.strerror(-number))


def aligned(length: int) -> int:
    """Round ``length`` up to a multiple of four, where messages and attributes begin (NLMSG_ALIGN, NLA_ALIGN)."""
    return (length + 3) & ~3


def attributes(data: bytes, offset: int = 0) -> dict[int, bytes]:
    """Return the attributes of a message from ``offset`` on, by type without its flag bits."""
    by_type = {}
    head, end = _NLATTR.size, len(data)
    while offset + head <= end:
        length, kind = _NLATTR.unpack_from(data, offset)
        if length < head:
            break
        by_type[kind & NLA_TYPE_MASK] = data[offset + head : offset + length]
        offset += aligned(length)
    return by_type


def attribute(kind: int, value: bytes) -> bytes:
    """Return an attribute with its padding."""
    length = _NLATTR.size + len(value)
    return _NLATTR.pack(length, kind) + value + bytes(-length % 4)


def attribute_text(kind: int, value: str) -> bytes:
    """Return an attribute whose value is a NUL-terminated string."""
    return attribute(kind, value.encode() + b"\0")


def text(value: bytes) -> str:
    """Decode the value of a NUL-terminated string attribute."""
    return value.rstrip(b"\0").decode()


def number(value: bytes) -> int:
    """Decode an unsigned value in host byte order, of any width."""
    return int.from_bytes(value, "little" if _LITTLE else "big")


_LITTLE = struct.pack("=H", 1) == b"\1\0"
