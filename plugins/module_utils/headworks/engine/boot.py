"""The engine on the node's disk, and the unit that restores the node at boot (invariant I8).

A run writes its own code to the disk, so the boot unit always runs the engine of the last run. What does not belong
here: the document that the unit restores (``doors.py`` keeps it), and the command that it runs (``command_line.py``).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from ..node.subsystem import Applied, Change, Reading, Scope, Subsystem
from ..state.codec import encode
from ..state.distribution import Distribution
from ..state.places import HEADWORKS_DIR, INSTANCES_DIR, REMOVED_DIR
from ..system.files import write_file
from ..system.process import has_tool, run

ENGINE = Path("/usr/lib/headworks/engine.zip")
UNIT_NAME = "headworks-restore.service"
UNIT = Path("/etc/systemd/system") / UNIT_NAME
# A run is short and creates little garbage. Without the garbage collector it starts faster.
MAIN = (
    "import gc\n\ngc.disable()\n\n"
    "from headworks.engine.command_line import main\n\n"
    "raise SystemExit(main())\n"
)
# The packages that run on a node without Ansible.
PACKAGES = frozenset({"state", "engine", "node", "system"})
EPOCH = (1980, 1, 1, 0, 0, 0)


def unit_text(distribution: Distribution) -> str:
    """Return the boot unit. It starts after the services that the subsystems need, and after the filesystems of the
    guests' directories are mounted. If such a filesystem cannot be mounted, the networks are restored nevertheless."""
    mounts = " ".join(_mount_unit(path) for path in (INSTANCES_DIR, REMOVED_DIR))
    services = f"{distribution.openvswitch_service} {distribution.libvirt_service} network-online.target"
    return f"""\
# headworks: brings this node back to its declared state after a power cycle, without Ansible.
[Unit]
Description=headworks: restore the node's networks, then its guests
RequiresMountsFor={HEADWORKS_DIR}
Wants={services} {mounts}
After={services} {distribution.nftables_service} {mounts}

[Service]
Type=oneshot
RemainAfterExit=yes
ExecStart=/usr/bin/python3 {ENGINE} restore
TimeoutStartSec=600

[Install]
WantedBy=multi-user.target
"""


def _mount_unit(path: str) -> str:
    """Return the name of the systemd unit of a mount point whose path has only letters and slashes."""
    return path.strip("/").replace("/", "-") + ".mount"


@dataclass(frozen=True)
class BootEngine:
    """The boot unit ``name`` and the digest of the engine that it runs."""

    name: str
    digest: str


class BootSubsystem(Subsystem[BootEngine]):
    """The engine's zip and the boot unit, as a single object. It is desired as long as the node belongs to the
    cloud."""

    kind = "boot"
    record = BootEngine

    def __init__(self, owner: str | None = None, *, unit: str) -> None:
        super().__init__(owner)
        self.unit = unit

    @classmethod
    def of_node(cls, owner: str, distribution: Distribution) -> BootSubsystem:
        """Return the subsystem with the boot unit for the distribution."""
        return cls(owner, unit=unit_text(distribution))

    def read(self, desired: Mapping[str, BootEngine], scope: Scope | None = None) -> Reading[BootEngine]:
        """Return the engine and the unit on the disk; an empty reading if a file is missing or the unit is not
        enabled."""
        enabled = UNIT.parent / "multi-user.target.wants" / UNIT_NAME
        if not (ENGINE.exists() and UNIT.exists() and enabled.is_symlink()):
            return Reading()
        engine = BootEngine(UNIT_NAME, _digest(ENGINE.read_bytes(), UNIT.read_bytes()))
        return Reading({UNIT_NAME: engine}, frozenset({UNIT_NAME}))

    def apply(self, changes: Sequence[Change[BootEngine]]) -> Applied:
        """Write the zip and the unit, and enable the unit."""
        for change in changes:
            if change.after is None:
                run(["systemctl", "disable", UNIT_NAME])
                UNIT.unlink(missing_ok=True)
                ENGINE.unlink(missing_ok=True)
                continue
            ENGINE.parent.mkdir(parents=True, exist_ok=True)
            write_file(ENGINE, running_archive())
            write_file(UNIT, self.unit)
            if has_tool("systemctl"):
                run(["systemctl", "daemon-reload"])
                run(["systemctl", "enable", UNIT_NAME])
        return Applied()


def section(archive: bytes, distribution: Distribution) -> list[dict[str, str]]:
    """Return section ``boot`` of a node state document: the running engine. The plan does not know the engine's digest,
    so ``doors.py`` adds this section."""
    return [encode(BootEngine(UNIT_NAME, _digest(archive, unit_text(distribution).encode())))]


def replace_engine(archive: bytes) -> None:
    """Replace the engine on the disk by the running engine. Does nothing if the disk has no engine yet."""
    if ENGINE.exists():
        write_file(ENGINE, archive)


@cache
def running_archive() -> bytes:
    """Return the running engine as a zip."""
    return build_archive(package_sources())


def package_sources() -> dict[str, bytes]:
    """Return the engine's files, path in the package → content. It reads them from where the package was loaded: a
    directory, or Ansible's zip."""
    import zipfile  # imported late: it takes a twentieth of the engine's start-up time
    import zipimport

    package = __name__.rsplit(".", 2)[0]
    root = __import__(package, fromlist=["__path__"])
    loader = root.__loader__
    if isinstance(loader, zipimport.zipimporter):
        prefix = package.replace(".", "/") + "/"
        with zipfile.ZipFile(loader.archive) as archive:
            names = [name[len(prefix) :] for name in archive.namelist() if name.startswith(prefix)]
            return {name: archive.read(prefix + name) for name in names if _is_engine(name)}
    home = Path(root.__path__[0])
    names = [str(path.relative_to(home)) for path in home.rglob("*.py")]
    return {name: (home / name).read_bytes() for name in names if _is_engine(name)}


def _is_engine(name: str) -> bool:
    """Return whether the engine at boot needs the file ``name`` of the package."""
    return name == "__init__.py" or (name.endswith(".py") and name.split("/")[0] in PACKAGES)


def build_archive(sources: Mapping[str, bytes]) -> bytes:
    """Return a runnable zip with ``sources`` as package ``headworks``. Equal sources give equal bytes."""
    import io
    import zipfile

    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_STORED) as archive:
        archive.writestr(zipfile.ZipInfo("__main__.py", EPOCH), MAIN)
        for path in sorted(sources):
            archive.writestr(zipfile.ZipInfo(f"headworks/{path}", EPOCH), sources[path])
    return buffer.getvalue()


def _digest(*parts: bytes) -> str:
    from hashlib import sha256

    digest = sha256()
    for part in parts:
        digest.update(part)
    return digest.hexdigest()[:16]
