"""From the options of one item of ovs_port to the record of a port. An omitted option stays as it is on the node.

What does not belong here: the option ``set`` (``set_option.py``), ``other_config`` and the removal of ports
(``options.py``).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

from ...state.ovs import OvsPort
from .existing import Existing

Item = Mapping[str, Any]

TUNNEL_OPTIONS = ("peer", "local_ip", "remote_ip", "key", "in_key", "out_key")


def wanted_port(item: Item, existing: Existing) -> OvsPort:
    """The port that the item asks for, without the option ``set``.

    :raises ValueError: the item's name belongs to a bridge or to a member of a bond, or an option is wrong.
    """
    name, bridge = item["port"], item.get("bridge")
    now, fake = existing.ports.get(name), existing.fake(bridge)
    _check_name(item, existing)
    if now is None:
        if not bridge:
            raise ValueError(f"port {name}: bridge is missing")
        start = OvsPort(name, bridge)
    else:
        start = replace(now, bridge=bridge or now.bridge, error="")
    if fake:
        start = replace(start, bridge=fake.bridge, tag=fake.tag)
    return _with_options(start, item)


def check_port(port: OvsPort) -> None:
    """Check the finished record of a port.

    :raises ValueError: a VLAN is out of range, or the type needs an option that is missing.
    """
    if port.tag is not None and not 0 <= port.tag <= 4095:
        raise ValueError(f"port {port.name}: tag {port.tag}: must be from 0 to 4095")
    wrong = [vlan for vlan in port.trunks if not 0 <= vlan <= 4095]
    if wrong:
        raise ValueError(f"port {port.name}: trunks {wrong[0]}: must be from 0 to 4095")
    if port.type == "patch" and not port.options.get("peer"):
        raise ValueError(f"port {port.name}: type patch needs peer, the port at the other end")
    if port.type in ("vxlan", "gre", "geneve") and not port.options.get("remote_ip"):
        raise ValueError(f"port {port.name}: type {port.type} needs remote_ip")


def given(item: Item, keys: Iterable[str]) -> dict[str, Any]:
    """The options of ``keys`` that have a value."""
    return {key: item[key] for key in keys if item.get(key) not in (None, "")}


def merged(now: Mapping[str, str], changes: Mapping[str, Any] | None, clear: bool = False) -> dict[str, str]:
    """``now`` with the keys of ``changes``. Null or an empty text removes a key; with ``clear``, an empty mapping
    removes all keys."""
    if clear and changes is not None and not changes:
        return {}
    both = {**now, **(changes or {})}
    return {
        key: str(value).lower() if isinstance(value, bool) else str(value)
        for key, value in both.items()
        if value is not None and (value != "" or key not in (changes or {}))
    }


def _check_name(item: Item, existing: Existing) -> None:
    """Check that the item does not take the local port away from a bridge, or an interface from a bond."""
    name, bridge = item["port"], item.get("bridge")
    if existing.fake(name):
        raise ValueError(f"port {name}: is a fake bridge: change it with ovs_bridge")
    if name in existing.bridges:
        if bridge not in (None, "", name):
            raise ValueError(
                f"port {name}: is a bridge, so it cannot become a port of bridge {bridge}: connect bridges with two "
                "ports of type patch"
            )
        if item.get("type") not in (None, "internal"):
            raise ValueError(f"port {name}: type {item['type']}: the local port of a bridge is internal")
    if name in existing.bonds:
        bond = existing.bonds[name]
        raise ValueError(f"port {name}: is a member of the bond {bond}: remove it from the bond first")


def _with_options(port: OvsPort, item: Item) -> OvsPort:
    """``port`` with all options of an ovs_port item that are fields of the record, except ``set``."""
    fields = given(item, ("type", "vlan_mode", "mac", "mtu"))
    if fields.get("type") == "system":
        fields["type"] = ""
    if item.get("trunks") is not None:
        fields["trunks"] = tuple(sorted(item["trunks"]))
    if item.get("tag") not in (None, ""):
        fields["tag"] = _tag(port.name, item["tag"])
    return replace(
        port,
        **fields,
        options=merged(merged(port.options, item.get("options")), given(item, TUNNEL_OPTIONS)),
        external_ids=merged(port.external_ids, item.get("interface_external_ids")),
        port_external_ids=merged(port.port_external_ids, item.get("external_ids")),
    )


def _tag(name: str, value: Any) -> int | None:
    """The VLAN of the option ``tag``: a number, or ``[]`` for none."""
    text = str(value).strip()
    text = text[1:-1].strip() if text.startswith("[") and text.endswith("]") else text
    if not text:
        return None
    if not text.isdecimal():
        raise ValueError(f"port {name}: tag {value}: must be a number from 0 to 4095, or [] for no VLAN")
    return int(text)
