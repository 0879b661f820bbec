"""Facts about a node: processors, memory, disk, virtualization, NICs. Reading them takes a few milliseconds.

The scheduler uses them, and the plan refuses a mapping to a NIC that does not exist. What does not belong here: links
that headworks created (taps, veth pairs, bridges), because they are not facts about the node.
"""

from __future__ import annotations

import fcntl
import json
import os
from pathlib import Path
from typing import Any

from ...state.links import GROUP
from ...state.places import HEADWORKS_DIR, INSTANCES_DIR
from ...system.net_managers import manager_of
from ...system.ovsdb import ENDPOINT, Ovsdb, OvsdbError, from_map, from_set, present, select
from ...system.process import run
from ..marks import NIC_MARK
from .kernel import kernel

# The directory of the instances, then the directories in which it will be created.
INSTANCES_PARENTS = (INSTANCES_DIR, HEADWORKS_DIR, "/var/lib")
KVM_GET_API_VERSION = 0xAE00
KVM_API_VERSION = 12
DATABASE_SECONDS = 5.0


def gather() -> dict[str, Any]:
    """Return all facts of this node as plain data. (``survey.py`` reports missing software.)

    ``vcpus`` (count), ``ram_mb`` (MiB), ``disk_gb`` (GiB, size of the filesystem that holds instances), ``kvm``
    (usable), ``nics`` ({name: what ``nics`` returns}), ``distribution`` (``debian-12``), ``hostname``,
    ``kernel`` (release, modules, limits: see ``kernel.py``).
    """
    return {
        "hostname": os.uname().nodename,
        "distribution": distribution(),
        "vcpus": os.cpu_count() or 1,
        "ram_mb": ram_mb(),
        "disk_gb": disk_gb(),
        "kvm": kvm_usable(),
        "nics": nics(),
        "kernel": kernel(),
    }


def distribution(path: Path = Path("/etc/os-release")) -> str:
    """ID and VERSION_ID of os-release, for example ``debian-12``."""
    pairs = (line.split("=", 1) for line in path.read_text().splitlines() if "=" in line)
    values = {key: value.strip('"') for key, value in pairs}
    return f"{values.get('ID', 'linux')}-{values.get('VERSION_ID', '')}".rstrip("-")


def ram_mb(path: Path = Path("/proc/meminfo")) -> int:
    """The memory of the machine in MiB."""
    for line in path.read_text().splitlines():
        if line.startswith("MemTotal:"):
            return int(line.split()[1]) // 1024
    return 0


def disk_gb() -> int:
    """The size in GiB of the filesystem that holds (or will hold) the instances."""
    parent = next(path for path in INSTANCES_PARENTS if os.path.isdir(path))
    usage = os.statvfs(parent)
    return usage.f_blocks * usage.f_frsize // (1 << 30)


def kvm_usable(path: str = "/dev/kvm") -> bool:
    """Whether KVM can be used: its device can be opened and has the expected API version."""
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        return fcntl.ioctl(descriptor, KVM_GET_API_VERSION) == KVM_API_VERSION
    except OSError:
        return False
    finally:
        os.close(descriptor)


def nics(endpoint: str = ENDPOINT) -> dict[str, dict[str, Any]]:
    """The node's NICs by name. For a NIC in one of our bridges, the addresses of the bridge are reported, because they
    were the NIC's before it was attached.

    Of each NIC: ``mac``, ``permanent_mac`` (a member of a bond has another ``mac``), ``mtu``, ``addresses``, ``bridge``
    (of Open vSwitch, "" without), ``kind`` ("" is hardware, ``bond``, ``vlan``, ``wireless``, …), ``master`` (the bond
    or bridge of the kernel that it is in), ``lower`` (the parent of a VLAN) and ``manager`` (the program that
    configures it, see ``system/net_managers.py``).

    :param endpoint: where the OVSDB server listens.
    """
    attached = _attached_nics(endpoint)
    bridges = set(attached.values())
    found: dict[str, dict[str, Any]] = {}
    addresses: dict[str, list[str]] = {}
    for link in json.loads(run(["ip", "-j", "-d", "addr", "show"])):
        name = link["ifname"]
        addresses[name] = [
            f"{one['local']}/{one['prefixlen']}" for one in link.get("addr_info", ()) if one.get("scope") != "link"
        ]
        if name not in bridges and _is_nic(link):
            found[name] = {**_link_facts(link), "bridge": attached.get(name, ""), "manager": manager_of(name)}
    for name, nic in found.items():
        nic["addresses"] = addresses[name] + addresses.get(nic["bridge"], [])
    return found


def _link_facts(link: dict[str, Any]) -> dict[str, Any]:
    """Return what ``ip`` tells about a NIC itself."""
    mac, info = link.get("address", ""), link.get("linkinfo", {})
    kind = info.get("info_kind", "")
    if not kind and (Path("/sys/class/net") / link["ifname"] / "phy80211").exists():
        kind = "wireless"
    return {
        "mac": mac,
        "permanent_mac": link.get("permaddr", mac),
        "mtu": link["mtu"],
        "kind": kind,
        # A port of Open vSwitch's kernel datapath has master ovs-system: it is not a bridge of the kernel.
        "master": "" if info.get("info_slave_kind") == "openvswitch" else link.get("master", ""),
        "lower": link.get("link", "") if kind == "vlan" else "",
    }


def _is_nic(link: dict[str, Any]) -> bool:
    """Whether a link is a NIC: an Ethernet device that is neither ours nor a device of Open vSwitch or libvirt."""
    if link.get("link_type") != "ether" or str(link.get("group", "")) == str(GROUP):
        return False
    return link.get("linkinfo", {}).get("info_kind", "") not in {"tun", "openvswitch", "bridge", "ifb"}


def _attached_nics(endpoint: str) -> dict[str, str]:
    """NIC → OVS bridge, for the NICs that ``node/underlay`` attached. Empty without Open vSwitch, and when its database
    does not answer, because the other facts must be reported in any case."""
    if not present(endpoint):
        return {}
    try:
        with Ovsdb(endpoint, timeout=DATABASE_SECONDS) as database:
            bridges, ports = database.select(
                [select("Bridge", ["name", "ports"]), select("Port", ["_uuid", "external_ids"])]
            )
    except OvsdbError:
        return {}
    bridge_of = {uuid: row["name"] for row in bridges for uuid in from_set(row["ports"])}
    nic_of = {row["_uuid"][1]: from_map(row["external_ids"]).get(NIC_MARK) for row in ports}
    return {nic: bridge_of[uuid] for uuid, nic in nic_of.items() if nic and uuid in bridge_of}
