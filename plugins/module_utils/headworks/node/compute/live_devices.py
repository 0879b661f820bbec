"""The devices of a running guest: its NICs and disks are attached and detached until it has those of its definition.

No device that stays declared is taken away, except a dead NIC: its tap was deleted or re-created under the guest, so it
carries nothing, and it is attached again. What does not belong here: the definition (``domain_edit.py``).
"""

from __future__ import annotations

import time
import xml.etree.ElementTree as ET
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

from ...state.domains import Domain, Live
from . import domain_xml

DETACH_SECONDS = 10  # how long a guest gets to release a device
LINKS = Path("/sys/class/net")


class DetachError(RuntimeError):
    """A guest did not release a device."""


def read_live(handle: Any, domains: Iterable[Domain]) -> Live:
    """Return what a running guest has now, as far as it is ours.

    :param domains: the guest as it is defined, was defined or is desired. Their NICs and disks are ours.
    """
    taps, targets = set(), set()
    for domain in domains:
        taps |= {nic.tap for nic in domain.nics}
        targets |= {disk.target for disk in domain.disks}
    text = str(handle.XMLDesc())
    live, switched_off = domain_xml.parse_live(text, taps, targets), domain_xml.switched_off_nics(text)
    dead = (nic.tap for nic in live.nics if nic.tap not in switched_off and is_dead(nic.tap))
    return replace(live, dead=tuple(dead))


def is_dead(tap: str) -> bool:
    """Whether no QEMU is connected to the tap: it does not exist, or it is up without a carrier."""
    try:
        return (LINKS / tap / "carrier").read_text().strip() == "0"
    except FileNotFoundError:
        return True
    except OSError:  # the tap is down, so the kernel does not tell
        return False


def mend(handle: Any, desired: Domain, earlier: Iterable[Domain] = ()) -> None:
    """Attach to a running guest what it lacks, and detach what it must not have. What is as desired stays.

    :param earlier: the guest before its definition was changed.
    :raises DetachError: the guest did not release a device.
    """
    import libvirt

    definition = str(handle.XMLDesc(libvirt.VIR_DOMAIN_XML_INACTIVE | libvirt.VIR_DOMAIN_XML_SECURE))
    live = read_live(handle, (domain_xml.parse(definition, ""), desired, *earlier))
    taps, targets = [nic.tap for nic in desired.nics], [disk.target for disk in desired.disks]
    has_taps = [nic.tap for nic in live.nics]
    unwanted_taps = [tap for tap in has_taps if tap not in taps or tap in live.dead]
    unwanted_targets = [target for target in live.disks if target not in targets]
    refused = _detach(handle, "NIC", unwanted_taps, domain_xml.find_nic)
    refused += _detach(handle, "disk", unwanted_targets, domain_xml.find_disk)
    for tap in taps:
        if (tap not in has_taps or tap in live.dead) and f"NIC {tap}" not in refused:
            _attach(handle, domain_xml.find_nic(definition, tap))
    for target in targets:
        if target not in live.disks:
            _attach(handle, domain_xml.find_disk(definition, target))
    if refused:
        raise DetachError(
            f"the guest did not release {', '.join(refused)} within {DETACH_SECONDS} s; a guest releases a device when "
            "its system runs and supports hot-plugging: run again when it does, or restart the guest"
        )
    if set(live.disks) != set(targets) and domain_xml.METADATA_URI in definition:
        element = domain_xml.build_mark(domain_xml.parse(definition, ""))
        element.tag = "instance"  # libvirt adds the namespace
        mark = ET.tostring(element, encoding="unicode")
        kind, flags = libvirt.VIR_DOMAIN_METADATA_ELEMENT, libvirt.VIR_DOMAIN_AFFECT_LIVE
        handle.setMetadata(kind, mark, domain_xml.MARK_PREFIX, domain_xml.METADATA_URI, flags)


def _detach(handle: Any, what: str, names: Iterable[str], find: Callable[[str, str], str | None]) -> list[str]:
    """Detach devices. Return those that the guest did not release."""
    import libvirt

    asked = list(names)
    for name in asked:
        element = find(str(handle.XMLDesc()), name)
        # QEMU refuses a second request while the guest has not answered the first: wait for its answer then, too.
        with suppress(libvirt.libvirtError):
            handle.detachDeviceFlags(element, libvirt.VIR_DOMAIN_AFFECT_LIVE)
    deadline = time.monotonic() + DETACH_SECONDS
    while True:
        text = str(handle.XMLDesc()) if asked else ""
        asked = [name for name in asked if find(text, name) is not None]
        if not asked or time.monotonic() > deadline:
            return [f"{what} {name}" for name in asked]
        time.sleep(0.2)


def _attach(handle: Any, element: str | None) -> None:
    """Attach a device of the definition, at the address that it has there, if this is free in the running guest."""
    import libvirt

    assert element is not None  # it is in the definition, which was brought to the desired record before
    try:
        handle.attachDeviceFlags(element, libvirt.VIR_DOMAIN_AFFECT_LIVE)
    except libvirt.libvirtError:
        elsewhere = domain_xml.without_address(element)
        if elsewhere == element:
            raise
        handle.attachDeviceFlags(elsewhere, libvirt.VIR_DOMAIN_AFFECT_LIVE)
