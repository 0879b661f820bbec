"""How libvirt on this node is reached.

What does not belong here: what is asked of libvirt (``domains.py``, ``disks.py``).
"""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

from ...system.process import has_tool

URI = "qemu:///system"
SOCKET = Path("/run/libvirt/libvirt-sock")
DAEMONS = ("libvirtd", "virtqemud")


class LibvirtError(RuntimeError):
    """This node has libvirt, but it does not run."""


def has_libvirt(needed: bool) -> bool:
    """Return whether libvirt can be asked. A bare node in check mode does not have it.

    :param needed: whether the answer "no libvirt" would be taken for "no guests".
    :raises LibvirtError: libvirt is installed and needed, but does not run. Its guests may run nevertheless.
    """
    try:
        import libvirt  # noqa: F401
    except ImportError:
        return False
    if SOCKET.exists():
        return True
    if needed and any(map(has_tool, DAEMONS)):
        raise LibvirtError(f"{SOCKET} does not exist: is libvirtd running?")
    return False


def await_answer() -> None:
    """Wait until libvirt answers or refuses. A libvirtd that hangs in its start does neither: systemd holds the
    socket."""
    if not has_libvirt(needed=False):
        return
    import libvirt

    libvirt.registerErrorHandler(lambda _context, _error: None, None)
    with suppress(libvirt.libvirtError):
        libvirt.openReadOnly(URI).close()
