"""Transmit checksum offload of a device, by the ethtool ioctl: microseconds where ``ethtool -K`` is a process.

Who needs it off: whatever sends into Open vSwitch's userspace datapath (TCP would hang otherwise).
"""

from __future__ import annotations

import array
import errno
import fcntl
import socket
import struct

_SIOCETHTOOL = 0x8946
_GET_TX, _SET_TX = 0x16, 0x17
_UNSUPPORTED = (errno.EOPNOTSUPP, errno.ENODEV, errno.EINVAL)


def tx_checksum(query: socket.socket, device: str) -> bool:
    """Whether the device leaves checksums to its receiver or hardware; False if it cannot or is not there.

    :param query: any socket of the device's namespace.
    """
    try:
        return bool(_ethtool(query, device, _GET_TX, 0))
    except OSError as error:
        if error.errno in _UNSUPPORTED:
            return False
        raise


def set_tx_checksum(query: socket.socket, device: str, on: bool) -> None:
    """Switch it.

    :raises OSError: the device is not there, or cannot.
    """
    try:
        _ethtool(query, device, _SET_TX, int(on))
    except OSError as error:
        raise OSError(error.errno, f"{device}: transmit checksum offload: {error.strerror}") from error


def _ethtool(query: socket.socket, device: str, command: int, value: int) -> int:
    data = array.array("I", [command, value])
    address, _ = data.buffer_info()
    fcntl.ioctl(query, _SIOCETHTOOL, struct.pack("16sQ16x", device.encode(), address))
    return data[1]
