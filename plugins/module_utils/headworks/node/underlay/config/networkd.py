"""systemd-networkd: .network files in /etc/systemd/network that give a NIC's addresses to its bridge.

The bridge's file is a copy of the NIC's own file and its drop-ins. Our files sort before all others, so they win over
the operator's and netplan's, which stay as they are. What does not belong here: the text of the files
(``network_text.py``).
"""

from __future__ import annotations

import re
from pathlib import Path

from ....system.files import read_text, sync_directory, write_file
from ....system.net_managers import networkd_file, networkd_lease
from ....system.process import ToolError, run
from ....system.systemd import program
from ..carry import Carried
from .network_text import Identity, bridge_text, nic_text, released_text, sections

ETC = Path("/etc/systemd/network")
RUN = Path("/run/systemd/network")
_PLACES = (ETC, RUN, Path("/usr/local/lib/systemd/network"), Path("/usr/lib/systemd/network"))
_PREFIXES = ("05", "00", "!")  # the first one that sorts before the operator's file is used
_SECONDS = 20.0


def is_written(nic: str, bridge: str) -> bool:
    """Return whether all our files of the NIC and its bridge exist."""
    return all(any(path.is_file() for path in _all_paths(kind, nic, bridge)) for kind in ("bridge", "nic", "released"))


def write(nic: str, bridge: str, carried: Carried) -> list[str]:
    """Write our files, and let systemd-networkd read them.

    :raises OSError, ToolError: the operator's file cannot be read, or ours cannot be written or be read.
    """
    source = Path(networkd_file(nic))
    found = sections(_texts(source))
    prefix = _prefix(source.name)
    identity = _identity(nic, bridge, carried)
    ETC.mkdir(mode=0o755, parents=True, exist_ok=True)
    write_file(_path("released", prefix, nic, bridge), released_text(source, nic, found))
    write_file(_path("bridge", prefix, nic, bridge), bridge_text(source, nic, bridge, found, identity))
    write_file(_path("nic", prefix, nic, bridge), nic_text(source, nic, bridge, found))
    # systemd-networkd releases the NIC's lease when it leaves the address to the bridge. Without a neighbour, the
    # message is not sent: answers to ARP reach the bridge only.
    run(["ip", "neighbour", "flush", "dev", nic], ok=range(256))
    run(["networkctl", "reload"], timeout=_SECONDS)
    notes = [f"nic {nic}: systemd-networkd gives its addresses to {bridge} at each boot"]
    if identity.unknown:
        notes.append(f"nic {nic}: its DHCP identifier is not known, so {bridge} may get another address")
    return notes


def delete(nic: str, bridge: str) -> list[str]:
    """Delete our files, the NIC's file first: without it, the NIC gets its own addresses."""
    gone = [path for path in _removed_paths(nic, bridge) if path.exists()]
    for path in gone:
        path.unlink(missing_ok=True)
    if not gone:
        return []
    sync_directory(ETC)
    try:
        run(["networkctl", "reload"], timeout=_SECONDS)
    except ToolError as error:  # it does not run, so it reads the files at its next start
        return [f"nic {nic}: systemd-networkd did not read its configuration again: {error}"]
    return [f"nic {nic}: systemd-networkd gives it its own addresses again"]


def undo_commands(nic: str, bridge: str) -> list[list[str]]:
    """Return commands that do what ``delete`` does."""
    return [
        [program("rm"), "-f", *(str(path) for path in _removed_paths(nic, bridge))],
        [program("timeout"), "20", program("networkctl"), "reload"],
    ]


def release_commands(nic: str, bridge: str) -> list[list[str]]:
    """Return the commands that give the NIC its own addresses until ``take_commands`` or the next boot."""
    prefix = _prefix(Path(networkd_file(nic)).name)
    return [
        [program("mkdir"), "-p", str(RUN)],
        [program("cp"), "-f", str(_path("released", prefix, nic, bridge)), str(_path("run", prefix, nic, bridge))],
        [program("timeout"), "20", program("networkctl"), "reload"],
    ]


def take_commands(nic: str, bridge: str) -> list[list[str]]:
    """Return the commands that give the addresses to the bridge again, if ``release_commands`` were run. A failure ends
    them."""
    path = str(_path("run", _prefix(Path(networkd_file(nic)).name), nic, bridge))
    return [
        [program("test"), "-e", path],
        [program("rm"), "-f", path],
        [program("timeout"), "20", program("networkctl"), "reload"],
        [program("timeout"), "20", program("networkctl"), "reconfigure", bridge],
    ]


def _prefix(source: str) -> str:
    """Return the first prefix with which our files sort before the operator's file."""
    return next((prefix for prefix in _PREFIXES if f"{prefix}-headworks-" < source), _PREFIXES[-1])


def _path(kind: str, prefix: str, nic: str, bridge: str) -> Path:
    """Return the path of one of our files. ``released`` has another suffix, so that systemd-networkd ignores it; its
    copy below /run (``run``) sorts before the NIC's file."""
    return {
        "bridge": ETC / f"{prefix}-headworks-{bridge}.network",
        "nic": ETC / f"{prefix}-headworks-{nic}.network",
        "released": ETC / f"{prefix}-headworks-{nic}.released",
        "run": RUN / f"{prefix}--headworks-{nic}.network",
    }[kind]


def _all_paths(kind: str, nic: str, bridge: str) -> list[Path]:
    return [_path(kind, prefix, nic, bridge) for prefix in _PREFIXES]


def _removed_paths(nic: str, bridge: str) -> list[Path]:
    return [path for kind in ("nic", "run", "bridge", "released") for path in _all_paths(kind, nic, bridge)]


def _texts(source: Path) -> list[str]:
    """Return the text of the operator's file and of its drop-ins, in the order in which they count."""
    dropins: dict[str, Path] = {}
    for place in reversed(_PLACES):
        dropins |= {path.name: path for path in (place / f"{source.name}.d").glob("*.conf")}
    return [source.read_text(), *(read_text(dropins[name]) or "" for name in sorted(dropins))]


def _identity(nic: str, bridge: str, carried: Carried) -> Identity:
    """Return what a DHCP server and the network know the NIC by."""
    lease = networkd_lease(nic) or networkd_lease(bridge)
    client = re.fullmatch(r"ff([0-9a-f]{8})[0-9a-f]+", lease.get("CLIENTID", "").lower())
    made = [address.text for address in carried.addresses if not address.lasting and address.text.endswith("/64")]
    return Identity(iaid=int(client[1], 16) if client else None, leased=bool(lease), advertised=tuple(made))
