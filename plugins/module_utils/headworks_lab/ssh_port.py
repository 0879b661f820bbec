"""Whether a node or machine of a lab answers at its ssh port.

What does not belong here: ssh itself, which Ansible and the tests run.
"""

from __future__ import annotations

import socket


def ssh_answers(address: str, seconds: float = 1.0) -> bool:
    """Return whether an ssh server greets at ``address``. Connection and greeting each get ``seconds``."""
    try:
        with socket.create_connection((address, 22), timeout=seconds) as connection:
            connection.settimeout(seconds)
            return connection.recv(4) == b"SSH-"
    except OSError:
        return False
