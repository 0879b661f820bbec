"""Runs commands in guests by ssh, from a namespace of this node that is on the guests' network. For demo and tests.

The private key is never written to a disk: ssh reads it from an anonymous file of this process. This file imports
nothing of headworks: a node gets it with the module guest_command, under ``ansible.module_utils``.
"""

from __future__ import annotations

import os
import re
import subprocess
import time
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from itertools import groupby
from shutil import which
from typing import Any

SEARCH_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
CONNECT_TIMEOUT_S = 10
RETRY_AFTER_S = 1.0
SSH_FAILED = 255
QUIET = ("BatchMode=yes", "StrictHostKeyChecking=no", "UserKnownHostsFile=/dev/null", "LogLevel=ERROR",
         "IdentitiesOnly=yes", "PreferredAuthentications=publickey", f"ConnectTimeout={CONNECT_TIMEOUT_S}")  # fmt: skip


class GuestError(RuntimeError):
    """The node lacks a tool that reaching guests needs."""


@dataclass(frozen=True)
class Login:
    """How to reach a guest: its address, the namespace ``netns`` to start from ("" = root namespace), and the user."""

    address: str
    netns: str = ""
    user: str = "root"


@dataclass(frozen=True)
class GuestCommand:
    """A command for the shell of ``guest``. ``name`` says what the command proves.

    ``expect`` is a regular expression that the command's output must contain ("" = the command must only succeed).
    """

    name: str
    guest: Login
    command: str
    expect: str = ""


@dataclass(frozen=True)
class Answer:
    """The result of a command.

    ``rc`` is its exit code (255: no connection); ``shown`` is the line of the output that matches the expectation.
    """

    name: str
    ok: bool
    rc: int = SSH_FAILED
    shown: str = ""
    stdout: str = ""
    stderr: str = ""

    def plain(self) -> dict[str, Any]:
        """The answer as a dictionary."""
        return asdict(self)


def tool_path(name: str) -> str | None:
    """The full path of a tool, or None if the node does not have it."""
    return which(name, path=SEARCH_PATH)


def run_in_guests(
    commands: Sequence[GuestCommand], key: str, *, wait_s: float = 0.0, timeout_s: float = 60.0
) -> list[Answer]:
    """Run the commands and return their answers in the order of the commands.

    The commands of a guest run in sequence; different guests run in parallel.

    :param key: the private key (the text of its file).
    :param wait_s: how long to retry until a guest answers on ssh.
    :param timeout_s: how long a command may run.
    :raises GuestError: the node has no program ssh or ip.
    """
    with _anonymous_file(key) as path:

        def run_in_guest(batch: list[tuple[int, GuestCommand]]) -> list[tuple[int, Answer]]:
            deadline, answers = time.monotonic() + wait_s, []
            for position, command in batch:
                answer = _ask(command, path, deadline, timeout_s)
                if answer.rc != SSH_FAILED:
                    deadline = 0.0  # ssh works now, so exit code 255 can be that of a command: do not retry any more.
                answers.append((position, answer))
            return answers

        ordered = sorted(enumerate(commands), key=lambda item: (item[1].guest.address, item[0]))
        guests = [list(batch) for _, batch in groupby(ordered, key=lambda item: item[1].guest.address)]
        with ThreadPoolExecutor(max_workers=max(len(guests), 1)) as pool:
            answered = [item for batch in pool.map(run_in_guest, guests) for item in batch]
    return [answer for _, answer in sorted(answered, key=lambda item: item[0])]


def _ask(command: GuestCommand, key_path: str, deadline: float, timeout_s: float) -> Answer:
    while True:
        answer = _ssh(command, key_path, timeout_s)
        if answer.rc != SSH_FAILED or time.monotonic() > deadline:
            return answer
        time.sleep(RETRY_AFTER_S)


def _ssh(command: GuestCommand, key_path: str, timeout_s: float) -> Answer:
    guest = command.guest
    args = ["ip", "netns", "exec", guest.netns] if guest.netns else []
    args += ["ssh", "-T", "-i", key_path, *_options(), f"{guest.user}@{guest.address}", command.command]
    path = tool_path(args[0])
    if path is None:
        raise GuestError(f"{args[0]}: not installed on this node")
    try:
        done = subprocess.run(
            [path, *args[1:]], stdin=subprocess.DEVNULL, capture_output=True, text=True, errors="replace",
            timeout=timeout_s, check=False,
        )  # fmt: skip
    except subprocess.TimeoutExpired:
        return Answer(command.name, False, stderr=f"no answer within {timeout_s:.0f} s")
    match = re.search(command.expect, done.stdout, re.MULTILINE) if done.returncode == 0 else None
    return Answer(
        command.name, match is not None, done.returncode, _line_of(match) if match else "", done.stdout, done.stderr
    )


def _line_of(match: re.Match[str]) -> str:
    """The line in which a match begins."""
    start = match.string.rfind("\n", 0, match.start()) + 1
    return match.string[start:].partition("\n")[0].strip()


def _options() -> Iterable[str]:
    for option in QUIET:
        yield from ("-o", option)


@contextmanager
def _anonymous_file(content: str) -> Iterator[str]:
    """A path at which child processes can read ``content``, which stays in memory.

    The path is that of a descriptor of this process, because ssh closes the descriptors that it inherits.
    """
    descriptor = os.memfd_create("key", os.MFD_CLOEXEC)
    try:
        os.fchmod(descriptor, 0o600)  # ssh refuses a key that others may read
        os.write(descriptor, content.rstrip("\n").encode() + b"\n")
        yield f"/proc/{os.getpid()}/fd/{descriptor}"
    finally:
        os.close(descriptor)
