"""Metadata trees on disk: built whole under a name made from their content, and linked to.

    trees/<digest>/…                        files, and a ``.listing`` in each directory
    instances/<network id>/<address>        → ../../trees/<digest>
    instances/<network id>/.cloud           whose the links in this directory are

All of it is below /run: thousands of small files are made many times faster there, secrets never come to lie on a disk,
and a node that restores itself after a boot makes them again from its state. Only root and nginx's group can read any
of it. What does not belong here: the server, and when to do what.
"""

from __future__ import annotations

import grp
import json
import os
import re
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from ....state.metadata import ADDRESS, NETWORK_ID
from ....system.files import read_link, read_text, write_file, write_link
from ....system.process import ToolError

if TYPE_CHECKING:
    from ....state.metadata import InstanceMetadata

LISTING = ".listing"
MARK = ".cloud"
_FORMAT = 1  # of what is on disk; another number makes every tree anew


@dataclass(frozen=True)
class TreeLink:
    """A link as read. ``digest`` "" = it points to nothing; ``cloud`` None = its directory has no mark, "" = a module
    used alone made it."""

    network_id: str
    address: str
    digest: str
    cloud: str | None


def check(one: InstanceMetadata) -> None:
    """Refuse what would lead out of the tree.

    :raises ValueError: naming the value.
    """
    if not re.fullmatch(NETWORK_ID, one.network_id) or not re.fullmatch(ADDRESS, one.address):
        raise ValueError(f"metadata of {one.name!r}: not a network id and an address")
    for path in [*one.files, *one.links, *one.links.values()]:
        names = path.removesuffix("/").split("/") if path != "/" else []
        if any(name in ("", ".", "..") or name.startswith(".") or "\0" in name for name in names):
            raise ValueError(f"metadata of {one.name}: path {path!r}: no empty name, and none that begins with a dot")
    files = {path for path in [*one.files, *one.links] if not path.endswith("/")}
    for path in [*one.files, *one.links]:
        above = {str(parent) for parent in Path(path).parents} | ({path[:-1]} if path.endswith("/") else set())
        if above & files:
            raise ValueError(f"metadata of {one.name}: path {path!r}: {min(above & files)!r} cannot be a directory too")


def digest(one: InstanceMetadata) -> str:
    """The name of the tree: it depends on every path and every byte."""
    import hashlib

    content = json.dumps([_FORMAT, sorted(one.files.items()), sorted(one.links.items())], separators=(",", ":"))
    return hashlib.sha256(content.encode()).hexdigest()


def layout(files: Mapping[str, str], links: Mapping[str, str]) -> dict[str, str]:
    """Every file of a tree, path → text: the given ones, and the listing of each directory as EC2 writes them: one
    entry a line, a directory with a slash behind it, no newline at the end."""
    entries: dict[str, set[str]] = defaultdict(set)
    found = {}
    for path, text in files.items():
        if not path.endswith("/"):
            found[path] = text
        _enter(entries, path)
    for path in links:
        _enter(entries, f"{path}/")
    for directory, names in entries.items():
        shown = sorted(names)
        found[f"{directory}{LISTING}"] = files.get(directory or "/", "\n".join(shown))
    return found


def _enter(entries: dict[str, set[str]], path: str) -> None:
    """Note ``path`` (a directory when it ends in a slash) in the listings of all directories above it."""
    while path not in ("", "/"):
        parent, _, name = path.removesuffix("/").rpartition("/")
        parent = f"{parent}/" if parent else ""
        entries[parent].add(f"{name}/" if path.endswith("/") else name)
        path = parent


def read_links(root: Path) -> Iterator[TreeLink]:
    """Every instance's link: one listing per network, one readlink and one stat each."""
    for network in _directories(root / "instances"):
        cloud = read_text(network / MARK)
        for entry in os.listdir(network):
            target = None if entry.startswith(".") else read_link(network / entry)
            if target is not None:
                there = (network / entry).is_dir()
                yield TreeLink(network.name, entry, Path(target).name if there else "", cloud)


def plant(root: Path, wanted: Sequence[InstanceMetadata], cloud: str, group: str) -> None:
    """Make the trees, as far as nobody has the same, and point the links there, each in one step."""
    if not wanted:
        return
    planter = _Planter(root, cloud, group)
    for one in wanted:
        planter.plant(one)


class _Planter:
    """Makes trees below ``root`` and points instances' links at them, marked as ``cloud``'s."""

    def __init__(self, root: Path, cloud: str, group: str) -> None:
        self.root = root
        self.cloud = cloud
        self._group = _group_id(group)
        self._known: dict[str, str] = {}  # content → a file that has it
        for directory in (root / "trees", root / "instances"):
            _make_directory(directory, self._group)

    def plant(self, one: InstanceMetadata) -> None:
        """One tree and its link."""
        name = digest(one)
        network = self.root / "instances" / one.network_id
        _make_directory(network, self._group)
        if not (self.root / "trees" / name).is_dir():
            self._build(name, one)
        write_file(network / MARK, self.cloud, 0o600)
        write_link(network / one.address, f"../../trees/{name}")

    def _build(self, name: str, one: InstanceMetadata) -> None:
        import shutil

        final = str(self.root / "trees" / name)
        fresh = str(self.root / "trees" / f".{name}")
        shutil.rmtree(fresh, ignore_errors=True)
        files = layout(one.files, one.links)
        directories = sorted({os.path.dirname(path) for path in files})  # each has a listing, parents sort first
        with _born_closed(self._group):
            for directory in directories:
                os.mkdir(os.path.join(fresh, directory))
            for path, text in files.items():
                self._write(f"{fresh}/{path}", f"{final}/{path}", text)
        for path, target in one.links.items():
            os.symlink(os.path.relpath(target, os.path.dirname(path) or "."), f"{fresh}/{path}")
        os.rename(fresh, final)

    def _write(self, path: str, final: str, text: str) -> None:
        """Trees hardly differ, and nothing in them is ever changed: equal files are one file with several names, which
        takes a third of the time and of the memory."""
        if text in self._known:
            try:
                os.link(self._known[text], path)
                return
            except OSError:  # gone, in the same half-made tree, or too many names for one file
                pass
        with open(path, "xb") as stream:
            stream.write(text.encode())
        self._known[text] = final


def unlink(root: Path, network_id: str, address: str) -> None:
    """Take an instance's link away."""
    (root / "instances" / network_id / address).unlink(missing_ok=True)


def collect_garbage(root: Path) -> None:
    """Remove trees (also half-made ones) that no link points to, and networks' directories without a link."""
    import shutil

    used = set()
    for network in _directories(root / "instances"):
        targets = [read_link(one) for one in network.iterdir()]
        if not any(targets):
            shutil.rmtree(network)
        used |= {Path(target).name for target in targets if target}
    for tree in _directories(root / "trees"):
        if tree.name not in used:
            shutil.rmtree(tree)


def summary(one: InstanceMetadata) -> dict[str, str]:
    """Path → size and digest of every file but the listings."""
    found = {path: _sum(text.encode()) for path, text in one.files.items() if not path.endswith("/")}
    return dict(sorted({**found, **{path: f"-> {target}" for path, target in one.links.items()}}.items()))


def summary_of_tree(root: Path, name: str) -> dict[str, str]:
    """The same of a tree on disk."""
    tree = root / "trees" / name
    found: dict[str, str] = {}
    for place, directories, names in os.walk(tree) if name else ():
        where = Path(place).relative_to(tree)
        found.update({str(where / one): _sum(Path(place, one).read_bytes()) for one in names if one != LISTING})
        for one in directories:
            target = read_link(Path(place, one))
            if target is not None:
                found[str(where / one)] = f"-> {os.path.normpath(where / target)}"
    return dict(sorted(found.items()))


def _sum(content: bytes) -> str:
    import hashlib

    return f"{len(content)} bytes, sha256 {hashlib.sha256(content).hexdigest()[:12]}"


@contextmanager
def _born_closed(group: int) -> Iterator[None]:
    """What is made in the body is root's, readable by ``group`` and by nobody else from its first moment on."""
    mask, before = os.umask(0o027), os.getegid()
    os.setegid(group)
    try:
        yield
    finally:
        os.setegid(before)
        os.umask(mask)


def _make_directory(path: Path, group: int) -> None:
    path.mkdir(mode=0o700, parents=True, exist_ok=True)
    os.chown(path, 0, group)
    path.chmod(0o750)


def _directories(path: Path) -> list[Path]:
    return [one for one in path.iterdir() if one.is_dir()] if path.is_dir() else []


def _group_id(group: str) -> int:
    try:
        return grp.getgrnam(group).gr_gid
    except KeyError:
        raise ToolError(f"no group {group} on this node: nginx is not installed") from None
