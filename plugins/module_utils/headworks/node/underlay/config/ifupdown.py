"""ifupdown: a hook that moves a NIC's addresses and DHCP client to its bridge after each ``ifup`` of the NIC.

The operator's /etc/network/interfaces stays as it is. The hook runs before and after ``ifup`` (at boot, at a restart of
networking.service, by hand). It does nothing while Open vSwitch does not run: then the NIC keeps its addresses. What
does not belong here: what the hook does with Python (``ifup.py``).
"""

from __future__ import annotations

from pathlib import Path

from ....state.nft import TABLE
from ....system.files import read_text, sync_directory, write_file
from ....system.systemd import program
from ..dhcp_client import delete_leases, forget_device
from ..userspace import quiet_chain
from . import ifup

NETWORK_DIR = Path("/etc/network")
ENGINE = "/usr/lib/headworks/engine.zip"
_HOOKS = ("if-pre-up.d", "if-up.d")
_HOOK = "headworks"
# The import above is what puts this module into the engine on the node's disk.
_MAIN = f"headworks.node.underlay.config.{ifup.__name__.rpartition('.')[2]}"


def is_written(nic: str, bridge: str) -> bool:
    """Return whether the hook is installed and moves the addresses of the NIC to the bridge."""
    hooks = all(read_text(NETWORK_DIR / directory / _HOOK) == hook_text() for directory in _HOOKS)
    return hooks and read_text(_bridge_file(nic)) == f"{bridge}\n"


def write(nic: str, bridge: str) -> list[str]:
    """Install the hook for the NIC. The DHCP client of the bridge has the lease now, so the NIC's lease is deleted.

    :raises OSError: a file cannot be written.
    """
    for directory in _HOOKS:
        (NETWORK_DIR / directory).mkdir(mode=0o755, parents=True, exist_ok=True)
        write_file(NETWORK_DIR / directory / _HOOK, hook_text(), mode=0o755)
    _bridge_file(nic).parent.mkdir(mode=0o755, exist_ok=True)
    write_file(_bridge_file(nic), f"{bridge}\n")
    delete_leases(nic)
    return [f"nic {nic}: after each ifup, its addresses move to {bridge} (/etc/network/if-up.d/{_HOOK})"]


def delete(nic: str, bridge: str) -> list[str]:
    """Let the hook leave the NIC alone, and delete it if it is of no more use."""
    if not _bridge_file(nic).exists():
        return []
    forget_device(bridge)
    _bridge_file(nic).unlink(missing_ok=True)
    sync_directory(_bridge_file(nic).parent)
    if not any(_bridge_file(nic).parent.iterdir()):
        for directory in _HOOKS:
            (NETWORK_DIR / directory / _HOOK).unlink(missing_ok=True)
        _bridge_file(nic).parent.rmdir()
    return [f"nic {nic}: it keeps its addresses after ifup again"]


def undo_commands(nic: str) -> list[list[str]]:
    """Return the commands that let the hook leave the NIC alone."""
    return [[program("rm"), "-f", str(_bridge_file(nic))]]


def release_commands(nic: str, bridge: str) -> list[list[str]]:
    """Return the commands that give the NIC its own addresses while Open vSwitch does not run."""
    show = f"{program('ip')} -o address show dev {nic} scope global"
    again = f"{program('ifdown')} --force {nic}; {program('ifup')} --force {nic}"
    return [
        # Only a dhclient is killed: the file may have the id of another process by now.
        [program("pkill"), "-KILL", "-F", f"/run/dhclient.{bridge}.pid", "dhclient"],
        # At boot the NIC has them: the hook does nothing without Open vSwitch.
        [program("sh"), "-c", f"{show} | grep -q . || {{ {again}; }}"],
    ]


def take_commands(nic: str) -> list[list[str]]:
    """Return the command that moves the addresses to the bridge, when Open vSwitch runs again."""
    hook = str(NETWORK_DIR / "if-up.d" / _HOOK)
    return [[program("env"), f"IFACE={nic}", "PHASE=post-up", "ADDRFAM=", "MODE=start", hook]]


def hook_text() -> str:
    """Return the hook. It must work if Python or the engine is broken: then it takes the NIC out of the bridge."""
    return f"""\
#!/bin/sh
# headworks wrote this file. For a NIC in a bridge of Open vSwitch, it moves the addresses that ifup gave to the NIC to
# the bridge. {NETWORK_DIR}/headworks/<NIC> has the name of the bridge. Do not edit it: runs of site.yml replace it.
PATH=/usr/sbin:/usr/bin:/sbin:/bin
nic=${{IFACE%%:*}}
[ "$MODE" = start ] && [ -n "$nic" ] || exit 0
bridge=$(cat "{NETWORK_DIR}/headworks/$nic" 2>/dev/null) && [ -n "$bridge" ] || exit 0
[ -e "/sys/class/net/$nic" ] && [ -e "/sys/class/net/$bridge" ] || exit 0
ovs-appctl --timeout=5 -t ovs-vswitchd version >/dev/null 2>&1 || exit 0
[ "$(ovs-vsctl --timeout=5 port-to-br "$nic" 2>/dev/null)" = "$bridge" ] || exit 0
move() {{
    PYTHONPATH={ENGINE} timeout 60 python3 -c 'import sys; from {_MAIN} import main; sys.exit(main(sys.argv[1:]))' \\
        "$PHASE" "$nic" "$bridge" "$ADDRFAM"
}}
case "$PHASE" in
pre-up)
    # ifup cannot add a route that the bridge has.
    move || ip address flush dev "$bridge" scope global ;;
post-up)
    # After a restart of Open vSwitch, the NIC normally has no address.
    [ -n "$(ip -o address show dev "$nic" scope global)" ] || exit 0
    if ! move; then
        echo "headworks: the addresses of $nic were not moved to $bridge, so $nic leaves the bridge" >&2
        ovs-vsctl --timeout=10 --if-exists del-port "$bridge" "$nic"
        nft delete chain netdev {TABLE} "{quiet_chain("$nic")}" 2>/dev/null
        ip address flush dev "$bridge" scope global
    fi ;;
esac
exit 0
"""


def _bridge_file(nic: str) -> Path:
    return NETWORK_DIR / "headworks" / nic
