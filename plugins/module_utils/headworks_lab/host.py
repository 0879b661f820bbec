"""The lab's traces on the machine that carries it (bridges, packet filter chains, IP forwarding), and their removal.

Every removal checks first: an object that may not be the lab's stays.
"""

from __future__ import annotations

import ipaddress
import json
import shutil
import subprocess
from collections.abc import Iterable, Sequence
from pathlib import Path

FORWARDING = Path("/proc/sys/net/ipv4/ip_forward")
RESOLV_CONF = (Path("/run/systemd/resolve/resolv.conf"), Path("/etc/resolv.conf"))
# The rules that netavark adds to built-in chains and never removes.
NETAVARK_JUMPS = (
    ("filter", "FORWARD", "NETAVARK_FORWARD"),
    ("nat", "PREROUTING", "NETAVARK-HOSTPORT-DNAT"),
    ("nat", "OUTPUT", "NETAVARK-HOSTPORT-DNAT"),
    ("nat", "POSTROUTING", "NETAVARK-HOSTPORT-MASQ"),
)
NETAVARK_CHAINS = {
    "filter": ("NETAVARK_FORWARD",),
    "nat": ("NETAVARK-HOSTPORT-DNAT", "NETAVARK-HOSTPORT-MASQ", "NETAVARK-HOSTPORT-SETMARK"),
}


def run(*args: str, stdin: str | None = None) -> str:
    """Run a command on the machine and return its standard output.

    :raises subprocess.CalledProcessError: the command failed.
    """
    return subprocess.run(args, input=stdin, capture_output=True, text=True, check=True).stdout


def delete_bridge(name: str) -> bool:
    """Remove a bridge if it has no ports, and return whether no device of this name is left.

    A bridge with ports is in use, so it stays.
    """
    device = Path("/sys/class/net", name)
    if (device / "bridge").is_dir() and not any((device / "brif").iterdir()):
        run("ip", "link", "delete", "dev", name)
    return not device.exists()


def uplink_mtu() -> int:
    """The MTU of the device that the default route uses; 1500 without a default route."""
    for route in json.loads(run("ip", "-json", "route", "show", "default") or "[]"):
        return int(Path("/sys/class/net", route["dev"], "mtu").read_text())
    return 1500


def clashes(subnets: Iterable[str], own_bridges: Iterable[str]) -> list[str]:
    """A message for each subnet that overlaps a route or a name server of the machine."""
    taken = [
        (route["dst"], f"a route of this machine by {route.get('dev', 'another table')}")
        for route in json.loads(run("ip", "-json", "-4", "route", "show", "table", "all") or "[]")
        if route["dst"] != "default" and route.get("dev") not in {"lo", *own_bridges}
    ]
    taken += [(server, "a name server of this machine") for server in nameservers()]
    messages = []
    for subnet in subnets:
        for other, what in taken:
            if ipaddress.IPv4Network(subnet).overlaps(ipaddress.IPv4Network(other)):
                messages.append(f"subnet {subnet} overlaps {other}, {what}")
                break
    return messages


def resolv_conf() -> str:
    """The text of a resolv.conf for the nodes: that of systemd-resolved's upstream servers if there is one.

    The machine's own /etc/resolv.conf may name a stub resolver on a loopback address, which nodes cannot reach.
    """
    texts = [path.read_text() for path in RESOLV_CONF if path.exists()]
    return next(iter(texts), "")


def nameservers() -> list[str]:
    """The machine's IPv4 name servers that are not on loopback."""
    words = [line.split() for line in resolv_conf().splitlines()]
    servers = [pair[1] for pair in words if len(pair) > 1 and pair[0] == "nameserver" and ":" not in pair[1]]
    return [server for server in servers if not server.startswith("127.")]


def extra_hosts() -> str:
    """The lines of the machine's /etc/hosts for other than loopback and multicast addresses.

    Nodes need them because a package mirror may be named there.
    """
    lines = []
    for line in Path("/etc/hosts").read_text().splitlines():
        words = line.split("#")[0].split()
        if len(words) > 1 and not words[0].startswith(("127.", "::1", "fe00:", "ff0", "0.")):
            lines.append(" ".join(words))
    return "".join(f"{line}\n" for line in lines)


def remember(path: Path) -> None:
    """Write the machine's settings to ``path`` for :func:`restore`, before podman changes them.

    If ``path`` exists, it is kept: it holds the settings from before the first lab.
    """
    if path.exists():
        return
    before = {"ip_forward": FORWARDING.read_text().strip(), "tables": packet_filter_tables()}
    temporary = path.with_suffix(".new")
    temporary.write_text(json.dumps(before))
    temporary.rename(path)


def restore(path: Path) -> bool:
    """Remove what podman's network tool left on the machine, and restore the settings that :func:`remember` wrote.

    While any container network still has rules, nothing is changed. Returns whether anything was changed.
    """
    before = json.loads(path.read_text()) if path.exists() else None
    if shutil.which("iptables") is None or netavark_in_use():
        return False
    changed = _remove_netavark_chains()
    if before:
        changed |= _remove_empty_tables(before["tables"])
        if FORWARDING.read_text().strip() != before["ip_forward"]:
            FORWARDING.write_text(before["ip_forward"])
            changed = True
        path.unlink()
    return changed


def packet_filter_tables() -> list[str] | None:
    """The nft tables of the machine, such as "ip nat"; None if the machine has no nft.

    iptables (its nft variant) creates some of these tables.
    """
    if shutil.which("nft") is None:
        return None
    tables = [
        entry["table"] for entry in json.loads(run("nft", "-j", "list", "tables"))["nftables"] if "table" in entry
    ]
    return [f"{table['family']} {table['name']}" for table in tables]


def netavark_in_use() -> bool:
    """Whether the packet filter has rules of any container network."""
    rules = [rule.split() for table in NETAVARK_CHAINS for rule in _rules(table)]
    return any(
        (words[1].startswith("NETAVARK-") and not words[1].startswith("NETAVARK-HOSTPORT-"))
        or words[:2] in (["-A", "NETAVARK_FORWARD"], ["-A", "NETAVARK-HOSTPORT-DNAT"])
        for words in rules
        if len(words) > 1
    )


def _rules(table: str) -> Sequence[str]:
    try:
        return run("iptables", "-t", table, "-S").splitlines()
    except subprocess.CalledProcessError:
        return []


def _remove_netavark_chains() -> bool:
    changed = False
    for table, chains in NETAVARK_CHAINS.items():
        rules = _rules(table)
        present = [chain for chain in chains if f"-N {chain}" in rules]
        for rule in rules:
            if any(
                rule.startswith(f"-A {hook} ") and rule.endswith(f"-j {chain}")
                for t, hook, chain in NETAVARK_JUMPS
                if t == table
            ):
                _iptables(table, "-D" + rule[2:])
        for action in ("-F", "-X"):
            for chain in present:
                _iptables(table, f"{action} {chain}")
        changed |= bool(present)
    return changed


def _iptables(table: str, rule: str) -> None:
    run("iptables-restore", "--noflush", stdin=f"*{table}\n{rule}\nCOMMIT\n")


def _remove_empty_tables(before: Sequence[str] | None) -> bool:
    """Remove tables that iptables created after ``before`` was recorded and that hold no rule.

    iptables creates its tables at the first use.
    """
    if before is None:
        return False
    changed = False
    for table in ("ip filter", "ip nat"):
        if table in before or table not in (packet_filter_tables() or ()):
            continue
        listing = json.loads(run("nft", "-j", "list", "table", *table.split()))["nftables"]
        if not any("rule" in entry for entry in listing):
            run("nft", "delete", "table", *table.split())
            changed = True
    return changed
