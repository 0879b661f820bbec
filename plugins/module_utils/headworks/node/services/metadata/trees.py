"""The files of metadata trees. A tree is in a directory that is named by its content, and links point to it.

    trees/<digest>/…                        files, and a ``.listing`` in each directory
    instances/<network id>/<address>        → ../../trees/<digest>
    instances/<network id>/.cloud           the cloud of the links in this directory

All files are below /run, for three reasons: thousands of small files are written many times faster there, secrets are
never written to a disk, and after a boot a node restores them from its node state anyway. Only root and nginx's group
can read them. What does not belong here: the metadata server (``server.py``), and the order of the steps
(``served.py``).
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
_FORMAT = 1  # the version of the files; with another number all trees are written again


@dataclass(frozen=True)
class TreeLink:
    """A link on the node. ``digest`` "": its tree does not exist. ``cloud`` None: its directory has no mark, "": a
    module alone made the link."""

    network_id: str
    address: str
    digest: str
    cloud: str | None


def check_paths(instance: InstanceMetadata) -> None:
    """Check that no path leads out of the tree.

    :raises ValueError: a network id, an address or a path is not valid.
    """
    if not re.fullmatch(NETWORK_ID, instance.network_id) or not re.fullmatch(ADDRESS, instance.address):
        raise ValueError(f"metadata of {instance.name!r}: not a network id and an address")
    for path in [*instance.files, *instance.links, *instance.links.values()]:
        names = path.removesuffix("/").split("/") if path != "/" else []
        if any(name in ("", ".", "..") or name.startswith(".") or "\0" in name for name in names):
            raise ValueError(
                f"metadata of {instance.name}: path {path!r}: a name must not be empty or begin with a dot"
            )
    files = {path for path in [*instance.files, *instance.links] if not path.endswith("/")}
    for path in [*instance.files, *instance.links]:
        parents = {str(parent) for parent in Path(path).parents} | ({path[:-1]} if path.endswith("/") else set())
        if parents & files:
            raise ValueError(
                f"metadata of {instance.name}: path {path!r}: {min(parents & files)!r} cannot be a directory, too"
            )


def digest(instance: InstanceMetadata) -> str:
    """Return the name of the tree, which depends on each path and each byte."""
    import hashlib

    content = json.dumps(
        [_FORMAT, sorted(instance.files.items()), sorted(instance.links.items())], separators=(",", ":")
    )
    return hashlib.sha256(content.encode()).hexdigest()


def all_files(files: Mapping[str, str], links: Mapping[str, str]) -> dict[str, str]:
    """Return all files of a tree, path → text: those of ``files``, and a listing for each directory. The listings are
    like those of EC2: an entry on each line, a slash after each directory, no newline at the end."""
    entries: dict[str, set[str]] = defaultdict(set)
    tree = {}
    for path, text in files.items():
        if not path.endswith("/"):
            tree[path] = text
        _add_to_listings(entries, path)
    for path in links:
        _add_to_listings(entries, f"{path}/")
    for directory, names in entries.items():
        tree[f"{directory}{LISTING}"] = files.get(directory or "/", "\n".join(sorted(names)))
    return tree


def _add_to_listings(entries: dict[str, set[str]], path: str) -> None:
    """Add ``path`` to the listings of all directories above it. A path that ends in a slash is a directory."""
    while path not in ("", "/"):
        parent, _, name = path.removesuffix("/").rpartition("/")
        parent = f"{parent}/" if parent else ""
        entries[parent].add(f"{name}/" if path.endswith("/") else name)
        path = parent


def read_links(root: Path) -> Iterator[TreeLink]:
    """Return the links of all instances. Each network takes a listing, each link takes a readlink and a stat."""
    for network in _directories(root / "instances"):
        cloud = read_text(network / MARK)
        for entry in os.listdir(network):
            target = None if entry.startswith(".") else read_link(network / entry)
            if target is not None:
                exists = (network / entry).is_dir()
                yield TreeLink(network.name, entry, Path(target).name if exists else "", cloud)


def write_trees(root: Path, instances: Sequence[InstanceMetadata], cloud: str, group: str) -> None:
    """Write the trees that do not exist yet, and set the links of ``instances``, each in one step."""
    if not instances:
        return
    writer = _TreeWriter(root, cloud, group)
    for instance in instances:
        writer.write(instance)


class _TreeWriter:
    """Writes trees below ``root`` that ``group`` can read, and links with the mark of ``cloud``."""

    def __init__(self, root: Path, cloud: str, group: str) -> None:
        self.root = root
        self.cloud = cloud
        self._group = _group_id(group)
        self._written: dict[str, str] = {}  # content → the path of a file with this content
        for directory in (root / "trees", root / "instances"):
            _make_directory(directory, self._group)

    def write(self, instance: InstanceMetadata) -> None:
        """Write the tree of an instance if it does not exist, and set the instance's link."""
        name = digest(instance)
        network = self.root / "instances" / instance.network_id
        _make_directory(network, self._group)
        if not (self.root / "trees" / name).is_dir():
            self._write_tree(name, instance)
        write_file(network / MARK, self.cloud, 0o600)
        write_link(network / instance.address, f"../../trees/{name}")

    def _write_tree(self, name: str, instance: InstanceMetadata) -> None:
        """Write a tree to a hidden directory, and rename the directory when the tree is complete."""
        import shutil

        final = str(self.root / "trees" / name)
        partial = str(self.root / "trees" / f".{name}")
        shutil.rmtree(partial, ignore_errors=True)
        files = all_files(instance.files, instance.links)
        directories = sorted({os.path.dirname(path) for path in files})  # each has a listing, parents sort first
        with _readable_by_group(self._group):
            for directory in directories:
                os.mkdir(os.path.join(partial, directory))
            for path, text in files.items():
                self._write_file(f"{partial}/{path}", f"{final}/{path}", text)
        for path, target in instance.links.items():
            os.symlink(os.path.relpath(target, os.path.dirname(path) or "."), f"{partial}/{path}")
        os.rename(partial, final)

    def _write_file(self, path: str, final: str, text: str) -> None:
        """Write a file. Trees differ little and their files never change, so files with equal content are hard links:
        this takes a third of the time and of the memory."""
        if text in self._written:
            try:
                os.link(self._written[text], path)
                return
            except OSError:  # the file was deleted, is in this incomplete tree, or has too many links
                pass
        with open(path, "xb") as stream:
            stream.write(text.encode())
        self._written[text] = final


def remove_link(root: Path, network_id: str, address: str) -> None:
    """Delete an instance's link."""
    (root / "instances" / network_id / address).unlink(missing_ok=True)


def remove_unused(root: Path) -> None:
    """Delete trees without a link, also incomplete trees, and directories of networks without a link."""
    import shutil

    used = set()
    for network in _directories(root / "instances"):
        targets = [read_link(entry) for entry in network.iterdir()]
        if not any(targets):
            shutil.rmtree(network)
        used |= {Path(target).name for target in targets if target}
    for tree in _directories(root / "trees"):
        if tree.name not in used:
            shutil.rmtree(tree)


def summary(instance: InstanceMetadata) -> dict[str, str]:
    """Return path → size and digest of each file except listings, and path → target of each link."""
    files = {path: _size_and_digest(text.encode()) for path, text in instance.files.items() if not path.endswith("/")}
    links = {path: f"-> {target}" for path, target in instance.links.items()}
    return dict(sorted({**files, **links}.items()))


def summary_of_tree(root: Path, name: str) -> dict[str, str]:
    """Return the same as ``summary``, for the tree ``name`` on the node ("": no tree)."""
    tree = root / "trees" / name
    entries: dict[str, str] = {}
    for top, directories, files in os.walk(tree) if name else ():
        path = Path(top).relative_to(tree)
        for file in files:
            if file != LISTING:
                entries[str(path / file)] = _size_and_digest(Path(top, file).read_bytes())
        for directory in directories:
            target = read_link(Path(top, directory))
            if target is not None:
                entries[str(path / directory)] = f"-> {os.path.normpath(path / target)}"
    return dict(sorted(entries.items()))


def _size_and_digest(content: bytes) -> str:
    import hashlib

    return f"{len(content)} bytes, sha256 {hashlib.sha256(content).hexdigest()[:12]}"


@contextmanager
def _readable_by_group(group: int) -> Iterator[None]:
    """Files that the body creates belong to root, ``group`` can read them, and no other user ever can."""
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
    return [entry for entry in path.iterdir() if entry.is_dir()] if path.is_dir() else []


def _group_id(group: str) -> int:
    try:
        return grp.getgrnam(group).gr_gid
    except KeyError:
        raise ToolError(f"no group {group} on this node: nginx is not installed") from None
