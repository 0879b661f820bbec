"""The files of a machine before its first boot: its name, keys, and how the system configures its NICs. Pure: no I/O.

The files are a tar stream that the initramfs unpacks at the first boot only (roles/lab/files/machine/seed-script), so
later changes of the machine survive its reboots.
"""

from __future__ import annotations

import gzip
import hashlib
import io
import ipaddress
import tarfile
from collections.abc import Mapping

from .definition import Lab, Machine, Nic

SEED = "headworks-seed.tar"
# Programs warn of files here that others can read, or ignore them.
PRIVATE = ("/etc/netplan/", "/etc/NetworkManager/system-connections/")
LOOPBACK = "127.0.0.1 localhost\n::1 localhost ip6-localhost ip6-loopback\n"
INTERFACES = "source /etc/network/interfaces.d/*\n\nauto lo\niface lo inet loopback\n"
UNITS = {
    "networkd": "systemd-networkd.service",
    "netplan": "systemd-networkd.service",
    "ifupdown": "networking.service",
}
# What systemd-networkd.service names in its [Install] section.
ALSO = {
    "systemd-networkd.service": (
        ("/etc/systemd/system/dbus-org.freedesktop.network1.service", "systemd-networkd.service"),
        ("/etc/systemd/system/sockets.target.wants/systemd-networkd.socket", "systemd-networkd.socket"),
        (
            "/etc/systemd/system/network-online.target.wants/systemd-networkd-wait-online.service",
            "systemd-networkd-wait-online.service",
        ),
    ),
    "networking.service": (
        ("/etc/systemd/system/network-online.target.wants/networking.service", "networking.service"),
    ),
}


def files(lab: Lab, machine: Machine, *, authorized_key: str, host_key: tuple[str, str]) -> dict[str, tuple[str, int]]:
    """path → (text, mode) of the machine's files.

    :param authorized_key: the public key that may log in as root, and as ``ops`` who may use sudo.
    :param host_key: the machine's own ed25519 key, (private, public).
    """
    key = authorized_key.strip() + "\n"
    identity = hashlib.sha256(f"headworks machine {lab.name}/{machine.name}".encode()).hexdigest()[:32]
    found = {
        "/etc/hostname": (machine.name + "\n", 0o644),
        "/etc/machine-id": (identity + "\n", 0o444),
        "/etc/hosts": (LOOPBACK + "".join(f"{other.address} {other.name}\n" for other in lab.machines), 0o644),
        "/etc/ssh/ssh_host_ed25519_key": (host_key[0], 0o600),
        "/etc/ssh/ssh_host_ed25519_key.pub": (host_key[1], 0o644),
        "/etc/ssh/sshd_config.d/headworks-lab.conf": ("UseDNS no\nPasswordAuthentication no\n", 0o644),
        "/root/.ssh/authorized_keys": (key, 0o600),
        "/home/ops/.ssh/authorized_keys": (key, 0o600),
        "/etc/network/interfaces": (INTERFACES, 0o644),
    }
    for path, text in {**network_files(machine), **machine.files}.items():
        found[path] = (text, 0o600 if path.startswith(PRIVATE) else 0o644)
    return found


def network_files(machine: Machine) -> dict[str, str]:
    """path → text of the configuration of the machine's NICs, as a person or an installer would write it."""
    writers = {"networkd": networkd, "ifupdown": ifupdown, "netplan": netplan}
    found = {}
    for nic in machine.nics:
        if nic.manager:
            path, text = writers[nic.manager](nic)
            found[path] = text
    return found


def networkd(nic: Nic) -> tuple[str, str]:
    """The file of systemd-networkd for a NIC: (path, text)."""
    lines = ["[Match]", f"Name={nic.device}", "", "[Network]", f"DHCP={'ipv4' if 'dhcp' in nic.methods else 'no'}"]
    lines.append(f"IPv6AcceptRA={'yes' if 'slaac' in nic.methods else 'no'}")
    lines += [f"Address={address}" for address in _static(nic)]
    lines += [f"Gateway={nic.gateway}"] if nic.gateway and "static" in nic.methods else []
    return f"/etc/systemd/network/20-{nic.device}.network", "\n".join(lines) + "\n"


def ifupdown(nic: Nic) -> tuple[str, str]:
    """The file of ifupdown for a NIC: (path, text)."""
    lines = [f"allow-hotplug {nic.device}", f"auto {nic.device}"]
    if "dhcp" in nic.methods:
        lines.append(f"iface {nic.device} inet dhcp")
    for address in _static(nic):
        version = ipaddress.ip_interface(address).version
        lines += [f"iface {nic.device} {'inet' if version == 4 else 'inet6'} static", f"    address {address}"]
        if nic.gateway and ipaddress.ip_address(nic.gateway).version == version:
            lines.append(f"    gateway {nic.gateway}")
    if "slaac" in nic.methods:
        lines.append(f"iface {nic.device} inet6 auto")
    return f"/etc/network/interfaces.d/{nic.device}", "\n".join(lines) + "\n"


def netplan(nic: Nic) -> tuple[str, str]:
    """The file of netplan for a NIC: (path, text)."""
    lines = ["network:", "  version: 2", "  renderer: networkd", "  ethernets:", f"    {nic.device}:"]
    lines.append(f"      dhcp4: {'true' if 'dhcp' in nic.methods else 'false'}")
    lines.append(f"      accept-ra: {'true' if 'slaac' in nic.methods else 'false'}")
    static = _static(nic)
    if static:
        lines.append(f"      addresses: [{', '.join(repr(address) for address in static)}]")
    if nic.gateway and "static" in nic.methods:
        destination = "0.0.0.0/0" if ipaddress.ip_address(nic.gateway).version == 4 else "::/0"
        lines.append(f"      routes: [{{to: '{destination}', via: '{nic.gateway}'}}]")
    return f"/etc/netplan/60-{nic.device}.yaml", "\n".join(lines) + "\n"


def links(machine: Machine) -> dict[str, str]:
    """path → target of the links that enable the units of the machine: those that configure its NICs, and its own."""
    units = {UNITS[nic.manager] for nic in machine.nics if nic.manager} | set(machine.units)
    found = {}
    for unit in sorted(units):
        found[f"/etc/systemd/system/multi-user.target.wants/{unit}"] = f"/lib/systemd/system/{unit}"
        for path, target in ALSO.get(unit, ()):
            found[path] = f"/lib/systemd/system/{target}"
    if not any(path.startswith("/etc/netplan/") for path in (*machine.files, *network_files(machine))):
        # netplan.io is in the common disk. Where it is not used, its unit must not start the switch's database.
        found["/etc/systemd/system/netplan-ovs-cleanup.service"] = "/dev/null"
    return found


def initramfs(contents: Mapping[str, tuple[str, int]], targets: Mapping[str, str]) -> bytes:
    """A further part for an initrd, with these files and links as ``/headworks-seed.tar``."""
    return gzip.compress(_cpio({SEED: _tar(contents, targets)}), compresslevel=1, mtime=0)


def _static(nic: Nic) -> tuple[str, ...]:
    return nic.addresses if "static" in nic.methods else ()


def _tar(contents: Mapping[str, tuple[str, int]], targets: Mapping[str, str]) -> bytes:
    buffer = io.BytesIO()
    with tarfile.TarFile(fileobj=buffer, mode="w") as archive:
        for path in sorted(_parents([*contents, *targets])):
            archive.addfile(_member(path, tarfile.DIRTYPE, 0o700 if path.endswith("/.ssh") else 0o755))
        for path, (text, mode) in contents.items():
            data = text.encode()
            archive.addfile(_member(path, tarfile.REGTYPE, mode, size=len(data)), io.BytesIO(data))
        for path, target in targets.items():
            archive.addfile(_member(path, tarfile.SYMTYPE, 0o777, linkname=target))
    return buffer.getvalue()


def _parents(paths: list[str]) -> set[str]:
    """The parent directories that the image may lack. Those that it has for certain keep their modes."""
    present = ("", "/etc", "/root", "/home", "/home/ops", "/usr", "/var", "/lib")
    found = set()
    for path in paths:
        while (path := path.rpartition("/")[0]) not in present:
            found.add(path)
    return found


def _member(path: str, kind: bytes, mode: int, **values: object) -> tarfile.TarInfo:
    info = tarfile.TarInfo(path.lstrip("/"))
    info.type, info.mode = kind, mode
    if path.startswith("/home/ops/"):
        info.uid = info.gid = 1000
    for name, value in values.items():
        setattr(info, name, value)
    return info


def _cpio(contents: Mapping[str, bytes]) -> bytes:
    """An archive in the format "newc", which the kernel unpacks into its initramfs."""
    parts = []
    for number, (name, data) in enumerate([*contents.items(), ("TRAILER!!!", b"")]):
        fields = [number + 1, 0o100600, 0, 0, 1, 0, len(data), 0, 0, 0, 0, len(name) + 1, 0]
        header = b"070701" + b"".join(b"%08x" % value for value in fields) + name.encode() + b"\0"
        parts += [header + b"\0" * (-len(header) % 4), data + b"\0" * (-len(data) % 4)]
    return b"".join(parts)
