"""The files of a lab node before its first boot: identity, keys, names, and a unit for settings that podman lacks.

The files are a tar stream that is unpacked over the image before the first start only, so later changes of the node
survive its restarts.
"""

from __future__ import annotations

import io
import json
import tarfile

from .definition import Lab, Node

SETUP_SCRIPT = "/usr/local/lib/headworks-lab/network"
SETUP_DATA = "/etc/headworks-lab/network.json"
SETUP_UNIT = """\
# Written by the lab. Each boot gives this machine new network devices; this unit makes the settings that podman lacks.
[Unit]
Description=The lab's network settings
DefaultDependencies=no
After=local-fs.target
Before=network-pre.target network.target ssh.service
Wants=network-pre.target

[Service]
Type=oneshot
RemainAfterExit=yes
ExecStart=/usr/bin/python3 /usr/local/lib/headworks-lab/network

[Install]
WantedBy=multi-user.target
"""
# A bare node has no program ethtool, so the script calls ETHTOOL_STXCSUM through SIOCETHTOOL itself.
SETUP_PROGRAM = '''\
"""Written by the lab: sets addresses on networks without a subnet, and switches transmit checksum offload off."""
import array, fcntl, json, socket, struct, subprocess

with open("/etc/headworks-lab/network.json") as file:
    wanted = json.load(file)
for device, address in wanted["addresses"]:
    subprocess.run(["ip", "address", "replace", address, "dev", device], check=True)
for device in wanted["no_tx_checksum"]:
    value = array.array("B", struct.pack("II", 0x17, 0))
    request = struct.pack("16sP", device.encode(), value.buffer_info()[0])
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as handle:
        fcntl.ioctl(handle, 0x8946, request)
'''


def seed(
    lab: Lab, node: Node, *, authorized_key: str, host_key: tuple[str, str], resolv_conf: str, hosts: str
) -> bytes:
    """The tar stream for a node.

    :param authorized_key: the public key that may log in as root.
    :param host_key: the node's own ed25519 key, (private, public).
    :param resolv_conf: the text of /etc/resolv.conf.
    :param hosts: further lines for /etc/hosts.
    """
    private, public = host_key
    archive = _Archive()
    archive.file("/etc/machine-id", lab.machine_id(node.name) + "\n", 0o444)
    archive.file("/etc/hosts", _hosts(lab) + hosts)
    archive.file("/etc/resolv.conf", resolv_conf)
    archive.file("/etc/ssh/ssh_host_ed25519_key", private, 0o600)
    archive.file("/etc/ssh/ssh_host_ed25519_key.pub", public)
    archive.file("/root/.ssh/authorized_keys", authorized_key.strip() + "\n", 0o600)
    # sshd must not look up the client's name: without a reverse zone, each lookup takes a time-out.
    archive.file("/etc/ssh/sshd_config.d/headworks-lab.conf", "UseDNS no\nPasswordAuthentication no\n")
    archive.file(SETUP_DATA, json.dumps(network_settings(node), indent=1) + "\n")
    archive.file(SETUP_SCRIPT, SETUP_PROGRAM)
    archive.file("/etc/systemd/system/headworks-lab-network.service", SETUP_UNIT)
    archive.link(
        "/etc/systemd/system/multi-user.target.wants/headworks-lab-network.service",
        "/etc/systemd/system/headworks-lab-network.service",
    )
    return archive.bytes()


def network_settings(node: Node) -> dict[str, list[list[str]] | list[str]]:
    """The settings that the boot unit makes: ``addresses`` ([device, address/prefix]), ``no_tx_checksum`` (devices)."""
    addresses = [["lo", address] for address in node.addresses]
    addresses += [[i.device, i.address] for i in node.interfaces if i.address and "/" in i.address]
    return {"addresses": addresses, "no_tx_checksum": [i.device for i in node.interfaces if not i.tx_checksum]}


def _hosts(lab: Lab) -> str:
    lines = ["127.0.0.1 localhost", "::1 localhost ip6-localhost ip6-loopback"]
    lines += [f"{lab.management(node)} {node.name}" for node in lab.nodes]
    return "\n".join(lines) + "\n"


class _Archive:
    """A tar stream in memory. Every member is owned by root."""

    def __init__(self) -> None:
        self._buffer = io.BytesIO()
        self._tar = tarfile.TarFile(fileobj=self._buffer, mode="w")
        self._directories: set[str] = set()

    def file(self, path: str, text: str, mode: int = 0o644) -> None:
        self._parents(path)
        data = text.encode()
        info = tarfile.TarInfo(path.lstrip("/"))
        info.size, info.mode = len(data), mode
        self._tar.addfile(info, io.BytesIO(data))

    def link(self, path: str, target: str) -> None:
        self._parents(path)
        info = tarfile.TarInfo(path.lstrip("/"))
        info.type, info.linkname = tarfile.SYMTYPE, target
        self._tar.addfile(info)

    def _parents(self, path: str) -> None:
        """Add the parent directories of ``path``, which the image may lack.

        Their modes are the usual ones, so directories of the image keep their modes.
        """
        parent = path.lstrip("/").rpartition("/")[0]
        if parent and parent not in self._directories:
            self._parents("/" + parent)
            self._directories.add(parent)
            info = tarfile.TarInfo(parent)
            info.type, info.mode = tarfile.DIRTYPE, 0o700 if parent in ("root", "root/.ssh") else 0o755
            self._tar.addfile(info)

    def bytes(self) -> bytes:
        self._tar.close()
        return self._buffer.getvalue()
