"""Runs on a node: prints as JSON the state of everything that a cloud creates or could leave behind.

The snapshot leaves out counters, ages, interface numbers, learned flows and log contents. It contains the process ids
of daemons and libvirt's domain numbers: a daemon or guest that did not change must not have been restarted.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import stat
import subprocess
from pathlib import Path
from typing import Any

OURS = "headworks"
TREES = (
    "/var/lib/headworks",
    "/run/headworks",
    "/etc/headworks",
    "/usr/lib/headworks",
    "/etc/systemd/system",
    "/etc/netns",
    "/etc/libvirt/qemu",
    "/etc/tmpfiles.d",
    "/etc/sysctl.d",
    "/etc/modules-load.d",
)
VOLATILE = {"console.log", "disk", "leases", "converge.lock", "pid"}
DAEMONS = {"dnsmasq", "haproxy", "nginx", "qemu-system-x86", "keepalived", "radvd"}


def run(*args: str) -> str:
    if shutil.which(args[0]) is None:
        return ""
    return subprocess.run(args, capture_output=True, text=True, check=False).stdout


def parsed(*args: str) -> Any:
    return json.loads(run(*args) or "[]")


def network(*netns: str) -> dict[str, Any]:
    """Links, addresses, routes and rules of the node itself or of a namespace."""
    links = {}
    for link in parsed("ip", *netns, "-json", "-details", "address"):
        links[link["ifname"]] = {
            "kind": link.get("linkinfo", {}).get("info_kind", ""),
            "mac": link.get("address"),
            "mtu": link["mtu"],
            "up": "UP" in link["flags"],
            "master": link.get("master"),
            "group": link.get("group"),
            "addresses": sorted(f"{item['local']}/{item['prefixlen']}" for item in link["addr_info"]),
        }
    routes = sorted(json.dumps(route, sort_keys=True) for route in parsed("ip", *netns, "-json", "route"))
    rules = sorted(json.dumps(rule, sort_keys=True) for rule in parsed("ip", *netns, "-json", "rule"))
    inside = ("ip", "netns", "exec", netns[1]) if netns else ()
    return {"links": links, "routes": routes, "rules": rules, "nft": nft(*inside)}


def nft(*inside: str) -> list[Any]:
    """The ruleset without handles and counters, with elements sorted."""
    if shutil.which("nft") is None:
        return []
    text = run(*inside, "nft", "--json", "--stateless", "list", "ruleset")
    return [tidy(entry) for entry in json.loads(text or '{"nftables": []}')["nftables"] if "metainfo" not in entry]


def tidy(value: Any) -> Any:
    if isinstance(value, dict):
        return {
            key: sorted((tidy(element) for element in item), key=json.dumps) if key == "elem" and isinstance(item, list)
            else tidy(item)
            for key, item in value.items()
            if key != "handle"
        }  # fmt: skip
    return [tidy(item) for item in value] if isinstance(value, list) else value


def ovs() -> dict[str, Any]:
    bridges = run("ovs-vsctl", "--timeout=10", "list-br").split()
    columns = {
        "Bridge": "name,datapath_type,fail_mode,external_ids,other_config,protocols",
        "Port": "name,tag,trunks,vlan_mode,external_ids,other_config",
        "Interface": "name,type,options,external_ids,error",
    }
    result: dict[str, Any] = {
        "ports": {bridge: sorted(run("ovs-vsctl", "list-ports", bridge).split()) for bridge in bridges}
    }
    for table, wanted in columns.items():
        text = run("ovs-vsctl", "--timeout=10", "--format=json", f"--columns={wanted}", "list", table)
        rows = json.loads(text)["data"] if text else []
        result[table] = {row[0]: row[1:] for row in rows}
    result["flows"] = {bridge: flows(bridge) for bridge in bridges}
    result["learned for no network"] = learned_for_no_network(result["Port"])
    result["groups"] = {
        bridge: run("ovs-ofctl", "-OOpenFlow14", "dump-groups", bridge).splitlines()[1:] for bridge in bridges
    }
    return result


def flows(bridge: str) -> list[str]:
    """The flows, with ports by name, without learned flows (they have a hard_timeout), which expire by themselves."""
    lines = run("ovs-ofctl", "-OOpenFlow14", "--names", "--no-stats", "dump-flows", bridge).splitlines()
    return sorted(
        line.strip() for line in lines if "priority" in line and not re.match(r"\s*cookie=\S+ .*hard_timeout=", line)
    )


def learned_for_no_network(ports: dict[str, Any]) -> list[str]:
    """The learned flows of br-tun for local VLANs that no port is in."""
    dump = run("ovs-ofctl", "-OOpenFlow14", "--no-stats", "dump-flows", "br-tun", "table=20")
    tags = {columns[0] for columns in ports.values() if isinstance(columns[0], int)}
    learned = [line.strip() for line in dump.splitlines() if "hard_timeout=" in line]
    return sorted(line for line in learned if vlan_of(line) not in tags)


def vlan_of(flow: str) -> int:
    """The VLAN that a learned flow matches, as in ``vlan_tci=0x0003/0x0fff``; -1 without a match on a VLAN."""
    match = re.search(r"vlan_tci=(0x[0-9a-f]+)/0x0?fff|dl_vlan=(\d+)", flow)
    return int(match.group(1) or match.group(2), 0) if match else -1


def units() -> dict[str, dict[str, str]]:
    """The state and main process of every unit of headworks. The unit files are in ``files``."""
    text = run("systemctl", "show", "--all", "-p", "Id,LoadState,ActiveState,MainPID,UnitFileState", f"{OURS}*")
    blocks = (dict(line.split("=", 1) for line in block.splitlines()) for block in text.strip().split("\n\n") if block)
    return {block.pop("Id"): block for block in blocks}


def files() -> dict[str, str]:
    result = {}
    for top in TREES:
        for path in sorted(Path(top).rglob("*")):
            if path.name not in ("node-state.json.prev", "applied-plan"):  # every run with new allocations writes them
                result[str(path)] = describe(path)
    return result


def describe(path: Path) -> str:
    status = path.lstat()
    kind = stat.filemode(status.st_mode)
    if path.is_symlink():
        return f"{kind} -> {os.readlink(path)}"
    owner = f"{kind} {status.st_uid}:{status.st_gid}"
    # libvirt changes the owner of a disk while its guest runs, and that of a base image in the order of starts.
    if not path.is_file() or path.name in VOLATILE or path.suffix == ".log":
        return kind if path.name == "disk" or "_base" in path.parts else owner
    content = path.read_bytes()
    if path.name == "node-state.json":
        # Every run with new allocations has another serial and another extract.
        content = json.dumps(json.loads(content)["sections"], sort_keys=True).encode()
    digest = hashlib.sha256(content).hexdigest()[:16]
    return f"{kind} {digest}" if "_base" in path.parts else f"{owner} {digest}"


def leases() -> dict[str, list[str]]:
    """MAC, address and name of each lease, by file, without the time of expiry."""
    return {
        str(path): sorted(" ".join(line.split()[1:4]) for line in path.read_text().splitlines())
        for path in Path("/run/headworks/dhcp").glob("*/leases")
    }


def domains() -> dict[str, dict[str, str]]:
    names = run("virsh", "--quiet", "list", "--all", "--name").split()
    return {
        name: {
            "id": run("virsh", "--quiet", "domid", name).strip(),
            "state": run("virsh", "--quiet", "domstate", name).strip(),
            "xml": run("virsh", "--quiet", "dumpxml", "--inactive", name),
        }
        for name in names
    }


def processes() -> list[str]:
    """The command lines of all daemons, without the options that a reload of haproxy adds for its new worker."""
    lines = []
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        try:
            if (entry / "comm").read_text().strip() in DAEMONS:
                lines.append((entry / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace").strip())
        except OSError:
            continue
    return sorted(re.sub(r" -(sf( \d+)+|x \S+)(?= )", "", line) for line in lines)


def main() -> None:
    namespaces = sorted(os.listdir("/run/netns")) if os.path.isdir("/run/netns") else []
    print(
        json.dumps(
            {
                "root": network(),
                "namespaces": {name: network("-netns", name) for name in namespaces},
                "ovs": ovs(),
                "units": units(),
                "files": files(),
                "leases": leases(),
                "domains": domains(),
                "libvirt": sorted(run("virsh", "--quiet", "net-list", "--all", "--name").split()),
                "processes": processes(),
                "failed units": sorted(run("systemctl", "list-units", "--failed", "--plain", "--no-legend").split()),
            }
        )
    )


main()
