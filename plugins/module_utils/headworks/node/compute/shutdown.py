"""Stop all guests of headworks at once, when the node shuts down.

Guests of others are left to libvirt-guests. What does not belong here: the desired state of a guest, which a shutdown
of the node does not change (``domains.py``), and a single guest that is to be stopped (``guest_states.py``).
"""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

from ...state.places import INSTANCES_DIR
from ...system.process import run
from .guest_states import SHUTDOWN_SECONDS
from .libvirt_socket import URI, has_libvirt


def is_shutting_down() -> bool:
    """Return whether the node shuts down or reboots."""
    return run(["systemctl", "is-system-running"], ok=range(256)).strip() == "stopping"


def stop_all_guests() -> list[str]:
    """Stop the guests of this node (``stop_guests``). Without libvirt there are none."""
    if not has_libvirt(needed=False):
        return []
    import libvirt

    libvirt.registerErrorHandler(lambda _context, _error: None, None)
    connection = libvirt.open(URI)
    try:
        return stop_guests(connection, Path(INSTANCES_DIR))
    finally:
        connection.close()


def stop_guests(connection: Any, instances: Path, seconds: float = SHUTDOWN_SECONDS) -> list[str]:
    """Ask all running guests with a directory in ``instances`` to shut down (ACPI), and destroy those that still run
    after ``seconds``. Return a text for each guest that was destroyed or cannot be stopped."""
    texts = []
    guests = [handle for handle in connection.listAllDomains() if (instances / handle.UUIDString()).is_dir()]
    running = [handle for handle in guests if handle.isActive()]
    for handle in running:
        _try(handle, _ask)
    deadline = time.monotonic() + seconds
    while running and time.monotonic() < deadline:
        time.sleep(0.2)
        running = [handle for handle in running if handle.isActive()]
    for handle in running:
        problem = _try(handle, lambda guest: guest.destroy())
        if handle.isActive():
            texts.append(f"{handle.name()}: {problem}")
        else:
            texts.append(f"{handle.name()}: destroyed, because it did not shut down within {seconds:.0f} s")
    return texts


def _ask(handle: Any) -> None:
    import libvirt

    if handle.state()[0] == libvirt.VIR_DOMAIN_PAUSED:  # a paused guest does not notice the power button
        handle.resume()
    handle.shutdown()


def _try(handle: Any, action: Any) -> str:
    """Return libvirt's error, or "". A guest may stop by itself at any moment."""
    import libvirt

    try:
        action(handle)
    except libvirt.libvirtError as error:
        return str(error)
    return ""
