"""Read and set a device's transmit checksum offload by the ethtool ioctl: microseconds; ``ethtool -K`` is a process.

A device that sends into Open vSwitch's userspace datapath needs this offload off (TCP would hang otherwise).
"""

from __future__ import annotations

import array
import errno
import fcntl
import socket
import struct

# linux/sockios.h, linux/ethtool.h
SIOCETHTOOL = 0x8946
ETHTOOL_GTXCSUM = 0x16
ETHTOOL_STXCSUM = 0x17
_UNSUPPORTED = (errno.EOPNOTSUPP, errno.ENODEV, errno.EINVAL)


def tx_checksum(query: socket.socket, device: str) -> bool:
    """Whether the device leaves checksums to its receiver or hardware. False if the device does not support this or
    does not exist.

    :param query: any socket in the device's namespace.
    """
    try:
        return bool(_ethtool(query, device, ETHTOOL_GTXCSUM, 0))
    except OSError as error:
        if error.errno in _UNSUPPORTED:
            return False
        raise


def set_tx_checksum(query: socket.socket, device: str, on: bool) -> None:
    """Switch the device's transmit checksum offload ``on`` or off.

    :raises OSError: the device does not exist or does not support this.
    """
    try:
        _ethtool(query, device, ETHTOOL_STXCSUM, int(on))
    except OSError as error:
        raise OSError(error.errno, f"{device}: transmit checksum offload: {error.strerror}") from error


def _ethtool(query: socket.socket, device: str, command: int, value: int) -> int:
    data = array.array("I", [command, value])
    address, _ = data.buffer_info()
    fcntl.ioctl(query, SIOCETHTOOL, struct.pack("16sQ16x", device.encode(), address))
    return data[1]
