"""Which program of the system configures a device: systemd-networkd, ifupdown, NetworkManager, or another one.

This file reads the state files of these programs below /run, which takes less than a millisecond. What does not belong
here: changing their configuration (``node/underlay/config``).
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from .files import read_text

NETWORKD, NETPLAN, IFUPDOWN = "networkd", "netplan-networkd", "ifupdown"
NETWORKMANAGER, DHCPCD, CONNMAN = "networkmanager", "dhcpcd", "connman"
# These programs take addresses back from a bridge, or configure the bridge as they like.
REFUSED = {NETWORKMANAGER: "NetworkManager", DHCPCD: "dhcpcd", CONNMAN: "connman"}

MADE_OF = "# headworks made this file of "  # first line of our .network files; the path of the operator's file follows
_ROOT = Path("/")
_NETPLAN_FILE = re.compile(r"/run/systemd/network/\d+-netplan-.*\.network")
_MAX_DEPTH = 8  # of "source" lines in /etc/network/interfaces


def manager_of(device: str, root: Path = _ROOT) -> str:
    """Return the program that configures ``device``: a constant of this file, or "" if no program does."""
    if _is_active("NetworkManager.service", root) and _networkmanager_has(device, root):
        return NETWORKMANAGER
    source = networkd_file(device, root)
    if source:
        return NETPLAN if _NETPLAN_FILE.fullmatch(source) else NETWORKD
    if any((root / "run" / name).exists() for name in ("dhcpcd/pid", "dhcpcd.pid", f"dhcpcd/{device}.pid")):
        return DHCPCD
    if _is_active("connman.service", root):
        return CONNMAN
    return IFUPDOWN if _ifupdown_has(device, root) else ""


def networkd_file(device: str, root: Path = _ROOT) -> str:
    """Return the path of the operator's .network file that systemd-networkd applies to ``device``; "" if it applies
    none or does not run. If it applies one of our files, this is the file that ours was made of."""
    if not _is_active("systemd-networkd.service", root):
        return ""
    index = _index(device, root)
    state = _assignments(read_text(root / f"run/systemd/netif/links/{index}") or "") if index else {}
    path = state.get("NETWORK_FILE", "")
    if not path or state.get("ADMIN_STATE") in (None, "unmanaged"):
        return ""
    first = (read_text(root / path.lstrip("/")) or "").partition("\n")[0]
    return first.removeprefix(MADE_OF) if first.startswith(MADE_OF) else path


def networkd_lease(device: str, root: Path = _ROOT) -> dict[str, str]:
    """Return what systemd-networkd notes about the DHCPv4 lease of ``device``; empty if it has none."""
    index = _index(device, root)
    return _assignments(read_text(root / f"run/systemd/netif/leases/{index}") or "") if index else {}


def _index(device: str, root: Path) -> str:
    return (read_text(root / "sys/class/net" / device / "ifindex") or "").strip()


def _assignments(text: str) -> dict[str, str]:
    return dict(line.split("=", 1) for line in text.splitlines() if "=" in line and not line.startswith("#"))


def _is_active(unit: str, root: Path) -> bool:
    """Return whether systemd runs the unit: it keeps a link for each active unit."""
    return (root / "run/systemd/units" / f"invocation:{unit}").is_symlink()


def _networkmanager_has(device: str, root: Path) -> bool:
    index = _index(device, root)
    text = read_text(root / f"run/NetworkManager/devices/{index}") if index else None
    return _assignments(text or "").get("managed") in ("true", "yes", "1")


def _ifupdown_has(device: str, root: Path) -> bool:
    """Return whether ifupdown has configured the device, or will at the next boot."""
    if not any((root / directory / "ifup").exists() for directory in ("sbin", "usr/sbin")):
        return False
    state = read_text(root / "run/network/ifstate") or ""
    if any(line.partition("=")[0].strip() == device for line in state.splitlines()):
        return True
    words = [line.split() for line in _interfaces_lines(root / "etc/network/interfaces", root)]
    started = any(line[0] == "auto" or line[0].startswith("allow-") for line in words if device in line[1:])
    return started and any(line[:2] == ["iface", device] for line in words)


def _interfaces_lines(path: Path, root: Path, depth: int = 0) -> Iterator[str]:
    """Yield the lines of /etc/network/interfaces and of the files that it includes."""
    for raw in (read_text(path) or "").replace("\\\n", " ").splitlines():
        line = raw.strip()
        if not line or line.startswith("#"):
            continue
        yield line
        word, _, pattern = line.partition(" ")
        if word not in ("source", "source-directory") or depth >= _MAX_DEPTH:
            continue
        pattern = pattern.strip()
        absolute = pattern if pattern.startswith("/") else f"{path.parent.relative_to(root)}/{pattern}"
        if word == "source-directory":
            absolute += "/*"
        for included in sorted(root.glob(absolute.lstrip("/"))):
            plain = re.fullmatch(r"[A-Za-z0-9_-]+", included.name)
            if included.is_file() and (word == "source" or plain):
                yield from _interfaces_lines(included, root, depth + 1)
