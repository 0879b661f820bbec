"""Creation of persistent taps. Until a tap is complete, it exists only as long as its file is open, so a killed run
leaves no incomplete tap.

What does not belong here: how taps are compared, changed and removed. That is as for other links (``links.py``).
"""

from __future__ import annotations

import fcntl
import os
import struct
from collections.abc import Sequence

from ...system.ip_batch import ip_batch
from .closed import switch_off_ipv6

_TUNSETIFF = 0x400454CA
_TUNSETPERSIST = 0x400454CB
_TAP, _NO_PI = 0x0002, 0x1000
_BATCH = 256  # the number of files that are open at the same time


def create_taps(taps: Sequence[tuple[str, Sequence[str]]]) -> None:
    """Create taps in the current namespace.

    :param taps: (name, ``ip`` commands that complete the tap: its group, its MTU, up).
    :raises OSError: another link has the name, or /dev/net/tun cannot be opened.
    """
    for start in range(0, len(taps), _BATCH):
        batch = taps[start : start + _BATCH]
        files = []
        try:
            for name, _ in batch:
                files.append(os.open("/dev/net/tun", os.O_RDWR | os.O_CLOEXEC))
                try:
                    fcntl.ioctl(files[-1], _TUNSETIFF, struct.pack("16sH22x", name.encode(), _TAP | _NO_PI))
                except OSError as error:
                    raise OSError(error.errno, f"tap {name}: {error.strerror}") from error
            for name, _ in batch:
                switch_off_ipv6(name)
            ip_batch([line for _, lines in batch for line in lines])
            for file in files:
                fcntl.ioctl(file, _TUNSETPERSIST, 1)
        finally:
            for file in files:
                os.close(file)
