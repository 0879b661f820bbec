"""How libvirt on this node is reached.

What does not belong here: what is asked of libvirt (``domains.py``, ``disks.py``).
"""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import Any

from ...system.process import has_tool

URI = "qemu:///system"
SOCKET = Path("/run/libvirt/libvirt-sock")
DAEMONS = ("libvirtd", "virtqemud")
# Where libvirt keeps the definitions of its guests, and the states of those that run.
GUESTS = (Path("/etc/libvirt/qemu"), Path("/run/libvirt/qemu"))


ANSWER_SECONDS = 30.0  # a libvirtd that was just started answers within a second


class LibvirtError(RuntimeError):
    """This node has libvirt, but it does not run or does not answer."""


def has_libvirt(needed: bool) -> bool:
    """Return whether libvirt can be asked. A bare node in check mode does not have it, or never started it.

    :param needed: whether the answer "no libvirt" would be taken for "no guests".
    :raises LibvirtError: libvirt does not run, and has guests. They may run nevertheless.
    """
    try:
        import libvirt  # noqa: F401
    except ImportError:
        return False
    if SOCKET.exists():
        return True
    if needed and any(map(has_tool, DAEMONS)) and any(any(place.glob("*.xml")) for place in GUESTS):
        raise LibvirtError(f"{SOCKET} does not exist: is libvirtd running?")
    return False


def connect(uri: str = URI, read_only: bool = False) -> Any:
    """Return a connection to libvirt. A daemon that hangs still accepts connections, and libvirt itself would wait for
    its answer for ever.

    :raises LibvirtError: no answer within ``ANSWER_SECONDS``.
    :raises libvirt.libvirtError: libvirt refuses.
    """
    from queue import Empty, SimpleQueue
    from threading import Thread

    import libvirt

    # libvirt raises errors as exceptions. Without this handler it would also print each error to stderr.
    libvirt.registerErrorHandler(lambda _context, _error: None, None)
    answers: SimpleQueue[Any] = SimpleQueue()

    def ask() -> None:
        try:
            answers.put(libvirt.openReadOnly(uri) if read_only else libvirt.open(uri))
        except Exception as error:
            answers.put(error)

    Thread(target=ask, daemon=True).start()  # a thread that hangs ends with the process
    try:
        answer = answers.get(timeout=ANSWER_SECONDS)
    except Empty:
        raise LibvirtError(f"{uri}: no answer within {ANSWER_SECONDS:.0f} s: does libvirtd hang?") from None
    if isinstance(answer, Exception):
        raise answer
    return answer


def await_answer() -> None:
    """Wait until libvirt answers or refuses. A libvirtd that hangs in its start does neither: systemd holds the
    socket."""
    if not has_libvirt(needed=False):
        return
    import libvirt

    libvirt.registerErrorHandler(lambda _context, _error: None, None)
    with suppress(libvirt.libvirtError):
        libvirt.openReadOnly(URI).close()
