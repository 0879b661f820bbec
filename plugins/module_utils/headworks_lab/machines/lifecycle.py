"""The life of a machine lab: starting it as defined, power for each machine, and removing it with all its traces.

An earlier lab may have died together with the process that started it, or with this host. Its processes, namespaces and
files are cleared before anything is started. A process is ended only if its command line says that it is the lab's.
"""

from __future__ import annotations

import ipaddress
import json
import os
import shutil
import subprocess
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from .. import host
from ..definition import DefinitionError
from ..lifecycle import Access, LabError, close_connections, new_key
from ..ssh_port import ssh_answers
from . import networks, processes, qemu, seed
from .definition import Lab, Machine, load
from .qemu import Files

RUN_DIRECTORY = Path(os.environ.get("HEADWORKS_LAB_RUN", "/run/headworks-lab"))
READY_TIMEOUT = 300.0


@dataclass
class Report:
    """The changes made: names of machines and namespaces by verb."""

    created: list[str] = field(default_factory=list)
    removed: list[str] = field(default_factory=list)
    seconds: float = 0.0

    @property
    def changed(self) -> bool:
        return bool(self.created or self.removed)


@dataclass(frozen=True)
class Place:
    """Where a lab is on this host.

    :ivar state: the directory that is removed with the lab.
    :ivar image: the directory of the disk, kernel and initrd that machines begin with (scripts/machine-image).
    """

    state: Path
    image: Path

    def files(self, lab: Lab, machine: str) -> Files:
        """The files of a machine."""
        return Files(self.state / "machines" / machine, RUN_DIRECTORY / "machines" / lab.name)

    @property
    def kernel(self) -> Path:
        return self.image / "kernel"


def open_lab(state: Path) -> tuple[Lab, Place]:
    """The lab that was started last with this state directory.

    :raises LabError: there is none.
    """
    path = state / "lab.json"
    if not path.exists():
        raise LabError(f"{path}: does not exist; start the lab first (playbooks/machines-up.yml)")
    document = json.loads(path.read_text())
    return load(json.dumps(document["lab"])), Place(state, Path(document["image"]))


def start(lab: Lab, place: Place, access: Access, *, check: bool = False) -> Report:
    """Run the lab as defined. Machines that are off, or not as defined, are made again with fresh disks.

    :param check: report the changes without making them.
    :raises LabError: an address is in use on this host, or a machine does not become ready.
    """
    began = time.monotonic()
    digests = {m.name: lab.digest(m, [access.public_key, str(place.image)]) for m in lab.machines}
    keeps_networks = networks.exists(lab) and _read(place.state / "networks") == lab.network_digest()
    report = Report()
    directories = (place.state / "machines").glob("*/")
    for name in sorted({path.name for path in directories} - set(digests)):
        report.removed.append(name)
    for machine in lab.machines:
        files = place.files(lab, machine.name)
        current = is_running(lab, place, machine.name) and _read(files.digest) == digests[machine.name]
        if not (current and keeps_networks):
            report.created.append(machine.name)
    if check or (not report.changed and keeps_networks):
        return report
    for name in [*report.removed, *report.created]:
        _discard(lab, place, name)
    if not keeps_networks:
        _clear(lab, place)
        _check_addresses(lab)
        networks.build(lab, place.state)
        _write(place.state / "networks", lab.network_digest())
    document = {"lab": json.loads(lab.document()), "image": str(place.image)}
    _write(place.state / "lab.json", json.dumps(document, indent=1))
    close_connections(access.directory, (lab.machine(name).address for name in report.created))
    for name in report.created:
        _make(lab, place, lab.machine(name), access)
        power_on(lab, place, name)
        _write(place.files(lab, name).digest, digests[name])
    for name in report.created:
        wait_ready(lab, place, name)
    report.seconds = round(time.monotonic() - began, 1)
    return report


def remove(lab: Lab, place: Place, *, check: bool = False) -> Report:
    """Remove the lab with all its traces on this host. The caches stay.

    :param check: report the changes without making them.
    """
    names = sorted({path.name for path in (place.state / "machines").glob("*/")} | {m.name for m in lab.machines})
    present = [name for name in names if place.files(lab, name).directory.exists()]
    report = Report(removed=[*present, *([str(place.state)] if place.state.exists() else [])])
    if check:
        return report
    close_connections(place.state)
    for name in names:
        _discard(lab, place, name)
    _clear(lab, place)
    shutil.rmtree(place.state, ignore_errors=True)
    shutil.rmtree(RUN_DIRECTORY / "machines" / lab.name, ignore_errors=True)
    return report


def is_running(lab: Lab, place: Place, name: str) -> bool:
    """Whether a machine has power."""
    return processes.running(place.files(lab, name).pid, _mark(lab, name)) is not None


def power_on(lab: Lab, place: Place, name: str, slots: Mapping[str, int | None] | None = None) -> None:
    """Switch a machine on if it is off. It boots from the disk that it has.

    :param slots: NIC → another PCI slot, which gives it another name; None: the NIC is not there.
    :raises LabError: QEMU does not start.
    """
    if is_running(lab, place, name):
        return
    machine, files = lab.machine(name), place.files(lab, name)
    files.sockets.mkdir(parents=True, exist_ok=True)
    for nic in machine.nics:
        networks.add_tap(lab, name, nic)
    kvm = qemu.kvm_works(place.kernel, RUN_DIRECTORY / "kvm-works")
    command = qemu.command(lab, machine, files, place.kernel, kvm=kvm, slots=slots)
    # The output goes to a file: a pipe would stay open as long as the machine runs.
    log = files.directory / "qemu.log"
    with log.open("w") as output:
        done = subprocess.run(
            ["ip", "netns", "exec", lab.namespace, *command],
            stdin=subprocess.DEVNULL, stdout=output, stderr=output, check=False,
        )  # fmt: skip
    if done.returncode != 0:
        raise LabError(f"{name}: QEMU does not start: {log.read_text().strip()}")


def power_cut(lab: Lab, place: Place, name: str) -> None:
    """Kill a machine. Its disk stays, with what was written to it."""
    close_connections(place.state, [lab.machine(name).address])
    processes.end(place.files(lab, name).pid, _mark(lab, name))


def set_cable(lab: Lab, name: str, device: str, plugged: bool) -> None:
    """Plug or pull the cable of a NIC."""
    for nic in lab.machine(name).nics:
        if nic.device == device:
            networks.set_cable(lab, name, nic, plugged)
            return
    raise DefinitionError(f"{device}: machine {name} has no such NIC")


def wait_ready(lab: Lab, place: Place, name: str, timeout: float = READY_TIMEOUT) -> float:
    """Wait until the ssh daemon of a machine answers, and return the seconds.

    :raises LabError: it does not answer within ``timeout`` seconds; the message has the end of the console's log.
    """
    began = time.monotonic()
    address = lab.machine(name).address
    while not ssh_answers(address, 5.0):
        if not is_running(lab, place, name) or time.monotonic() - began > timeout:
            what = "answers no ssh" if is_running(lab, place, name) else "has no power"
            console = place.files(lab, name).console
            text = console.read_text(errors="replace") if console.exists() else ""
            raise LabError(f"{name} {what} after {timeout:.0f} s; the end of {console}:\n{text[-2000:]}")
        time.sleep(0.5)
    return time.monotonic() - began


def _make(lab: Lab, place: Place, machine: Machine, access: Access) -> None:
    """Write the files of a machine: a fresh disk on top of the common one, and an initrd with its seed."""
    files = place.files(lab, machine.name)
    files.directory.mkdir(parents=True)
    base = place.image / "disk.qcow2"
    host.run("qemu-img", "create", "-q", "-f", "qcow2", "-b", str(base), "-F", "qcow2", str(files.disk))
    contents = seed.files(lab, machine, authorized_key=access.public_key, host_key=new_key(machine.name))
    parts = [(place.image / "initrd").read_bytes(), seed.initramfs(contents, seed.links(machine))]
    files.initrd.write_bytes(b"".join(part + b"\0" * (-len(part) % 4) for part in parts))


def _discard(lab: Lab, place: Place, name: str) -> None:
    """Kill a machine and remove its files and taps."""
    files = place.files(lab, name)
    processes.end(files.pid, _mark(lab, name))
    shutil.rmtree(files.directory, ignore_errors=True)
    if networks.exists(lab):
        for machine in lab.machines:
            if machine.name == name:
                for nic in machine.nics:
                    networks.remove_tap(lab, name, nic)


def _clear(lab: Lab, place: Place) -> None:
    """Remove what an earlier lab of this name left, also one whose files are lost: machines, networks, sockets."""
    for pid in _machines_in(lab):
        processes.end_by_id(pid, f"guest={lab.process_name('')}")
    networks.remove(lab, place.state)


def _mark(lab: Lab, name: str) -> str:
    """What the command line of a machine's process has: an argument, up to its end."""
    return f"guest={lab.process_name(name)}\0"


def _machines_in(lab: Lab) -> list[int]:
    """The ids of the QEMU processes in the lab's namespace."""
    if not (networks.NAMESPACES / lab.namespace).exists():
        return []
    return [int(pid) for pid in host.run("ip", "netns", "pids", lab.namespace).split()]


def _check_addresses(lab: Lab) -> None:
    subnets = [
        str(ipaddress.ip_interface(address).network)
        for network in lab.networks
        for address in network.host
        if ":" not in address
    ]
    messages = host.clashes(subnets, [lab.host_device(network.name) for network in lab.networks])
    if messages:
        raise LabError(f"lab {lab.name}: {'; '.join(messages)}: use another lab_management_prefix")


def _read(path: Path) -> str:
    return path.read_text() if path.exists() else ""


def _write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(path.name + ".new")
    temporary.write_text(text)
    temporary.rename(path)


def states(lab: Lab, place: Place, names: Iterable[str] | None = None) -> dict[str, bool]:
    """Machine → whether it has power."""
    return {name: is_running(lab, place, name) for name in names or [machine.name for machine in lab.machines]}
