"""Ethernet frames as bytes, and raw sockets in namespaces that send and receive frames.

What does not belong here: anything that knows of a cloud.
"""

from __future__ import annotations

import socket
import struct
import time
from ipaddress import ip_address

from headworks.system.netns import in_netns

BROADCAST = "ff:ff:ff:ff:ff:ff"
ETH_P_ALL = 3
SOL_PACKET, PACKET_AUXDATA, TP_STATUS_VLAN_VALID = 263, 8, 0x10


def mac(text: str) -> bytes:
    """Return a MAC address as six octets."""
    return bytes.fromhex(text.replace(":", ""))


def ethernet(source: str, target: str, kind: int, payload: bytes, vlan: int | None = None) -> bytes:
    """Return a frame, with a VLAN tag if ``vlan`` is given."""
    tag = struct.pack("!HH", 0x8100, vlan) if vlan is not None else b""
    return mac(target) + mac(source) + tag + struct.pack("!H", kind) + payload


def arp(
    operation: int, sender: tuple[str, str], target: tuple[str, str], source: str = "", vlan: int | None = None
) -> bytes:
    """Return a broadcast frame with an ARP packet. ``sender`` and ``target`` are (MAC, IPv4). ``source`` is the frame's
    source MAC if it differs from the sender's."""
    body = struct.pack("!HHBBH", 1, 0x0800, 6, 4, operation)
    body += mac(sender[0]) + ip_address(sender[1]).packed + mac(target[0]) + ip_address(target[1]).packed
    return ethernet(source or sender[0], BROADCAST, 0x0806, body, vlan)


def _checksum(data: bytes) -> int:
    data += b"\0" * (len(data) % 2)
    total: int = sum(struct.unpack(f"!{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


def ip_packet(source: str, target: str, protocol: int, payload: bytes) -> bytes:
    """Return an IPv4 or IPv6 packet, depending on the addresses."""
    sender, receiver = ip_address(source), ip_address(target)
    addresses = sender.packed + receiver.packed
    if sender.version == 6:
        return struct.pack("!IHBB", 6 << 28, len(payload), protocol, 255) + addresses + payload
    head = struct.pack("!BBHHHBBH", 0x45, 0, 20 + len(payload), 1, 0, 64, protocol, 0) + addresses
    return head[:10] + struct.pack("!H", _checksum(head)) + head[12:] + payload


def udp(source_port: int, target_port: int, payload: bytes = b"") -> bytes:
    """Return a UDP datagram without a checksum."""
    return struct.pack("!HHHH", source_port, target_port, 8 + len(payload), 0) + payload


def icmp6(source: str, target: str, kind: int, body: bytes) -> bytes:
    """Return an ICMPv6 message with its checksum. ``body`` follows the first four octets."""
    message = struct.pack("!BBH", kind, 0, 0) + body
    pseudo = ip_address(source).packed + ip_address(target).packed + struct.pack("!II", len(message), 58)
    return message[:2] + struct.pack("!H", _checksum(pseudo + message)) + message[4:]


def _with_tag(data: bytes, extra: list[tuple[int, int, bytes]]) -> bytes:
    """Return the frame as it was on the wire. The kernel passes a VLAN tag separately (struct tpacket_auxdata)."""
    for level, kind, value in extra:
        if (level, kind) == (SOL_PACKET, PACKET_AUXDATA):
            status, _, _, _, _, tci, tpid = struct.unpack("=IIIHHHH", value[:20])
            if status & TP_STATUS_VLAN_VALID:
                return data[:12] + struct.pack("!HH", tpid, tci) + data[12:]
    return data


class RawSocket:
    """A packet socket on ``device`` in namespace ``netns``. It sends frames and receives the frames that arrive."""

    def __init__(self, netns: str, device: str) -> None:
        with in_netns(netns):
            self._socket = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(ETH_P_ALL))
            self._socket.bind((device, ETH_P_ALL))
            self._socket.setsockopt(SOL_PACKET, PACKET_AUXDATA, 1)

    def close(self) -> None:
        """Close the socket."""
        self._socket.close()

    def send(self, frame: bytes) -> None:
        """Send a frame."""
        self._socket.send(frame)

    def until(self, wanted: bytes, seconds: float = 5.0) -> list[bytes]:
        """Receive frames until a frame contains ``wanted``. Returns all received frames.

        :raises TimeoutError: no frame with ``wanted`` arrived within ``seconds``.
        """
        received = []
        end = time.monotonic() + seconds
        while (left := end - time.monotonic()) > 0:
            self._socket.settimeout(left)
            try:
                data, extra, _, origin = self._socket.recvmsg(65535, 256)
            except TimeoutError:
                break
            if origin[2] == socket.PACKET_OUTGOING:
                continue
            frame = _with_tag(data, extra)
            received.append(frame)
            if wanted in frame:
                return received
        raise TimeoutError(f"no frame with {wanted!r} among the {len(received)} that arrived")
