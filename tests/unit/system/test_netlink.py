"""Netlink requests to a fake socket, which sends the answers that a test sets."""

from __future__ import annotations

import errno
import socket
import struct
from collections.abc import Callable, Sequence
from typing import Any

import pytest
from headworks.system import netlink
from headworks.system.netlink import (
    DUMP_ATTEMPTS,
    NLM_F_DUMP_INTR,
    NLMSG_DONE,
    NLMSG_ERROR,
    NLMSG_NOOP,
    NLMSG_OVERRUN,
    Netlink,
    NetlinkError,
)

GET = 18  # message type of the requests; netlink.py does not interpret it
ITEM = 16  # message type of the answers

Reply = bytes | OSError
Kernel = Callable[..., list["FakeSocket"]]


def message(body: bytes, kind: int = ITEM, flags: int = 0, sequence: int | None = None) -> Callable[[int], bytes]:
    """Return a function: number of a request → message that answers it."""
    padding = bytes(-len(body) % 4)
    return lambda number: (
        struct.pack("=IHHII", 16 + len(body), kind, flags, sequence if sequence is not None else number, 0)
        + body
        + padding
    )


DONE = message(struct.pack("=i", 0), NLMSG_DONE)
ACK = message(struct.pack("=i", 0) + bytes(16), NLMSG_ERROR)


def refusal(number: int, kind: int = NLMSG_ERROR) -> Callable[[int], bytes]:
    return message(struct.pack("=i", -number) + bytes(16), kind)


class FakeSocket:
    """Answers requests with ``datagrams``. A datagram is a list of messages, an error to raise, or raw bytes."""

    def __init__(self, datagrams: Sequence[Any]) -> None:
        self.datagrams = list(datagrams)
        self.sent: list[bytes] = []
        self.closed = False

    def send(self, data: bytes) -> None:
        self.sent.append(data)

    def recv(self, size: int) -> bytes:
        datagram = self.datagrams.pop(0)
        if isinstance(datagram, OSError):
            raise datagram
        if isinstance(datagram, bytes):
            return datagram
        number = struct.unpack_from("=IHHI", self.sent[-1])[3]
        return b"".join(build(number) for build in datagram)

    def close(self) -> None:
        self.closed = True

    def setsockopt(self, *_: int) -> None: ...

    def settimeout(self, _: float) -> None: ...

    def bind(self, _: tuple[int, int]) -> None: ...


@pytest.fixture
def kernel(monkeypatch: pytest.MonkeyPatch) -> Kernel:
    """Return a function: lists of datagrams → the sockets that are opened later. The N-th socket gets the N-th list;
    further sockets get the last list."""
    opened: list[FakeSocket] = []

    def prepare(*scripts: Sequence[Any]) -> list[FakeSocket]:
        def open_socket(*_: int) -> FakeSocket:
            opened.append(FakeSocket(scripts[min(len(opened), len(scripts) - 1)]))
            return opened[-1]

        monkeypatch.setattr(netlink.socket, "socket", open_socket)
        monkeypatch.setattr(netlink.time, "sleep", lambda _: None)
        return opened

    return prepare


def test_a_dump_returns_the_messages_of_all_datagrams_up_to_done(kernel: Kernel) -> None:
    opened = kernel([[message(b"a"), message(b"bcdef")], [message(b"gh")], [DONE]])
    with Netlink() as kernel_socket:
        assert kernel_socket.dump(GET, b"body") == [b"a", b"bcdef", b"gh"]
    assert opened[0].sent == [struct.pack("=IHHII", 20, GET, 0x301, 1, 0) + b"body"]
    assert opened[0].closed


def test_messages_of_earlier_requests_and_noop_messages_are_not_part_of_an_answer(kernel: Kernel) -> None:
    kernel([[message(b"old", sequence=0), message(b"", NLMSG_NOOP), message(b"new")], [DONE]])
    with Netlink() as kernel_socket:
        assert kernel_socket.dump(GET, b"") == [b"new"]


def test_a_dump_returns_only_bodies_that_keep_accepts(kernel: Kernel) -> None:
    kernel([[message(b"ab"), message(b"cd")], [DONE]])
    with Netlink() as kernel_socket:
        assert kernel_socket.dump(GET, b"", keep=lambda body: b"c" in body) == [b"cd"]


@pytest.mark.parametrize(
    "interruption",
    [
        [[message(b"stale"), message(b"x", flags=NLM_F_DUMP_INTR)]],
        [[message(b"stale")], [message(struct.pack("=i", 0), NLMSG_DONE, flags=NLM_F_DUMP_INTR)]],
        [[message(b"stale")], OSError(errno.ENOBUFS, "No buffer space available")],
        [[message(b"stale")], [message(b"", NLMSG_OVERRUN)]],
    ],
    ids=["list changed", "list changed, flag on DONE", "receive buffer overflowed", "overrun"],
)
def test_an_interrupted_dump_is_repeated_as_a_whole_on_a_new_socket(kernel: Kernel, interruption: list[Any]) -> None:
    opened = kernel(interruption, interruption, [[message(b"good"), DONE]])
    with Netlink() as kernel_socket:
        assert kernel_socket.dump(GET, b"body") == [b"good"]
    assert [(len(opened_socket.sent), opened_socket.closed) for opened_socket in opened] == [(1, True)] * 3
    assert len({opened_socket.sent[0][16:] for opened_socket in opened}) == 1


def test_a_dump_that_is_interrupted_in_each_attempt_is_an_error_that_says_so(kernel: Kernel) -> None:
    opened = kernel([[message(b"x", flags=NLM_F_DUMP_INTR)]])
    reason = f"type {GET}: the list changed .* of {DUMP_ATTEMPTS} att"
    with Netlink() as kernel_socket, pytest.raises(NetlinkError, match=reason):
        kernel_socket.dump(GET, b"")
    assert len(opened) == DUMP_ATTEMPTS


@pytest.mark.parametrize("kind", [NLMSG_ERROR, NLMSG_DONE], ids=["at once", "half-way"])
def test_a_dump_that_the_kernel_refuses_raises_the_kernels_error(kernel: Kernel, kind: int) -> None:
    kernel([[message(b"a")], [refusal(errno.EPERM, kind)]])
    with Netlink() as kernel_socket, pytest.raises(PermissionError):
        kernel_socket.dump(GET, b"")


def test_a_request_returns_the_answer_or_an_empty_list_for_an_acknowledgement(kernel: Kernel) -> None:
    kernel([[message(b"a")], [ACK], [ACK]])
    with Netlink() as kernel_socket:
        assert kernel_socket.ask(GET, b"") == [b"a"]
        assert kernel_socket.ask(GET, b"") == []


def test_a_refused_request_raises_the_kernels_error(kernel: Kernel) -> None:
    kernel([[refusal(errno.ENOENT)]])
    with Netlink() as kernel_socket, pytest.raises(FileNotFoundError):
        kernel_socket.ask(GET, b"")


def test_a_request_whose_answer_was_lost_is_not_repeated(kernel: Kernel) -> None:
    opened = kernel([OSError(errno.ENOBUFS, "No buffer space available")])
    with Netlink() as kernel_socket, pytest.raises(NetlinkError, match="buffer overflowed"):
        kernel_socket.ask(GET, b"")
    assert len(opened) == 1


@pytest.mark.parametrize("data", [b"\0" * 8, struct.pack("=IHHII", 64, ITEM, 0, 1, 0), bytes(16)])
def test_a_message_that_is_cut_off_is_an_error(kernel: Kernel, data: bytes) -> None:
    kernel([data])
    with Netlink() as kernel_socket, pytest.raises(NetlinkError, match="cut off"):
        kernel_socket.dump(GET, b"")


def test_a_missing_answer_is_an_error_after_the_timeout(kernel: Kernel) -> None:
    kernel([TimeoutError("timed out")])
    with Netlink() as kernel_socket, pytest.raises(NetlinkError, match="no answer"):
        kernel_socket.dump(GET, b"")


def test_written_attributes_are_read_back_without_the_flags_of_their_type() -> None:
    nested = netlink.attribute(5, netlink.attribute_text(3, "eth0")) + netlink.attribute(2 | 0x8000, b"abcde")
    found = netlink.attributes(b"head" + nested, 4)
    assert set(found) == {5, 2}
    assert found[2] == b"abcde"
    assert netlink.text(netlink.attributes(found[5])[3]) == "eth0"


def test_a_malformed_attribute_ends_the_parsing() -> None:
    assert netlink.attributes(struct.pack("=HH", 0, 7)) == {}


def test_a_number_may_have_any_width() -> None:
    assert netlink.number(struct.pack("=I", 1450)) == netlink.number(struct.pack("=H", 1450)) == 1450


def test_the_real_kernel_lists_the_loopback_device() -> None:
    from headworks.system.rtnl import links

    assert links(["lo"])["lo"].index == socket.if_nametoindex("lo")
    assert links()["lo"] == links(["lo"])["lo"]
