"""Runs on a node, in a namespace: a TCP transfer whose content is compared by its digest.

usage: stream.py receive ADDRESS PORT         (prints "ready", later the size and the digest)
       stream.py send ADDRESS PORT MEGABYTES  (prints the size and the digest)
"""

from __future__ import annotations

import hashlib
import random
import socket
import sys

TIMEOUT_S = 240


def receive(address: str, port: str) -> None:
    digest, size = hashlib.sha256(), 0
    with socket.create_server((address, int(port))) as server:
        server.settimeout(TIMEOUT_S)
        print("ready", flush=True)
        connection, _ = server.accept()
        with connection:
            connection.settimeout(TIMEOUT_S)
            while data := connection.recv(1 << 18):
                digest.update(data)
                size += len(data)
    print(size, digest.hexdigest())


def send(address: str, port: str, megabytes: str) -> None:
    digest, block = hashlib.sha256(), random.Random(7).randbytes(1 << 20)
    with socket.create_connection((address, int(port)), timeout=TIMEOUT_S) as connection:
        for number in range(int(megabytes)):
            part = block[number:] + block[:number]
            connection.sendall(part)
            digest.update(part)
    print(int(megabytes) << 20, digest.hexdigest())


{"receive": receive, "send": send}[sys.argv[1]](*sys.argv[2:])
