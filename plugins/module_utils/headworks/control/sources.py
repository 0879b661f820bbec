"""Inventory sources that Ansible did not read, or read as something that they are not.

Ansible goes on after such a source with a warning. The hosts of the source are then missing, and a run would remove
them from the nodes. What does not belong here: Ansible's own objects (``ansible_sources.py``).
"""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import yaml

_YAML = (".yml", ".yaml", ".json")
_STATIC = (*_YAML, ".ini", ".toml")
_VARIABLES = ("group_vars", "host_vars")
# Keys of a YAML inventory below a group. A group of such a name comes from a wrong indentation.
_SECTIONS = ("children", "hosts", "vars")
# What Ansible's YAML plugin only warns of: everything below the key is missing.
_SKIPPED = ("Skipping unexpected key (", "Skipping key (", "Skipping '")
_WARNING = "[WARNING]: "
# Enough of a file to find its first word after a long comment.
_HEAD = 65536


@dataclass(frozen=True)
class Reading:
    """What Ansible made of its inventory sources.

    :ivar sources: files, directories and lists of host names, as ``-i`` and ansible.cfg name them.
    :ivar processed: the sources, and files in sources that are directories, that a plugin read.
    :ivar hosts: the names of all hosts, and ``groups`` the names of all groups.
    :ivar warnings: what Ansible has warned of so far.
    :ivar ignored: whether Ansible ignores a file of this name inside a directory.
    :ivar hosts_as_ini: the hosts of a file if it is read as INI; None if it cannot be read as INI.
    """

    sources: Sequence[str]
    processed: Collection[str]
    hosts: Collection[str]
    groups: Collection[str]
    warnings: Collection[str]
    ignored: Callable[[str], bool]
    hosts_as_ini: Callable[[str], Collection[str] | None]


def problems(reading: Reading) -> list[str]:
    """A message for each source that is missing from the inventory, in whole or in part."""
    messages = []
    for source in reading.sources:
        if "," in source:
            messages += _list_of_hosts(source)
        elif os.path.isdir(source):
            messages += _directory(source, reading)
        else:
            messages += _file(os.path.abspath(os.path.expanduser(source)), reading)
    messages += [
        f"group {name}: is the name of a section of a YAML inventory, so a line above or below it is indented wrongly"
        for name in _SECTIONS
        if name in reading.groups
    ]
    skipped = sorted(one.removeprefix(_WARNING).strip() for one in reading.warnings)
    messages += [f"an inventory source is read in part: {one}" for one in skipped if one.startswith(_SKIPPED)]
    return messages


def ignored_files(reading: Reading) -> list[str]:
    """A warning for each file that Ansible ignores although it is the only one of its name: ``instances.yml.bak``."""
    warnings = []
    for source in reading.sources:
        if "," in source or not os.path.isdir(source):
            continue
        present = sorted(os.listdir(source))
        for name in present:
            stem = _without_ending(name)
            if stem.endswith(_STATIC) and stem not in present and reading.ignored(name):
                warnings.append(f"{os.path.join(source, name)}: Ansible ignores this file because of its name")
    return warnings


def _without_ending(name: str) -> str:
    return name.removesuffix("~") if name.endswith("~") else name.rpartition(".")[0]


def _list_of_hosts(source: str) -> list[str]:
    """Messages about a list of host names (``-i one,two``) that was meant to be files."""
    files = [one for one in source.split(",") if one.strip().endswith(_STATIC) or "/" in one]
    if not files:
        return []
    return [
        f"-i {source}: Ansible takes this for a list of host names, because it contains a comma; give {files[0]} "
        "without a comma, and each further source with -i of its own"
    ]


def _directory(source: str, reading: Reading) -> list[str]:
    files = list(_files(source, reading.ignored))
    if not files and not any(os.path.isdir(os.path.join(source, name)) for name in _VARIABLES):
        return [f"{source}: this directory has neither an inventory file that Ansible reads nor group_vars"]
    return [message for path in files for message in _file(path, reading)]


def _files(directory: str, ignored: Callable[[str], bool]) -> Iterator[str]:
    for name in sorted(os.listdir(directory)):
        path = os.path.join(os.path.abspath(directory), name)
        if ignored(name):
            continue
        if os.path.isdir(path):
            yield from _files(path, ignored)
        else:
            yield path


def _file(path: str, reading: Reading) -> list[str]:
    if path not in reading.processed:
        return [f"{path}: {_reason(path)}"]
    try:
        with open(path, "rb") as stream:
            head = stream.read(_HEAD)
    except OSError as error:
        return [f"{path}: cannot be read: {error.strerror}"]
    if len(head) < _HEAD and not _has_content(head):
        return [f"{path}: is empty; remove the file if this is intended"]
    script = head.startswith(b"#!")
    if not script and not path.endswith(_YAML):
        return []
    # Ansible tries one plugin after the other, and almost every word is a host name for the last one.
    words = reading.hosts_as_ini(path)
    if words is None or not set(words) <= set(reading.hosts):
        return []
    if script:
        return [f"{path}: this script failed or is not executable, and Ansible took its text for a list of host names"]
    return [f"{path}: {_reason(path)}; Ansible took its text for a list of host names"]


def _has_content(head: bytes) -> bool:
    lines = (line.strip() for line in head.splitlines())
    return any(line and not line.startswith((b"#", b";")) and line not in (b"---", b"...") for line in lines)


def _reason(path: str) -> str:
    """Why a file is not an inventory. The text of the file is not shown: it may hold secrets."""
    if not os.path.lexists(path):
        return "does not exist"
    if not os.access(path, os.R_OK):
        return "cannot be read"
    if path.endswith(_YAML):
        try:
            for _ in yaml.parse(Path(path).read_text()):
                pass
        except yaml.MarkedYAMLError as error:
            line = f" in line {error.problem_mark.line + 1}" if error.problem_mark else ""
            return f"cannot be parsed: {error.problem}{line}"
        except (yaml.YAMLError, UnicodeError):
            return "cannot be parsed: it has characters that YAML does not allow"
    what = "this script failed" if os.access(path, os.X_OK) else "cannot be parsed as an inventory"
    return f"{what}; Ansible's warnings at the beginning of the run say why"
