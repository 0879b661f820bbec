"""The QEMU process of a machine: its command line, and whether this host can run machines with KVM.

What does not belong here: when machines start and stop (``lifecycle.py``).
"""

from __future__ import annotations

import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from .definition import Lab, Machine

PROGRAM = "qemu-system-x86_64"
# Under emulation: a processor without virtualization and without new instructions, which an emulator runs fast and
# correctly. With "max", kernels of guests within the machine panic, and the machine gets a /dev/kvm that does not work.
EMULATED = ("-accel", "tcg,thread=multi,tb-size=256", "-cpu", "Nehalem")
ACCELERATED = ("-accel", "kvm", "-cpu", "host")
KERNEL_LINE = "root=/dev/vda rw console=ttyS0 panic=10"
WITHOUT_KVM = " module_blacklist=kvm_intel,kvm_amd,kvm"
DEVICE = Path("/dev/kvm")
PROBE_TIMEOUT = 20.0


@dataclass(frozen=True)
class Files:
    """The files of a machine. ``shell`` and ``monitor`` are sockets, whose paths must be short."""

    directory: Path
    sockets: Path

    @property
    def disk(self) -> Path:
        return self.directory / "disk.qcow2"

    @property
    def initrd(self) -> Path:
        return self.directory / "initrd"

    @property
    def console(self) -> Path:
        return self.directory / "console.log"

    @property
    def pid(self) -> Path:
        return self.directory / "qemu.pid"

    @property
    def digest(self) -> Path:
        return self.directory / "digest"

    @property
    def shell(self) -> Path:
        return self.sockets / f"{self.directory.name}.shell"

    @property
    def monitor(self) -> Path:
        return self.sockets / f"{self.directory.name}.qmp"


def command(
    lab: Lab, machine: Machine, files: Files, kernel: Path, *, kvm: bool, slots: Mapping[str, int | None] | None = None
) -> list[str]:
    """The command that starts a machine in the background.

    :param slots: NIC → another PCI slot, which gives it another name; None: the NIC is not there.
    """
    line = KERNEL_LINE + ("" if kvm else WITHOUT_KVM)
    name = lab.process_name(machine.name)
    args = [PROGRAM, "-name", f"guest={name}", *(ACCELERATED if kvm else EMULATED), "-machine", "q35,usb=off"]
    args += ["-smp", str(machine.vcpus), "-m", str(machine.memory_mb), "-nodefaults", "-no-user-config"]
    args += ["-display", "none", "-kernel", str(kernel), "-initrd", str(files.initrd), "-append", line]
    args += ["-drive", f"if=none,id=disk,file={files.disk},format=qcow2,discard=unmap"]
    args += ["-device", "virtio-blk-pci,drive=disk,addr=0x1", "-device", "virtio-rng-pci,addr=0x2"]
    # The log keeps what was written before a power cut.
    args += ["-chardev", f"file,id=console,path={files.console},append=on", "-serial", "chardev:console"]
    args += ["-chardev", f"socket,id=shell,path={files.shell},server=on,wait=off", "-serial", "chardev:shell"]
    args += ["-chardev", f"socket,id=monitor,path={files.monitor},server=on,wait=off"]
    args += ["-mon", "chardev=monitor,mode=control"]
    for number, nic in enumerate(machine.nics):
        slot = (slots or {}).get(nic.device, nic.slot)
        if slot is not None:
            tap = lab.tap(machine.name, nic.device)
            args += ["-netdev", f"tap,id=net{number},ifname={tap},script=no,downscript=no,vhost=off"]
            mac = lab.mac(machine.name, nic)
            args += ["-device", f"virtio-net-pci,netdev=net{number},id={nic.device},mac={mac},addr={slot:#x},romfile="]
    return [*args, "-daemonize", "-pidfile", str(files.pid)]


def kvm_works(kernel: Path, answer: Path) -> bool:
    """Whether KVM runs an ordinary kernel on this host: it boots ``kernel`` until it looks for its disk.

    A /dev/kvm can exist and open although no ordinary kernel runs on it. The answer is kept in the file ``answer``.
    """
    if not DEVICE.exists():
        return False
    if answer.exists():
        return answer.read_text().strip() == "yes"
    args = [PROGRAM, "-accel", "kvm", "-cpu", "host", "-machine", "q35,usb=off", "-m", "256", "-nodefaults"]
    args += ["-no-user-config", "-display", "none", "-serial", "stdio", "-no-reboot", "-kernel", str(kernel)]
    args += ["-append", "console=ttyS0 panic=-1"]
    try:
        done = subprocess.run(args, stdin=subprocess.DEVNULL, capture_output=True, timeout=PROBE_TIMEOUT, check=False)
        output = done.stdout
    except subprocess.TimeoutExpired as error:
        output = error.stdout or b""
    works = b"Unable to mount root fs" in output
    answer.parent.mkdir(parents=True, exist_ok=True)
    answer.write_text("yes\n" if works else "no\n")
    return works
