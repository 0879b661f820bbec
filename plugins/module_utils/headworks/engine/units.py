"""The texts of the systemd units that run the engine on a node: at boot, and after a restart of a daemon whose state
the engine restores.

What does not belong here: the units of the daemons that serve guests (``node/services``), what the engine does when it
runs (``command_line.py``), and how the files get onto the disk (``boot.py``).
"""

from __future__ import annotations

from pathlib import Path

from ..state.distribution import Distribution
from ..state.places import GUESTS_UNIT, HEADWORKS_DIR, INSTANCES_DIR, REMOVED_DIR

ENGINE = Path("/usr/lib/headworks/engine.zip")
UNIT_DIR = Path("/etc/systemd/system")
RESTORE = "headworks-restore"
REPAIR_SWITCH = "headworks-repair-switch"
REPAIR_FILTERS = "headworks-repair-filters"
ONLINE = "headworks-online"
ENABLED = (f"{RESTORE}.service", f"{ONLINE}.service", GUESTS_UNIT)
PYTHON = "/usr/bin/python3"
SYSTEMCTL = "/usr/bin/systemctl"
# Seconds after the first failure. A restore is tried again at these times; a repair at these, too.
RESTORE_TIMES = (10, 40, 100, 240, 540, 900, 1500, 2400, 3600)
REPAIR_TIMES = (2, 5, 10, 20, 40, 80, 160, 320, 600)
# A run creates this file when it takes the node's lock. Without it, the restore at boot is still to come.
BEGUN = "/run/headworks/converge.lock"


def unit_files(distribution: Distribution) -> dict[Path, str]:
    """Return all unit files and drop-ins, path → text."""
    switch, filters = f"{REPAIR_SWITCH}.service", f"{REPAIR_FILTERS}.service"
    texts = {
        f"{RESTORE}.service": _restore(distribution),
        f"{RESTORE}.timer": _retries(RESTORE, RESTORE_TIMES),
        f"{ONLINE}.service": _online(),
        GUESTS_UNIT: _guests(distribution),
        switch: _repair("switch", REPAIR_SWITCH, distribution.vswitchd_service),
        f"{REPAIR_SWITCH}.timer": _retries(REPAIR_SWITCH, REPAIR_TIMES),
        filters: _repair("filters", REPAIR_FILTERS, distribution.nftables_service),
        f"{REPAIR_FILTERS}.timer": _retries(REPAIR_FILTERS, REPAIR_TIMES),
        f"{distribution.openvswitch_service}.d/headworks.conf": _ALWAYS_RESTARTED,  # it is restarted with the others
        f"{distribution.vswitchd_service}.d/headworks.conf": _vswitchd_drop_in(switch),
        f"{distribution.ovsdb_service}.d/headworks.conf": _ALWAYS_RESTARTED,
        f"{distribution.libvirt_service}.d/headworks.conf": _LIBVIRT_DROP_IN,
        f"{distribution.nftables_service}.d/headworks.conf": _nftables_drop_in(filters),
    }
    return {UNIT_DIR / name: text for name, text in texts.items()}


def _restore(distribution: Distribution) -> str:
    """Return the boot unit. It waits for nothing that may hang: not for libvirt, to which the engine connects through
    a socket, and not for the network. If a filesystem of the guests cannot be mounted, the networks are restored
    nevertheless."""
    mounts = " ".join(_mount_unit(path) for path in (INSTANCES_DIR, REMOVED_DIR))
    switch = f"{distribution.openvswitch_service} {distribution.vswitchd_service}"
    return f"""\
# headworks: brings this node back to its declared state after a power cycle, without Ansible.
[Unit]
Description=headworks: restore the node's networks, then its guests
RequiresMountsFor={HEADWORKS_DIR}
Wants={distribution.openvswitch_service} {distribution.libvirt_service} {mounts}
After={switch} {distribution.nftables_service} {mounts}
OnFailure={RESTORE}.timer
StartLimitIntervalSec=0

[Service]
Type=oneshot
RemainAfterExit=yes
ExecStart={PYTHON} {ENGINE} restore
ExecStartPost=-{SYSTEMCTL} --no-block stop {RESTORE}.timer
TimeoutStartSec=600

[Install]
WantedBy=multi-user.target
"""


def _repair(part: str, name: str, after: str) -> str:
    """Return the unit that repairs ``part``. Before the restore at boot has begun, there is nothing to repair. A run
    that downloads images may keep the lock for long."""
    return f"""\
# headworks: brings back what a restart of {after} takes away, without Ansible.
[Unit]
Description=headworks: repair the {part} of this node
RequiresMountsFor={HEADWORKS_DIR}
ConditionPathExists={BEGUN}
After={after}
OnFailure={name}.timer
StartLimitIntervalSec=0

[Service]
Type=oneshot
ExecStart={PYTHON} -IS {ENGINE} repair {part}
ExecStartPost=-{SYSTEMCTL} --no-block stop {name}.timer
TimeoutStartSec=3600
"""


def _retries(name: str, seconds: tuple[int, ...]) -> str:
    """Return the timer that starts the service ``name`` again after a failure. The times count from the start of the
    timer. The service stops the timer when it succeeds; after the last time the timer stops by itself."""
    times = "\n".join(f"OnActiveSec={number}" for number in seconds)
    return f"""\
# headworks: tries {name}.service again after a failure.
[Unit]
Description=headworks: try {name} again

[Timer]
{times}
AccuracySec=1
RemainAfterElapse=no
Unit={name}.service
"""


def _online() -> str:
    """Return the unit that repairs the switch once more at boot, when the system has configured its NICs: what a slow
    DHCP client put on a NIC of a bridge belongs on the bridge."""
    return f"""\
# headworks: moves addresses that a NIC of a bridge got late at boot.
[Unit]
Description=headworks: look at the NICs again when the network is configured
Wants=network-online.target
After=network-online.target {RESTORE}.service

[Service]
Type=oneshot
RemainAfterExit=yes
ExecStart=-{SYSTEMCTL} --no-block restart {REPAIR_SWITCH}.service

[Install]
WantedBy=multi-user.target
"""


def _guests(distribution: Distribution) -> str:
    """Return the unit that stops the guests of headworks when the node shuts down: before their networks, and before
    libvirt-guests, which then waits only for the guests of others. Stopping the unit at another time does nothing."""
    socket = distribution.libvirt_service.removesuffix(".service") + ".socket"
    switch = f"{distribution.openvswitch_service} {distribution.vswitchd_service}"
    return f"""\
# headworks: when this node shuts down, its guests get the time to do so, too.
[Unit]
Description=headworks: stop the guests when the node shuts down
Wants=virt-guest-shutdown.target
After=virt-guest-shutdown.target {distribution.libvirt_guests_service} {distribution.libvirt_service} {socket}
After=network.target {switch}
RequiresMountsFor={HEADWORKS_DIR}

[Service]
Type=oneshot
RemainAfterExit=yes
ExecStop={PYTHON} {ENGINE} stop-guests
TimeoutStopSec=120

[Install]
WantedBy=multi-user.target
"""


# systemd gives up a unit that crashes five times in ten seconds.
_ALWAYS_RESTARTED = """\
# headworks: after repeated crashes, the service is started again without a limit.
[Unit]
StartLimitIntervalSec=0
"""


# Guests run without libvirtd. A pause makes the restarts of a libvirtd that cannot start cheap.
_LIBVIRT_DROP_IN = f"""\
{_ALWAYS_RESTARTED}
[Service]
RestartSec=1
"""


def _vswitchd_drop_in(repair: str) -> str:
    """Return what is added to the unit of ovs-vswitchd. ``restart`` also ends a repair that was begun before this
    start, and ``--no-block`` because the repair waits until the start is complete."""
    return f"""\
{_ALWAYS_RESTARTED}
# headworks: a started ovs-vswitchd has no flows.
[Service]
ExecStartPost=-{SYSTEMCTL} --no-block restart {repair}
ExecReload=-{SYSTEMCTL} --no-block restart {repair}
"""


def _nftables_drop_in(repair: str) -> str:
    """Return what is added to the unit that loads the node's own rules: each of its commands deletes all rules."""
    return f"""\
# headworks: this service deletes all rules, also those of headworks, when it starts, reloads and stops.
[Service]
ExecStartPost=-{SYSTEMCTL} --no-block restart {repair}
ExecReload=-{SYSTEMCTL} --no-block restart {repair}
ExecStopPost=-{SYSTEMCTL} --no-block restart {repair}
"""


def _mount_unit(path: str) -> str:
    """Return the name of the systemd unit of a mount point whose path has only letters and slashes."""
    return path.strip("/").replace("/", "-") + ".mount"
