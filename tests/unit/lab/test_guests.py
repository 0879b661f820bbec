"""Commands in guests, with a stand-in for ssh."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path

import pytest
from headworks_lab import guests
from headworks_lab.guests import GuestCommand, Login, run_in_guests

# Says what it was called with; "vm-late" answers from the second time on, and guests sleep as they are told.
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


def test_the_key_is_readable_for_ssh_alone_and_no_file_of_it_stays() -> None:
    (answer,) = run_in_guests([GuestCommand("n", Login("vm1"), "hostname", expect="target")], KEY)
    seen = json.loads(answer.shown)
    assert seen == {"key": KEY + "\n", "mode": 0o600, "target": "root@vm1", "command": "hostname"}
    assert answer.ok
    links = (
        os.readlink(f"/proc/self/fd/{one}")
        for one in os.listdir("/proc/self/fd")
        if os.path.exists(f"/proc/self/fd/{one}")
    )
    assert not [link for link in links if link.startswith("/memfd:key")]


def test_a_command_is_good_only_when_it_succeeds_and_says_what_is_expected() -> None:
    vm = Login("vm1", user="nano")
    answers = run_in_guests(
        [
            GuestCommand("says it", vm, "x", expect="^first line$"),
            GuestCommand("says something else", vm, "x", expect="^second line$"),
            GuestCommand("fails", vm, "exit 3"),
        ],
        KEY,
    )
    assert [(one.name, one.ok, one.rc) for one in answers] == [
        ("says it", True, 0),
        ("says something else", False, 0),
        ("fails", False, 3),
    ]


def test_a_guest_that_boots_is_waited_for_but_one_that_has_answered_is_not() -> None:
    late = Login("vm-late")
    started = time.monotonic()
    first, second = run_in_guests([GuestCommand("a", late, "x"), GuestCommand("b", late, "exit 255")], KEY, wait_s=60)
    assert first.ok
    assert (second.ok, second.rc) == (False, 255)
    assert time.monotonic() - started < 30


def test_without_waiting_the_first_refusal_counts() -> None:
    (answer,) = run_in_guests([GuestCommand("a", Login("vm-late"), "x")], KEY)
    assert (answer.ok, answer.rc) == (False, 255)


def test_guests_are_asked_at_the_same_time_and_answers_keep_their_order() -> None:
    commands = [GuestCommand(str(number), Login(f"vm{number % 4}"), "sleep 0.3") for number in range(8)]
    started = time.monotonic()
    answers = run_in_guests(commands, KEY)
    assert [one.name for one in answers] == [str(number) for number in range(8)]
    assert all(one.ok for one in answers)
    assert time.monotonic() - started < 8 * 0.3


def test_a_command_that_hangs_is_given_up() -> None:
    (answer,) = run_in_guests([GuestCommand("a", Login("vm1"), "sleep 5")], KEY, timeout_s=0.3)
    assert not answer.ok
    assert "no answer within" in answer.stderr
