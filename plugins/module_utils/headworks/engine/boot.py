"""The engine on the node's disk, and the units that run it there (invariant I8).

A run writes its own code to the disk, so the units always run the engine of the last run. What does not belong
here: the texts of the units (``units.py``), the document that is restored (``doors.py`` keeps it), and the commands
that the units run (``command_line.py``).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from ..node.subsystem import Applied, Change, Reading, Scope, Subsystem
from ..state.codec import encode
from ..state.distribution import Distribution
from ..state.places import GUESTS_UNIT
from ..system.files import write_file
from ..system.process import has_tool, run
from ..system.systemd import UNREAD
from . import bytecode
from .units import ENABLED, ENGINE, RESTORE, UNIT_DIR, unit_files

NAME = f"{RESTORE}.service"
# The packages that run on a node without Ansible.
PACKAGES = frozenset({"state", "engine", "node", "system"})
EPOCH = (1980, 1, 1, 0, 0, 0)


@dataclass(frozen=True)
class BootEngine:
    """The boot unit ``name`` and the digest of the engine and of all its units."""

    name: str
    digest: str


class BootSubsystem(Subsystem[BootEngine]):
    """The engine's zip and its units, as a single object. It is desired as long as the node belongs to the cloud.

    :param units: the unit files, path → text.
    """

    kind = "boot"
    record = BootEngine

    def __init__(self, owner: str | None = None, *, units: Mapping[Path, str]) -> None:
        super().__init__(owner)
        self.units = units

    @classmethod
    def of_node(cls, owner: str, distribution: Distribution) -> BootSubsystem:
        """Return the subsystem with the units for the distribution."""
        return cls(owner, units=unit_files(distribution))

    def read(self, desired: Mapping[str, BootEngine], scope: Scope | None = None) -> Reading[BootEngine]:
        """Return the engine and the units on the disk; an empty reading if a file is missing, a unit is not enabled, or
        systemd has not read the units because a run was killed."""
        active = all((_wants() / name).is_symlink() for name in ENABLED) and not UNREAD.exists()
        if not (active and ENGINE.exists() and all(path.exists() for path in self.units)):
            return Reading()
        units = {path: path.read_text(errors="replace") for path in self.units}
        engine = BootEngine(NAME, _digest(ENGINE.read_bytes(), units))
        return Reading({NAME: engine}, frozenset({NAME}))

    def apply(self, changes: Sequence[Change[BootEngine]]) -> Applied:
        """Write the zip and the units, and enable those that run at boot."""
        for change in changes:
            if change.after is None:
                self._remove()
                continue
            ENGINE.parent.mkdir(parents=True, exist_ok=True)
            _write_engine(running_archive())
            UNREAD.parent.mkdir(parents=True, exist_ok=True)
            UNREAD.touch()
            for path, text in self.units.items():
                path.parent.mkdir(parents=True, exist_ok=True)
                write_file(path, text)
            if has_tool("systemctl"):
                run(["systemctl", "daemon-reload"])
                # It has nothing to do until the node shuts down, but only an active unit is stopped then.
                run(["systemctl", "--no-block", "start", GUESTS_UNIT])
                run(["systemctl", "enable", *ENABLED])
            UNREAD.unlink(missing_ok=True)
        return Applied()

    def _remove(self) -> None:
        """Delete all files. The retries end; a service that runs now ends by itself."""
        timers = [path.name for path in self.units if path.suffix == ".timer"]
        run(["systemctl", "disable", *ENABLED])
        run(["systemctl", "--no-block", "stop", *timers], ok=(0, 5))
        for path in (*self.units, ENGINE):
            path.unlink(missing_ok=True)
        bytecode.delete()
        run(["systemctl", "daemon-reload"])


def section(archive: bytes, distribution: Distribution) -> list[dict[str, str]]:
    """Return section ``boot`` of a node state document: the running engine. The plan does not know the engine's digest,
    so ``doors.py`` adds this section."""
    return [encode(BootEngine(NAME, _digest(archive, unit_files(distribution))))]


def replace_engine(archive: bytes) -> None:
    """Replace the engine on the disk by the running engine. Does nothing if the disk has no engine yet."""
    if ENGINE.exists():
        _write_engine(archive)


def _write_engine(archive: bytes) -> None:
    if write_file(ENGINE, archive):
        bytecode.prepare()


def _wants() -> Path:
    """Return the directory with the links to the units that are enabled."""
    return UNIT_DIR / "multi-user.target.wants"


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
    files = {f"headworks/{path}": content for path, content in sources.items()}
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_STORED) as archive:
        archive.writestr(zipfile.ZipInfo(bytecode.MAIN, EPOCH), bytecode.main_text(files))
        for path in sorted(files):
            archive.writestr(zipfile.ZipInfo(path, EPOCH), files[path])
    return buffer.getvalue()


def _digest(archive: bytes, units: Mapping[Path, str]) -> str:
    from hashlib import sha256

    digest = sha256(archive)
    for path in sorted(units):
        digest.update(f"\0{path}\0{units[path]}".encode())
    return digest.hexdigest()[:16]
