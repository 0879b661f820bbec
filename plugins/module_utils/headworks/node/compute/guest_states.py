"""The states of a guest: which it has, and how it is started, paused, suspended to disk and stopped.

What does not belong here: which state is desired, and the order of the steps (``domains.py``).
"""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

from . import kept

SHUTDOWN_SECONDS = 30  # how long a guest gets to shut down before it is destroyed


def state_of(handle: Any) -> str:
    """Return the domain's state by its name in the inventory. ``suspended`` means saved to disk, as in Nova."""
    import libvirt

    state = handle.state()[0]
    if state == libvirt.VIR_DOMAIN_PAUSED:
        return "paused"
    if handle.isActive():
        return "running"
    return "suspended" if handle.hasManagedSaveImage() else "stopped"


def set_state(connection: Any, handle: Any, desired: str, directory: Path) -> str:
    """Bring the guest from its actual state to the desired state. Return a text for people, or "".

    :param directory: the guest's directory, which may hold memory of the guest that was kept at its removal.
    """
    actual, text = state_of(handle), ""
    if actual == desired:
        return text
    if desired == "stopped":
        _stop(handle, actual)
        return text
    if desired == "running" and actual == "paused":
        handle.resume()
    elif actual in ("stopped", "suspended"):  # libvirt's create() also restores a suspended guest
        text = kept.start(connection, handle, directory)
    if desired == "paused":
        handle.suspend()
    elif desired == "suspended":
        handle.managedSave()
    return text


def _stop(handle: Any, actual: str) -> None:
    """Ask the guest to shut down (ACPI), and destroy it if it still runs after ``SHUTDOWN_SECONDS``, as Nova does."""
    import libvirt

    if actual == "suspended":
        handle.managedSaveRemove()
        return
    if actual == "paused":
        handle.resume()
    handle.shutdown()
    deadline = time.monotonic() + SHUTDOWN_SECONDS
    while handle.isActive() and time.monotonic() < deadline:
        time.sleep(0.2)
    try:
        if handle.isActive():
            handle.destroy()
    except libvirt.libvirtError as error:
        if error.get_error_code() != libvirt.VIR_ERR_OPERATION_INVALID:
            raise
