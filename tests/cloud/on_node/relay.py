"""Runs on a node, also in a namespace: connects standard input and output to a TCP port, for ssh's ProxyCommand."""

from __future__ import annotations

import os
import socket
import sys
import threading


def main(address: str, port: str) -> None:
    with socket.create_connection((address, int(port)), timeout=15) as peer:
        peer.settimeout(None)

        def upwards() -> None:
            while data := os.read(0, 65536):
                peer.sendall(data)
            peer.shutdown(socket.SHUT_WR)

        threading.Thread(target=upwards, daemon=True).start()
        while data := peer.recv(65536):
            os.write(1, data)


main(sys.argv[1], sys.argv[2])
