"""Runs on a node: stands in for a guest that is off. A network namespace gets the guest's MAC and address, and this
program carries its frames to and from the tap of the guest, as QEMU does.

usage: guest_port.py NAMESPACE TAP MAC ADDRESS/PREFIX MTU GATEWAY
"""

from __future__ import annotations

import fcntl
import os
import select
import struct
import subprocess
import sys

TUNSETIFF, TAP, NO_PI = 0x400454CA, 0x0002, 0x1000
LARGEST_FRAME = 65600


def open_tap(name: str) -> int:
    """The file of a tap, which is made if it does not exist."""
    file = os.open("/dev/net/tun", os.O_RDWR)
    fcntl.ioctl(file, TUNSETIFF, struct.pack("16sH22x", name.encode(), TAP | NO_PI))
    return file


def ip(*args: str) -> None:
    """Call ip."""
    subprocess.run(["ip", *args], check=True)


def prepare(namespace: str, device: str, mac: str, address: str, mtu: str, gateway: str) -> None:
    """Make the namespace, with the device in it."""
    subprocess.run(["ip", "netns", "delete", namespace], check=False, capture_output=True)
    ip("netns", "add", namespace)
    ip("link", "set", device, "netns", namespace, "name", "eth0", "address", mac, "mtu", mtu)
    ip("-n", namespace, "link", "set", "lo", "up")
    ip("-n", namespace, "link", "set", "eth0", "up")
    ip("-n", namespace, "address", "add", address, "dev", "eth0")
    ip("-n", namespace, "route", "add", "default", "via", gateway)


def main(namespace: str, tap: str, *settings: str) -> None:
    """Carry frames until the program is ended."""
    guest, device = open_tap(tap), f"s{tap.removeprefix('tap')}"
    inside = open_tap(device)
    prepare(namespace, device, *settings)
    other = {guest: inside, inside: guest}
    while True:
        for file in select.select(list(other), [], [])[0]:
            frame = os.read(file, LARGEST_FRAME)
            try:
                os.write(other[file], frame)
            except OSError as error:  # the other device is down for a moment
                print(f"{tap}: {error}", flush=True)


main(*sys.argv[1:])
