"""Facts about a node's kernel: its release, which modules it has, and its limits. Reading them loads no module.

The plan refuses the kernel datapath on a kernel without its modules, and warns of limits that are too small. What does
not belong here: which modules and limits a cloud needs (``plan/check/kernel.py``, ``plan/limits.py``).
"""

from __future__ import annotations

import gzip
import os
import re
from pathlib import Path
from typing import Any

# Module → the option that builds it into a kernel. Open vSwitch makes its tunnels with links of the last three.
MODULES = {
    "openvswitch": "CONFIG_OPENVSWITCH",
    "vxlan": "CONFIG_VXLAN",
    "geneve": "CONFIG_GENEVE",
    "ip_gre": "CONFIG_NET_IPGRE",
}
LIMITS = (
    "fs.file-max",
    "kernel.pid_max",
    "kernel.threads-max",
    "net.ipv4.neigh.default.gc_thresh3",
    "net.ipv6.neigh.default.gc_thresh3",
    "net.netfilter.nf_conntrack_buckets",
    "net.netfilter.nf_conntrack_max",
    "user.max_net_namespaces",
)


def kernel(root: Path = Path("/"), release: str = "") -> dict[str, Any]:
    """Return ``release``, ``modules`` (name → whether the kernel has it or can load it) and ``limits`` (sysctl →
    number). A module of which nothing is known, and a limit that the kernel does not have, are left out.

    :param root: the directory that stands for / in a test.
    """
    release = release or os.uname().release
    return {"release": release, "modules": _modules(root, release), "limits": _limits(root)}


def _modules(root: Path, release: str) -> dict[str, bool]:
    directory = root / "lib/modules" / release
    builtin, loadable = _text(directory / "modules.builtin"), _text(directory / "modules.dep")
    if _text(root / "proc/sys/kernel/modules_disabled").strip() == "1":
        loadable = ""
    found = {}
    for name, option in MODULES.items():
        if (root / "sys/module" / name).is_dir() or _lists(builtin, name) or _lists(loadable, name):
            found[name] = True
        elif builtin:
            found[name] = False
        else:
            known = _built_in(root, release, option)
            found |= {} if known is None else {name: known}
    return found


def _lists(text: str, name: str) -> bool:
    """Whether ``modules.builtin`` or ``modules.dep`` has the module. File names have - or _."""
    pattern = name.replace("_", "[-_]")
    return re.search(rf"^([^:\n]*/)?{pattern}\.ko(\.\w+)?(:|$)", text, re.MULTILINE) is not None


def _built_in(root: Path, release: str, option: str) -> bool | None:
    """Whether a kernel without a directory of modules has a module, by the kernel's configuration; None if unknown.

    In a container, the kernel may find the module outside of it.
    """
    try:
        text = gzip.decompress((root / "proc/config.gz").read_bytes()).decode()
    except OSError:
        text = _text(root / f"boot/config-{release}")
    if not text:
        return None
    value = re.search(rf"^{option}=(\w)$", text, re.MULTILINE)
    if value is not None and value[1] == "m" and (root / "run/systemd/container").exists():
        return None
    return value is not None and value[1] == "y"


def _limits(root: Path) -> dict[str, int]:
    texts = {name: _text(root / "proc/sys" / name.replace(".", "/")).strip() for name in LIMITS}
    return {name: int(text) for name, text in texts.items() if text.isdecimal()}


def _text(path: Path) -> str:
    try:
        return path.read_text()
    except OSError:
        return ""
