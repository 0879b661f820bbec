"""An environment variable that sudo removed is found in the process that started sudo."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest
from headworks.system.ancestors import inherited

NAME = "HEADWORKS_TEST_CONNECTION"
# As with sudo: a process without the variable, started by one that has it.
PROGRAM = f"from headworks.system.ancestors import inherited; print(inherited('{NAME}'))"


def test_the_own_variable_comes_first(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(NAME, "mine")
    assert inherited(NAME) == "mine"


def test_a_variable_of_an_ancestor_is_found() -> None:
    path = os.pathsep.join(sys.path)
    command = f'env -i PYTHONPATH="$PYTHONPATH" "{sys.executable}" -c "{PROGRAM}"; true'
    done = subprocess.run(
        ["/bin/sh", "-c", command],
        env={NAME: "192.0.2.1 40000 192.0.2.2 22", "PYTHONPATH": path, "PATH": os.environ["PATH"]},
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert done.stdout == "192.0.2.1 40000 192.0.2.2 22\n"


def test_a_variable_that_no_process_has_is_empty() -> None:
    assert inherited("HEADWORKS_NO_SUCH_VARIABLE") == ""
