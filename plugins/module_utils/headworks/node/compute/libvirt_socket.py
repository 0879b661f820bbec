"""How libvirt on this node is reached.

What does not belong here: what is asked of libvirt (``domains.py``, ``disks.py``).
"""

from __future__ import annotations

from pathlib import Path

URI = "qemu:///system"
SOCKET = Path("/run/libvirt/libvirt-sock")


def has_libvirt() -> bool:
    """Return whether this node has libvirt. A bare node in check mode does not have it."""
    try:
        import libvirt  # noqa: F401
    except ImportError:
        return False
    return SOCKET.exists()
