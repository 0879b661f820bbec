"""Texts from a vault are hidden in whatever form they stand in a message."""

from __future__ import annotations

import pytest
from ansible._internal._datatag._tags import VaultedValue
from headworks.control.secrets import Secrets, published
from headworks.model.errors import Secret, shown


def vaulted(text: str) -> str:
    tagged: str = VaultedValue(ciphertext="x").tag(text)
    return tagged


@pytest.fixture
def secrets() -> Secrets:
    noted = Secrets()
    noted.plain({"a": [vaulted("first line\nsecond line")], "b": vaulted("ab"), "c": "public"})
    return noted


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("x: 'first line\\nsecond line': no", "x: '…': no"),
        ("only the second line here", "only the … here"),
        ("cabs and ab", "cabs and …"),
        ("public", "public"),
    ],
)
def test_a_secret_is_hidden_whole_quoted_and_line_by_line(text: str, expected: str, secrets: Secrets) -> None:
    assert secrets.hide(text) == expected
    assert secrets.hide_in({"k": [text, 1]}) == {"k": [expected, 1]}


def test_only_values_from_a_vault_become_secrets(secrets: Secrets) -> None:
    value = secrets.plain({"a": vaulted("x"), "b": "y", "c": True})
    assert value == {"a": "x", "b": "y", "c": True}
    assert [type(one) for one in value.values()] == [Secret, str, bool]


def test_a_message_does_not_show_a_secret_at_any_depth() -> None:
    assert shown(Secret("hunter2")) == "…"
    assert "hunter2" not in shown({"a": [Secret("hunter2")]})


def test_the_address_of_an_image_from_a_vault_is_refused(secrets: Secrets) -> None:
    images = secrets.plain({"nano": {"url": vaulted("https://h/i")}, "other": {"url": "https://h/j"}})
    (message,) = published({"cloud_images": images})
    assert message.startswith("cloud_images.nano.url: must not be encrypted")


def test_a_later_step_hides_the_same_texts() -> None:
    secrets = Secrets()
    assert secrets.plain(vaulted("battery-staple")) == "battery-staple"
    later = Secrets(secrets.texts)
    assert later.hide_in({"changes": [{"name": "flow battery-staple"}]}) == {"changes": [{"name": "flow …"}]}
