"""Runs on a node, in a namespace: sends frames as they are given, or counts received frames by a mark in them.

usage: frames.py send DEVICE TIMES HEX...        (prints "sent")
       frames.py count DEVICE SECONDS MARK...    (prints "ready", later mark → number as JSON)
"""

from __future__ import annotations

import json
import socket
import sys
import time

EVERY_PROTOCOL = 3


def send(device: str, times: str, *frames: str) -> None:
    with socket.socket(socket.AF_PACKET, socket.SOCK_RAW) as wire:
        wire.bind((device, 0))
        for _ in range(int(times)):
            for frame in frames:
                wire.send(bytes.fromhex(frame))
            time.sleep(0.1)
    print("sent")


def count(device: str, seconds: str, *marks: str) -> None:
    seen = dict.fromkeys(marks, 0)
    with socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(EVERY_PROTOCOL)) as wire:
        wire.bind((device, EVERY_PROTOCOL))
        print("ready", flush=True)
        end = time.monotonic() + float(seconds)
        while (left := end - time.monotonic()) > 0:
            wire.settimeout(left)
            try:
                frame, sender = wire.recvfrom(65536)
            except TimeoutError:
                break
            if sender[2] != socket.PACKET_OUTGOING:
                for mark in marks:
                    seen[mark] += mark.encode() in frame
    print(json.dumps(seen))


{"send": send, "count": count}[sys.argv[1]](*sys.argv[2:])
