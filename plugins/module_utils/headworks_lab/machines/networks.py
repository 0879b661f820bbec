"""The networks of a machine lab on this host: a network namespace with bridges and taps, and what plays the outside.

Everything is in namespaces that belong to this lab, except a veth device for each network with an address of this host.
What does not belong here: QEMU (``qemu.py``).
"""

from __future__ import annotations

import ipaddress
import json
import subprocess
from pathlib import Path

from ..host import run
from . import processes
from .definition import Lab, Network, Nic

NAMESPACES = Path("/run/netns")
# Bridges of the lab pass every frame as it is: the host's packet filter and IPv6 keep out of it.
QUIET = (
    "net/ipv6/conf/all/disable_ipv6=1",
    "net/ipv6/conf/default/disable_ipv6=1",
    "net/bridge/bridge-nf-call-iptables=0",
    "net/bridge/bridge-nf-call-ip6tables=0",
    "net/bridge/bridge-nf-call-arptables=0",
)
ROUTER = ("net/ipv4/ip_forward=1", "net/ipv6/conf/all/forwarding=1")


def exists(lab: Lab) -> bool:
    """Whether the lab's namespace and the devices of this host are there."""
    devices = [lab.host_device(network.name) for network in lab.networks if network.host]
    return (NAMESPACES / lab.namespace).exists() and all(Path("/sys/class/net", name).exists() for name in devices)


def build(lab: Lab, directory: Path) -> None:
    """Make the networks. Nothing of them may exist yet (:func:`remove`).

    :param directory: where the DHCP servers keep their files.
    """
    _namespace(lab.namespace, QUIET)
    for network in lab.networks:
        run("ip", "-n", lab.namespace, "link", "add", network.name, "mtu", str(network.mtu), "type", "bridge",
            "stp_state", "0", "forward_delay", "0", "mcast_snooping", "0")  # fmt: skip
        run("ip", "-n", lab.namespace, "link", "set", network.name, "up")
        if network.host:
            _connect(lab, network, lab.host_device(network.name), None, f"host-{network.name}", network.host)
        if network.outside:
            outside = lab.outside(network.name)
            _namespace(outside, ROUTER)
            _connect(lab, network, "eth0", outside, f"out-{network.name}", network.outside)
            if network.dhcp or network.prefix:
                run("ip", "netns", "exec", outside, *dnsmasq(lab, network, directory))


def remove(lab: Lab, directory: Path) -> bool:
    """Remove the networks, and return whether there was anything. QEMU processes must have ended before."""
    changed = False
    for path in directory.glob("dnsmasq-*"):
        path.unlink(missing_ok=True)
    names = {path.name for path in NAMESPACES.glob(f"{lab.namespace}-*")} | {lab.namespace}
    for name in sorted(names):
        for pid in run("ip", "netns", "pids", name).split() if (NAMESPACES / name).exists() else ():
            processes.end_by_id(int(pid), f"headworks-{lab.name}-dnsmasq")
        if (NAMESPACES / name).exists():
            run("ip", "netns", "delete", name)
            changed = True
    # They disappear with the namespace, unless a foreign process keeps it.
    for device in Path("/sys/class/net").glob(f"hw-{lab.name}-*"):
        if not (device / "bridge").exists():
            subprocess.run(["ip", "link", "delete", "dev", device.name], capture_output=True, check=False)
    return changed


def add_tap(lab: Lab, machine: str, nic: Nic) -> str:
    """Make the tap of a NIC if it does not exist, and return its name."""
    tap = lab.tap(machine, nic.device)
    present = {link["ifname"] for link in json.loads(run("ip", "-n", lab.namespace, "-json", "link"))}
    mtu = next(network.mtu for network in lab.networks if network.name == nic.network)
    if tap not in present:
        run("ip", "-n", lab.namespace, "tuntap", "add", "dev", tap, "mode", "tap", "vnet_hdr")
    run("ip", "-n", lab.namespace, "link", "set", tap, "mtu", str(mtu), "master", nic.network, "up")
    return tap


def remove_tap(lab: Lab, machine: str, nic: Nic) -> None:
    """Remove the tap of a NIC if it exists."""
    args = ["ip", "-n", lab.namespace, "link", "delete", "dev", lab.tap(machine, nic.device)]
    subprocess.run(args, capture_output=True, check=False)


def set_cable(lab: Lab, machine: str, nic: Nic, plugged: bool) -> None:
    """Plug or pull the cable at the switch's end: packets no longer pass, but the NIC keeps its carrier."""
    run("ip", "-n", lab.namespace, "link", "set", lab.tap(machine, nic.device), "up" if plugged else "down")


def dnsmasq(lab: Lab, network: Network, directory: Path) -> list[str]:
    """The command that serves DHCP and router advertisements on a network. The server goes into the background."""
    name = f"dnsmasq-{network.name}"
    command = ["dnsmasq", "--conf-file=/dev/null", "--port=0", "--user=root", "--interface=eth0", "--bind-interfaces",
               "--dhcp-authoritative", f"--pid-file={directory / name}.pid", f"--log-facility={directory / name}.log",
               f"--dhcp-leasefile={directory / name}.leases", "--log-dhcp",
               # Names the process, so that it is recognised as the lab's.
               f"--dhcp-option=option:domain-name,headworks-{lab.name}-dnsmasq"]  # fmt: skip
    if network.dhcp:
        # Two minutes is the shortest lease of dnsmasq, so tests see renewals.
        command.append(f"--dhcp-range={network.dhcp[0]},{network.dhcp[1]},2m")
        command.append(f"--dhcp-option=option:router{f',{network.router}' if network.router else ''}")
    for where, mac, address in lab.reservations():
        if where == network.name:
            command.append(f"--dhcp-host={mac},{address}")
    if network.prefix:
        prefix = ipaddress.IPv6Network(network.prefix)
        command += ["--enable-ra", f"--dhcp-range={prefix.network_address},ra-only,{prefix.prefixlen}"]
        command.append("--ra-param=eth0,10")
    return command


def _namespace(name: str, settings: tuple[str, ...]) -> None:
    run("ip", "netns", "add", name)
    run("ip", "-n", name, "link", "set", "lo", "up")
    for setting in settings:
        path, value = setting.split("=")
        # A kernel may lack a part, such as the packet filter for bridges.
        script = f"[ ! -e /proc/sys/{path} ] || echo {value} >/proc/sys/{path}"
        run("ip", "netns", "exec", name, "sh", "-c", script)


def _connect(
    lab: Lab, network: Network, device: str, namespace: str | None, port: str, addresses: tuple[str, ...]
) -> None:
    """Connect this host (``namespace`` None) or a namespace to a network, with addresses on its device."""
    inside = ["-n", namespace] if namespace else []
    place = ["netns", lab.namespace]
    run("ip", *inside, "link", "add", device, "mtu", str(network.mtu), "type", "veth", "peer", "name", port, *place)
    run("ip", "-n", lab.namespace, "link", "set", port, "mtu", str(network.mtu), "master", network.name, "up")
    for address in addresses:
        # An address of its own is on lo, so that it never becomes the source of the namespace's own packets.
        single = ipaddress.ip_interface(address).network.num_addresses == 1
        nodad = ["nodad"] if ":" in address else []
        run("ip", *inside, "address", "add", address, "dev", "lo" if single and namespace else device, *nodad)
    run("ip", *inside, "link", "set", device, "up")
