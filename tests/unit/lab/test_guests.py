"""Commands in guests, with a script in place of ssh."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path

import pytest
from headworks_lab import guests
from headworks_lab.guests import GuestCommand, Login, run_in_guests

# Prints its arguments; refuses the first connection to "vm-late"; runs the commands "sleep" and "exit".
SSH = """#!/usr/bin/env python3
import json, os, sys, time
args = sys.argv[1:]
key = args[args.index("-i") + 1]
target, command = args[-2:]
if target == "root@vm-late" and not os.path.exists("PLACE/late"):
    open("PLACE/late", "w").close()
    sys.exit(255)
if command.startswith("sleep "):
    time.sleep(float(command.split()[1]))
if command.startswith("exit "):
    sys.exit(int(command.split()[1]))
print("first line")
print(json.dumps({"key": open(key).read(), "mode": os.stat(key).st_mode & 0o777, "target": target, "command": command}))
"""
KEY = "-----BEGIN KEY-----\nabc\n-----END KEY-----"


@pytest.fixture(autouse=True)
def ssh(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    script = tmp_path / "ssh"
    script.write_text(SSH.replace("PLACE", str(tmp_path)))
    script.chmod(0o755)
    monkeypatch.setattr(guests, "tool_path", lambda name: str(tmp_path / name))
    monkeypatch.setattr(guests, "RETRY_AFTER_S", 0.01)


def test_only_the_owner_can_read_the_key_and_no_file_of_it_is_left() -> None:
    (answer,) = run_in_guests([GuestCommand("n", Login("vm1"), "hostname", expect="target")], KEY)
    seen = json.loads(answer.shown)
    assert seen == {"key": KEY + "\n", "mode": 0o600, "target": "root@vm1", "command": "hostname"}
    assert answer.ok
    links = (
        os.readlink(f"/proc/self/fd/{descriptor}")
        for descriptor in os.listdir("/proc/self/fd")
        if os.path.exists(f"/proc/self/fd/{descriptor}")
    )
    assert not [link for link in links if link.startswith("/memfd:key")]


def test_a_command_is_ok_only_if_it_succeeds_and_its_output_matches() -> None:
    vm = Login("vm1", user="nano")
    answers = run_in_guests(
        [
            GuestCommand("matches", vm, "x", expect="^first line$"),
            GuestCommand("does not match", vm, "x", expect="^second line$"),
            GuestCommand("fails", vm, "exit 3"),
        ],
        KEY,
    )
    assert [(answer.name, answer.ok, answer.rc) for answer in answers] == [
        ("matches", True, 0),
        ("does not match", False, 0),
        ("fails", False, 3),
    ]


def test_a_connection_is_retried_only_until_the_guest_has_answered_once() -> None:
    late = Login("vm-late")
    started = time.monotonic()
    first, second = run_in_guests([GuestCommand("a", late, "x"), GuestCommand("b", late, "exit 255")], KEY, wait_s=60)
    assert first.ok
    assert (second.ok, second.rc) == (False, 255)
    assert time.monotonic() - started < 30


def test_without_a_wait_a_refused_connection_is_not_retried() -> None:
    (answer,) = run_in_guests([GuestCommand("a", Login("vm-late"), "x")], KEY)
    assert (answer.ok, answer.rc) == (False, 255)


def test_guests_run_in_parallel_and_the_answers_keep_the_order_of_the_commands() -> None:
    commands = [GuestCommand(str(number), Login(f"vm{number % 4}"), "sleep 1") for number in range(8)]
    started = time.monotonic()
    answers = run_in_guests(commands, KEY)
    assert [answer.name for answer in answers] == [str(number) for number in range(8)]
    assert all(answer.ok for answer in answers)
    assert time.monotonic() - started < 8


def test_a_command_that_hangs_ends_with_the_timeout() -> None:
    (answer,) = run_in_guests([GuestCommand("a", Login("vm1"), "sleep 5")], KEY, timeout_s=0.3)
    assert not answer.ok
    assert "no answer within" in answer.stderr
