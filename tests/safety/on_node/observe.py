"""Runs on a node: prints as JSON the disks and domains of all guests, and whether each disk still has its marker.

``observe.py mark`` first writes the markers, while the guests are off: a page of a guest's own bytes, behind the end of
the image. It is read through QEMU, with the disk's backing files, also while the guest runs.
"""

from __future__ import annotations

import json
import subprocess
import sys
import xml.etree.ElementTree as ET
from pathlib import Path

TOP = Path("/var/lib/headworks")
WHERE = "64k", "128M"  # offset 128 MiB; the image has 64 MiB


def run(*args: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(args, capture_output=True, text=True, check=False)


def image_format(path: Path) -> str:
    with path.open("rb") as disk:
        return "qcow2" if disk.read(4) == b"QFI\xfb" else "raw"


def pattern(uuid: str) -> str:
    return str(int(uuid[:2], 16) % 255 + 1)  # never 0: unwritten pages are 0


def io(path: Path, *command: str) -> str:
    length, offset = WHERE[0], WHERE[1]
    text = " ".join([*command, offset, length])
    shared = ["-U", "-r"] if command[0] == "read" else []
    done = run("qemu-io", *shared, "-f", image_format(path), "-c", text, str(path))
    return done.stdout + done.stderr


def marker(path: Path, uuid: str) -> str:
    """``kept``, or what is wrong."""
    if not path.exists():
        return "no disk"
    answer = io(path, "read", "-P", pattern(uuid))
    return "kept" if "read 65536/65536" in answer and "failed" not in answer else answer.strip()


def disks() -> dict[str, dict[str, object]]:
    result = {}
    for place in ("removed", "instances"):
        for directory in sorted((TOP / place).glob("*-*-*-*-*")):
            uuid = directory.name.partition(".")[0]
            disk = directory / "disk"
            result[uuid] = {
                "place": place,
                "inode": disk.stat().st_ino if disk.exists() else 0,
                "marker": marker(disk, uuid),
                "console": (directory / "console.log").exists(),
            }
    return result


def domains() -> dict[str, dict[str, object]]:
    result = {}
    for name in run("virsh", "--quiet", "list", "--all", "--name").stdout.split():
        tree = ET.fromstring(run("virsh", "--quiet", "dumpxml", "--inactive", name).stdout)
        result[tree.findtext("uuid", "")] = {
            "name": name,
            "title": tree.findtext("title", ""),
            "macs": sorted(mac.get("address", "") for mac in tree.iterfind("devices/interface/mac")),
            "state": run("virsh", "--quiet", "domstate", name).stdout.strip(),
        }
    return result


def main() -> None:
    if sys.argv[1:] == ["mark"]:
        for path in sorted((TOP / "instances").glob("*/disk")):
            answer = io(path, "write", "-P", pattern(path.parent.name))
            if "wrote 65536/65536" not in answer:
                sys.exit(f"{path}: {answer}")
    print(json.dumps({"disks": disks(), "domains": domains()}))


main()
