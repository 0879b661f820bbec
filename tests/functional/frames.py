"""Ethernet frames as bytes, and raw sockets in namespaces to send and see them. Nothing of a cloud belongs here."""

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
    """Six octets."""
    return bytes.fromhex(text.replace(":", ""))


def ethernet(source: str, target: str, kind: int, payload: bytes, vlan: int | None = None) -> bytes:
    """A frame, tagged if ``vlan`` is given."""
    tag = struct.pack("!HH", 0x8100, vlan) if vlan is not None else b""
    return mac(target) + mac(source) + tag + struct.pack("!H", kind) + payload


def arp(
    operation: int, sender: tuple[str, str], target: tuple[str, str], source: str = "", vlan: int | None = None
) -> bytes:
    """A broadcast ARP packet; ``sender`` and ``target`` are (MAC, IPv4); ``source`` is the frame's MAC if another."""
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
    """An IPv4 or IPv6 packet, by its addresses."""
    one, other = ip_address(source), ip_address(target)
    if one.version == 6:
        return struct.pack("!IHBB", 6 << 28, len(payload), protocol, 255) + one.packed + other.packed + payload
    head = struct.pack("!BBHHHBBH", 0x45, 0, 20 + len(payload), 1, 0, 64, protocol, 0) + one.packed + other.packed
    return head[:10] + struct.pack("!H", _checksum(head)) + head[12:] + payload


def udp(source_port: int, target_port: int, payload: bytes = b"") -> bytes:
    """A UDP datagram without a checksum."""
    return struct.pack("!HHHH", source_port, target_port, 8 + len(payload), 0) + payload


def icmp6(source: str, target: str, kind: int, body: bytes) -> bytes:
    """An ICMPv6 message with its checksum: ``body`` is what follows the first four octets."""
    one, other = ip_address(source), ip_address(target)
    message = struct.pack("!BBH", kind, 0, 0) + body
    pseudo = one.packed + other.packed + struct.pack("!II", len(message), 58)
    return message[:2] + struct.pack("!H", _checksum(pseudo + message)) + message[4:]


def _with_tag(data: bytes, extra: list[tuple[int, int, bytes]]) -> bytes:
    """The frame as it was on the wire: the kernel hands a VLAN tag over beside the data (struct tpacket_auxdata)."""
    for level, kind, value in extra:
        if (level, kind) == (SOL_PACKET, PACKET_AUXDATA):
            status, _, _, _, _, tci, tpid = struct.unpack("=IIIHHHH", value[:20])
            if status & TP_STATUS_VLAN_VALID:
                return data[:12] + struct.pack("!HH", tpid, tci) + data[12:]
    return data


class RawSocket:
    """A packet socket on ``device`` in namespace ``netns``: sends frames, and sees those that arrive."""

    def __init__(self, netns: str, device: str) -> None:
        with in_netns(netns):
            self._socket = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(ETH_P_ALL))
            self._socket.bind((device, ETH_P_ALL))
            self._socket.setsockopt(SOL_PACKET, PACKET_AUXDATA, 1)

    def close(self) -> None:
        """Close it."""
        self._socket.close()

    def send(self, frame: bytes) -> None:
        """Send one frame."""
        self._socket.send(frame)

    def until(self, wanted: bytes, seconds: float = 5.0) -> list[bytes]:
        """The frames that arrive up to and with the first that contains ``wanted``.

        :raises TimeoutError: none did within ``seconds``.
        """
        seen = []
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
            seen.append(frame)
            if wanted in frame:
                return seen
        raise TimeoutError(f"no frame with {wanted!r} among {len(seen)} that arrived")
