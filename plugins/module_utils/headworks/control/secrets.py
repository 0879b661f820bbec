"""Texts from an Ansible vault (``!vault`` in the inventory): decrypted for the nodes, and kept out of messages.

What does not belong here: templates (``variables.py``).
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from ansible._internal._datatag._tags import VaultedValue
from ansible.parsing.vault import EncryptedString

from ..model.errors import Secret
from .references import names_used

_HIDDEN = "…"
# A shorter text is replaced only where it is a word of its own.
_WORD = 4


class Secrets:
    """The texts that were decrypted for the plan.

    :param texts: of an earlier step of the run (``texts``).
    """

    def __init__(self, texts: Iterable[str] = ()) -> None:
        self._texts = set(texts)

    @property
    def texts(self) -> list[str]:
        """The texts, for a later step of the run."""
        return sorted(self._texts)

    def note(self, value: Any, raw: Mapping[str, Any]) -> None:
        """Note the encrypted texts that the templates in ``value`` use, by name, also by way of other variables."""
        for name in names_used(value, raw):
            for text in _encrypted(raw.get(name)):
                self._texts.add(str(text))

    def plain(self, value: Any) -> Any:
        """Ansible's tagged values as Python's own types; a text from a vault as ``Secret``, which is noted."""
        if type(value) is str:
            return value
        if isinstance(value, str):
            return self._secret(value) if VaultedValue.is_tagged_on(value) else str(value)
        if isinstance(value, EncryptedString):
            return self._secret(str(value))
        if isinstance(value, Mapping):
            return {str(key): self.plain(item) for key, item in value.items()}
        if isinstance(value, (list, tuple)):
            return [self.plain(item) for item in value]
        for kind in (bool, int, float):
            if isinstance(value, kind):
                return value if type(value) is kind else kind(value)
        return value

    def _secret(self, value: str) -> Secret:
        self._texts.add(str(value))
        return Secret(str(value))

    def hide(self, text: str) -> str:
        """``text`` without the texts that were noted."""
        if not self._texts:
            return text
        forms = sorted({form for one in self._texts for form in _forms(one)}, key=len, reverse=True)
        for form in forms:
            pattern = re.escape(form) if len(form) >= _WORD else rf"(?<!\w){re.escape(form)}(?!\w)"
            text = re.sub(pattern, _HIDDEN, text)
        return text

    def hide_in(self, data: Any) -> Any:
        """``data`` of dictionaries, lists and texts without the texts that were noted. Keys stay as they are."""
        if not self._texts:
            return data
        if isinstance(data, str):
            return self.hide(data)
        if isinstance(data, Mapping):
            return {key: self.hide_in(value) for key, value in data.items()}
        return [self.hide_in(value) for value in data] if isinstance(data, (list, tuple)) else data


def published(cloud: Mapping[str, Any]) -> list[str]:
    """A message for each text from a vault that headworks cannot keep secret: the addresses of images."""
    images = cloud.get("cloud_images")
    rule = "must not be encrypted: the controller's tasks and logs show the address of an image"
    return [
        f"cloud_images.{name}.url: {rule}"
        for name, image in (images.items() if isinstance(images, Mapping) else ())
        if isinstance(image, Mapping) and isinstance(image.get("url"), Secret)
    ]


def _forms(text: str) -> Iterator[str]:
    """A secret as it may stand in a message: whole or line by line, as it is or quoted."""
    for part in {text, text.strip(), *(line.strip() for line in text.splitlines() if len(line.strip()) >= _WORD)}:
        if part:
            yield from {part, repr(part)[1:-1], json.dumps(part)[1:-1]}


def _encrypted(value: Any) -> Iterator[EncryptedString]:
    if isinstance(value, EncryptedString):
        yield value
    elif isinstance(value, Mapping):
        for item in value.values():
            yield from _encrypted(item)
    elif isinstance(value, (list, tuple)):
        for item in value:
            yield from _encrypted(item)
