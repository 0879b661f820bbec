"""Runs on a node: converges it to a document, and dies (SIGKILL) just before its N-th change of the node.

``power_cut.py FILE 0`` runs to the end and prints the changes as JSON, one text for each. A change is everything that
other processes and the next boot see: a file that is written, renamed or deleted, a program that is started, a call of
libvirt that changes a guest. Reading is none.
"""

from __future__ import annotations

import json
import os
import signal
import sys
from collections.abc import Callable
from typing import Any

ENGINE = "/usr/lib/headworks/engine.zip"
WRITES = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC
FILES = {"os.rename", "os.remove", "os.rmdir", "os.mkdir", "os.link", "os.symlink", "os.truncate"}
# Methods of a libvirt domain or connection that change something.
LIBVIRT = (
    "create", "createWithFlags", "defineXML", "defineXMLFlags", "destroy", "destroyFlags", "managedSave", "shutdown",
    "undefine", "undefineFlags",
)  # fmt: skip
UNSEEN = ("/run/headworks/converge.lock", "/dev/null", "/proc/", "/sys/", "/usr/lib/python3")

changes: list[str] = []


def change(text: str) -> None:
    """Note a change; die before it if it is the N-th."""
    changes.append(text)
    if len(changes) == int(sys.argv[2]):
        sys.stdout.write(text + "\n")
        sys.stdout.flush()
        os.kill(os.getpid(), signal.SIGKILL)


def audit(event: str, arguments: tuple[Any, ...]) -> None:
    if event == "open":
        path, _, flags = arguments
        if isinstance(flags, int) and flags & WRITES and not str(path).startswith(UNSEEN):
            change(f"write {path}")
    elif event in FILES or event == "subprocess.Popen":
        change(f"{event} {' '.join(str(argument) for argument in arguments[:2])}")


def counted(method: Callable[..., Any], name: str) -> Callable[..., Any]:
    def call(*arguments: Any, **options: Any) -> Any:
        change(f"libvirt {name}")
        return method(*arguments, **options)

    return call


def main() -> None:
    import libvirt

    for owner in (libvirt.virDomain, libvirt.virConnect):
        for name in LIBVIRT:
            if hasattr(owner, name):
                setattr(owner, name, counted(getattr(owner, name), name))
    sys.path.insert(0, ENGINE)
    from headworks.engine import command_line

    sys.addaudithook(audit)
    code = command_line.main(["apply", sys.argv[1]])
    report = json.dumps(changes)
    sys.stdout.write(f"\n{report}\n")
    sys.exit(code)


main()
