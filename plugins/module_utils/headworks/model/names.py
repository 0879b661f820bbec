"""Names and short texts that end up in files, commands and device names: restricted so that none can break out.

Addresses are in ``addresses.py``.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Callable
from typing import Annotated
from urllib.parse import urlsplit

from pydantic import AfterValidator

from .written import Kind, text_kind

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]*")
_HOST_LABEL = re.compile(r"[A-Za-z0-9]([A-Za-z0-9-]*[A-Za-z0-9])?")
_LINK = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]*")
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]")
_METADATA_KEY = re.compile(r"[A-Za-z0-9_:. -]+")
_CHECKSUM = re.compile(r"sha256:[0-9a-f]{64}|sha512:[0-9a-f]{128}")
_KEY_TYPES = (
    "ssh-ed25519",
    "ssh-rsa",
    "ecdsa-sha2-nistp256",
    "ecdsa-sha2-nistp384",
    "ecdsa-sha2-nistp521",
    "sk-ssh-ed25519@openssh.com",
    "sk-ecdsa-sha2-nistp256@openssh.com",
)
RESERVED_BRIDGES = ("br-int", "br-tun", "br-phy")


def name(value: str) -> str:
    """A name of an object of the cloud."""
    if len(value) > 63 or ".." in value or not _NAME.fullmatch(value):
        raise ValueError(
            "must be a name: a letter or digit, then letters, digits, '_', '.' or '-' (no '..'), at most 63 characters"
        )
    return value


def host_name(value: str) -> str:
    """A host name as RFC 1123 has it: one label, or several with dots."""
    labels = value.split(".")
    if len(value) > 253 or not all(len(one) <= 63 and _HOST_LABEL.fullmatch(one) for one in labels):
        raise ValueError(
            "must be a host name: letters, digits and inner hyphens, at most 63 characters, also several such words "
            "with dots between them (it becomes the guest's)"
        )
    if len(labels) > 1 and labels[-1].isdigit():
        raise ValueError("must be a host name whose last word is not a number: this looks like an address")
    return value


def node_name(value: str) -> str:
    """A node's name in the inventory: host names with dots and underscores, as people have them."""
    if len(value) > 253 or ".." in value or not _NAME.fullmatch(value):
        raise ValueError("must be a name: a letter or digit, then letters, digits, '_', '.' or '-', no '..'")
    return value


def domain(value: str) -> str:
    """A DNS domain; a trailing dot is dropped."""
    bare = value.removesuffix(".")
    labels = bare.split(".")
    if len(bare) > 253 or not all(len(one) <= 63 and _HOST_LABEL.fullmatch(one) for one in labels):
        raise ValueError("must be a DNS domain, e.g. example.org")
    return bare


def link_name(value: str) -> str:
    """A name that Linux takes for a network device."""
    if len(value) > 15 or not _LINK.fullmatch(value) or value in (".", ".."):
        raise ValueError("must be a network device's name: at most 15 letters, digits, '_', '.' or '-'")
    return value


def provider_bridge(value: str) -> str:
    """A bridge that an operator may name: any but those the cloud keeps for itself."""
    link_name(value)
    if value in RESERVED_BRIDGES:
        raise ValueError(f"is kept for the cloud itself (as are {', '.join(RESERVED_BRIDGES)}); choose another name")
    return value


def line(value: str) -> str:
    """Text on one line, without control characters."""
    if _CONTROL.search(value):
        raise ValueError("must be one line without control characters")
    return value


def no_nul(value: str) -> str:
    """Text for a file: anything but NUL, and no more than Nova takes."""
    if "\0" in value:
        raise ValueError("must not contain NUL characters")
    if len(value.encode("utf-8", "surrogatepass")) > 65535:
        raise ValueError("must not be longer than 65535 bytes")
    return value


def metadata_key(value: str) -> str:
    """A key of instance metadata, as Nova has them."""
    if len(value) > 255 or not _METADATA_KEY.fullmatch(value):
        raise ValueError("must be 1 to 255 letters, digits, '_', ':', '.', '-' or blanks")
    return value


def metadata_value(value: str) -> str:
    """A value of instance metadata."""
    if len(value) > 255:
        raise ValueError("must be at most 255 characters")
    return line(value)


def local_path(value: str) -> str:
    """A file on the control node."""
    if not value or value.startswith("-") or _CONTROL.search(value):
        raise ValueError("must be a file's path without control characters and without a leading '-'")
    return value


def image_url(value: str) -> str:
    """Where an image comes from."""
    if _CONTROL.search(value) or " " in value or "\\" in value:
        raise ValueError("must be a URL without blanks, backslashes and control characters")
    try:
        parts = urlsplit(value)
        _ = parts.port
    except ValueError as error:
        raise ValueError(f"must be a URL: {error}") from None
    if parts.scheme not in ("https", "http", "file"):
        raise ValueError("must be a URL that begins with https://, http:// or file://")
    if parts.username is not None or parts.password is not None:
        raise ValueError("must not carry a user name or password: the inventory is no place for secrets")
    if parts.scheme == "file":
        if parts.netloc or not parts.path.startswith("/"):
            raise ValueError("must be file:/// and an absolute path")
    elif not parts.hostname:
        raise ValueError("must name a host")
    return value


def checksum(value: str) -> str:
    """``sha256:<64 hex>`` or ``sha512:<128 hex>``, in lower case."""
    lower = value.lower()
    if not _CHECKSUM.fullmatch(lower):
        raise ValueError("must be sha256:<64 hex digits> or sha512:<128 hex digits>")
    return lower


def public_key(value: str) -> str:
    """One line of an ``authorized_keys`` file without options."""
    text = value.strip()
    if "PRIVATE KEY" in text:
        raise ValueError("is a private key; give the public one (the file that ends in .pub), and change this key")
    line(text)
    kind, _, rest = text.partition(" ")
    if kind not in _KEY_TYPES:
        raise ValueError(f"must be a public ssh key on one line, beginning with one of {', '.join(_KEY_TYPES[:5])}")
    try:
        blob = base64.b64decode(rest.split(" ", 1)[0], validate=True)
    except (binascii.Error, ValueError):
        raise ValueError("must be a public ssh key: its second word is not base64") from None
    embedded = blob[4 : 4 + int.from_bytes(blob[:4], "big")]
    if embedded != kind.encode() or len(blob) <= 4 + len(embedded):
        raise ValueError(f"must be a public ssh key: its second word is not a key of type {kind}")
    return text


def _after(check: Callable[[str], str]) -> AfterValidator:
    return AfterValidator(check)


# Patterns as JSON Schema reads them.
_NAME_TEXT = rf"^(?!.*\.\.){_NAME.pattern}$"
_LABEL_TEXT = _HOST_LABEL.pattern
_RESERVED = "|".join(RESERVED_BRIDGES)
_ANY_LINE = r"^[^\u0000-\u001f\u007f-\u009f\u2028\u2029]*$"
_CHECKSUM_TEXT = "^([sS][hH][aA]256:[0-9a-fA-F]{64}|[sS][hH][aA]512:[0-9a-fA-F]{128})$"
_KEY_TEXT = rf"^\s*({'|'.join(_KEY_TYPES)}) "

NAME = text_kind("name", _NAME_TEXT, example="NAME", most=63)
HOST_NAME = text_kind("host name", rf"^{_LABEL_TEXT}(\.{_LABEL_TEXT})*$", most=253)
NODE_NAME = text_kind("name of a node", _NAME_TEXT, most=253)
DOMAIN = text_kind("DNS domain", rf"^{_LABEL_TEXT}(\.{_LABEL_TEXT})*\.?$", most=254)
LINK_NAME = text_kind("name of a network device", f"^{_LINK.pattern}$", most=15)
PROVIDER_BRIDGE = text_kind("name of a bridge", f"^(?!({_RESERVED})$){_LINK.pattern}$", most=15)
LINE = text_kind("text on one line", _ANY_LINE)
USER_DATA = Kind("text", {"type": "string", "maxLength": 65535})
METADATA_KEY = text_kind("key", f"^{_METADATA_KEY.pattern}$", example="KEY", most=255)
METADATA_VALUE = Kind("text, number or boolean", {"type": ["string", "number", "boolean"], "maxLength": 255})
LOCAL_PATH = text_kind("path of a file", "^[^-]")
IMAGE_URL = text_kind("URL (https, http or file)", r"^(https?|file)://[^ \\]+$")
CHECKSUM = text_kind("sha256:… or sha512:…", _CHECKSUM_TEXT)
PUBLIC_KEY = text_kind("public ssh key", _KEY_TEXT)

Name = Annotated[str, NAME, _after(name)]
HostName = Annotated[str, HOST_NAME, _after(host_name)]
NodeName = Annotated[str, NODE_NAME, _after(node_name)]
Domain = Annotated[str, DOMAIN, _after(domain)]
LinkName = Annotated[str, LINK_NAME, _after(link_name)]
ProviderBridge = Annotated[str, PROVIDER_BRIDGE, _after(provider_bridge)]
Line = Annotated[str, LINE, _after(line)]
UserData = Annotated[str, USER_DATA, _after(no_nul)]
MetadataKey = Annotated[str, METADATA_KEY, _after(metadata_key)]
MetadataValue = Annotated[str, METADATA_VALUE, _after(metadata_value)]
LocalPath = Annotated[str, LOCAL_PATH, _after(local_path)]
ImageUrl = Annotated[str, IMAGE_URL, _after(image_url)]
Checksum = Annotated[str, CHECKSUM, _after(checksum)]
PublicKey = Annotated[str, PUBLIC_KEY, _after(public_key)]
