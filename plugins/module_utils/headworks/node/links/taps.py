"""Making persistent taps so that being killed half way leaves none: a tap lives by its open file until it is finished.

Everything else about taps is as for other links (``links.py``).
"""

from __future__ import annotations

import fcntl
import os
import struct
from collections.abc import Sequence

from ...system.ip_batch import ip_batch

_TUNSETIFF = 0x400454CA
_TUNSETPERSIST = 0x400454CB
_TAP, _NO_PI = 0x0002, 0x1000
_AT_ONCE = 256  # open files at a time


def make_taps(taps: Sequence[tuple[str, Sequence[str]]]) -> None:
    """Make taps of the current namespace.

    :param taps: (name, ``ip`` commands that finish it: its group, MTU, up).
    :raises OSError: the name is taken by something else, or /dev/net/tun cannot be opened.
    """
    for start in range(0, len(taps), _AT_ONCE):
        some = taps[start : start + _AT_ONCE]
        files = []
        try:
            for name, _ in some:
                files.append(os.open("/dev/net/tun", os.O_RDWR | os.O_CLOEXEC))
                try:
                    fcntl.ioctl(files[-1], _TUNSETIFF, struct.pack("16sH22x", name.encode(), _TAP | _NO_PI))
                except OSError as error:
                    raise OSError(error.errno, f"tap {name}: {error.strerror}") from error
            ip_batch([line for _, lines in some for line in lines])
            for file in files:
                fcntl.ioctl(file, _TUNSETPERSIST, 1)
        finally:
            for file in files:
                os.close(file)
