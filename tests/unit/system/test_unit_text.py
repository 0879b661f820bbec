"""Words and names in unit files are written so that systemd reads them as they are."""

from __future__ import annotations

import pytest
from headworks.system.unit_text import exec_lines, unit_part


def test_a_command_that_fails_does_not_stop_the_next_one() -> None:
    assert exec_lines([["/bin/a"], ["/bin/b", "c"]]) == "ExecStart=-/bin/a\nExecStart=-/bin/b c"


@pytest.mark.parametrize(
    ("word", "written"),
    [("a", "a"), ("a b", '"a b"'), ("50%", "50%%"), ("$x", "$$x"), ('"', '"\\""'), ("\\", '"\\\\"'), ("", '""')],
)
def test_a_word_is_one_argument_without_specifiers_and_variables(word: str, written: str) -> None:
    assert exec_lines([["/bin/a", word]]) == f"ExecStart=-/bin/a {written}"


@pytest.mark.parametrize(("name", "part"), [("eth0.100", "eth0.100"), ("br-x", "br-x"), ("a@b", "a\\x40b")])
def test_a_name_becomes_part_of_a_unit_s_name(name: str, part: str) -> None:
    assert unit_part(name) == part
