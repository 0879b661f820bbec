"""Netlink requests against a socket that says what the test wants it to say."""

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

GET = 18  # of the requests; netlink.py does not care what it means
ITEM = 16  # of the answers

Reply = bytes | OSError
Kernel = Callable[..., list["FakeSocket"]]


def message(body: bytes, kind: int = ITEM, flags: int = 0, sequence: int | None = None) -> Callable[[int], bytes]:
    """A message in answer to request number N."""
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
    """Answers a request by the datagrams given: each a list of messages, an error, or bytes as they are."""

    def __init__(self, datagrams: Sequence[Any]) -> None:
        self.datagrams = list(datagrams)
        self.sent: list[bytes] = []
        self.closed = False

    def send(self, data: bytes) -> None:
        self.sent.append(data)

    def recv(self, size: int) -> bytes:
        one = self.datagrams.pop(0)
        if isinstance(one, OSError):
            raise one
        if isinstance(one, bytes):
            return one
        number = struct.unpack_from("=IHHI", self.sent[-1])[3]
        return b"".join(build(number) for build in one)

    def close(self) -> None:
        self.closed = True

    def setsockopt(self, *_: int) -> None: ...

    def settimeout(self, _: float) -> None: ...

    def bind(self, _: tuple[int, int]) -> None: ...


@pytest.fixture
def kernel(monkeypatch: pytest.MonkeyPatch) -> Kernel:
    """Each socket opened gets the next of the lists of datagrams (the last list: all further ones)."""
    opened: list[FakeSocket] = []

    def prepare(*scripts: Sequence[Any]) -> list[FakeSocket]:
        def open_socket(*_: int) -> FakeSocket:
            opened.append(FakeSocket(scripts[min(len(opened), len(scripts) - 1)]))
            return opened[-1]

        monkeypatch.setattr(netlink.socket, "socket", open_socket)
        monkeypatch.setattr(netlink.time, "sleep", lambda _: None)
        return opened

    return prepare


def test_a_dump_is_all_messages_of_all_datagrams_up_to_the_end(kernel: Kernel) -> None:
    opened = kernel([[message(b"a"), message(b"bcdef")], [message(b"gh")], [DONE]])
    with Netlink() as one:
        assert one.dump(GET, b"body") == [b"a", b"bcdef", b"gh"]
    assert opened[0].sent == [struct.pack("=IHHII", 20, GET, 0x301, 1, 0) + b"body"]
    assert opened[0].closed


def test_messages_of_earlier_requests_and_empty_ones_are_not_part_of_an_answer(kernel: Kernel) -> None:
    kernel([[message(b"old", sequence=0), message(b"", NLMSG_NOOP), message(b"new")], [DONE]])
    with Netlink() as one:
        assert one.dump(GET, b"") == [b"new"]


def test_only_what_is_to_be_kept_is_kept(kernel: Kernel) -> None:
    kernel([[message(b"ab"), message(b"cd")], [DONE]])
    with Netlink() as one:
        assert one.dump(GET, b"", keep=lambda body: b"c" in body) == [b"cd"]


@pytest.mark.parametrize(
    "interruption",
    [
        [[message(b"stale"), message(b"x", flags=NLM_F_DUMP_INTR)]],
        [[message(b"stale")], [message(struct.pack("=i", 0), NLMSG_DONE, flags=NLM_F_DUMP_INTR)]],
        [[message(b"stale")], OSError(errno.ENOBUFS, "No buffer space available")],
        [[message(b"stale")], [message(b"", NLMSG_OVERRUN)]],
    ],
    ids=["changed meanwhile", "changed, said at the end", "receive buffer overflowed", "overrun"],
)
def test_an_interrupted_dump_is_repeated_as_a_whole_on_a_new_socket(kernel: Kernel, interruption: list[Any]) -> None:
    opened = kernel(interruption, interruption, [[message(b"good"), DONE]])
    with Netlink() as one:
        assert one.dump(GET, b"body") == [b"good"]
    assert [(len(each.sent), each.closed) for each in opened] == [(1, True)] * 3
    assert len({each.sent[0][16:] for each in opened}) == 1


def test_a_dump_that_is_interrupted_each_time_is_an_error_that_says_so(kernel: Kernel) -> None:
    opened = kernel([[message(b"x", flags=NLM_F_DUMP_INTR)]])
    with Netlink() as one, pytest.raises(NetlinkError, match=f"type {GET}: the list changed .* of {DUMP_ATTEMPTS} att"):
        one.dump(GET, b"")
    assert len(opened) == DUMP_ATTEMPTS


@pytest.mark.parametrize("kind", [NLMSG_ERROR, NLMSG_DONE], ids=["at once", "half-way"])
def test_a_dump_that_the_kernel_refuses_is_its_error(kernel: Kernel, kind: int) -> None:
    kernel([[message(b"a")], [refusal(errno.EPERM, kind)]])
    with Netlink() as one, pytest.raises(PermissionError):
        one.dump(GET, b"")


def test_a_request_is_answered_and_acknowledged(kernel: Kernel) -> None:
    kernel([[message(b"a")], [ACK], [ACK]])
    with Netlink() as one:
        assert one.ask(GET, b"") == [b"a"]
        assert one.ask(GET, b"") == []


def test_a_refused_request_is_the_kernels_error(kernel: Kernel) -> None:
    kernel([[refusal(errno.ENOENT)]])
    with Netlink() as one, pytest.raises(FileNotFoundError):
        one.ask(GET, b"")


def test_a_request_whose_answer_was_lost_is_not_repeated(kernel: Kernel) -> None:
    opened = kernel([OSError(errno.ENOBUFS, "No buffer space available")])
    with Netlink() as one, pytest.raises(NetlinkError, match="buffer overflowed"):
        one.ask(GET, b"")
    assert len(opened) == 1


@pytest.mark.parametrize("data", [b"\0" * 8, struct.pack("=IHHII", 64, ITEM, 0, 1, 0), bytes(16)])
def test_a_message_that_is_cut_off_is_an_error_and_no_endless_loop(kernel: Kernel, data: bytes) -> None:
    kernel([data])
    with Netlink() as one, pytest.raises(NetlinkError, match="cut off"):
        one.dump(GET, b"")


def test_a_kernel_that_does_not_answer_is_an_error(kernel: Kernel) -> None:
    kernel([TimeoutError("timed out")])
    with Netlink() as one, pytest.raises(NetlinkError, match="no answer"):
        one.dump(GET, b"")


def test_attributes_written_are_read_back_without_the_flags_of_their_type() -> None:
    nested = netlink.attribute(5, netlink.attribute_text(3, "eth0")) + netlink.attribute(2 | 0x8000, b"abcde")
    found = netlink.attributes(b"head" + nested, 4)
    assert set(found) == {5, 2}
    assert found[2] == b"abcde"
    assert netlink.text(netlink.attributes(found[5])[3]) == "eth0"


def test_malformed_attributes_end_the_reading() -> None:
    assert netlink.attributes(struct.pack("=HH", 0, 7)) == {}


def test_a_number_has_any_width() -> None:
    assert netlink.number(struct.pack("=I", 1450)) == netlink.number(struct.pack("=H", 1450)) == 1450


def test_the_real_kernel_lists_the_loopback_device() -> None:
    from headworks.system.rtnl import links

    assert links(["lo"])["lo"].index == socket.if_nametoindex("lo")
    assert links()["lo"] == links(["lo"])["lo"]
