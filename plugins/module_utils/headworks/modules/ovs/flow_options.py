"""The options of module ovs_flows as ``Flow`` records: lines of ovs-ofctl's syntax, or mappings.

A node state contains records and needs none of this.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

from ...node.openflow.syntax import DEFAULT_PRIORITY
from ...state.openflow import Flow

FIELDS = {"bridge", "table", "priority", "match", "actions"}
# Words of ovs-ofctl's syntax that are not matches. A flow with a timeout would not stay on the switch.
OTHER_WORDS = {"cookie", "idle_timeout", "hard_timeout", "importance", "duration", "n_packets", "n_bytes", "out_port"}


def read_cookie(given: Any) -> int:
    """A cookie given as a number or as text (decimal or 0x…).

    :raises ValueError: it is not a number of 64 bits.
    """
    try:
        cookie = int(str(given), 0)
    except ValueError:
        cookie = -1
    if not 0 <= cookie < 2**64:
        raise ValueError(f"cookie {given!r}: must be a number from 0 to 0xffffffffffffffff")
    return cookie


def read_flows(given: Iterable[Any], bridge: str | None) -> dict[str, Flow]:
    """The flows by name.

    :param given: the lines and mappings.
    :param bridge: the bridge of the flows that name none.
    :raises ValueError: a flow is malformed, or is given twice; the message contains the flow.
    """
    flows: dict[str, Flow] = {}
    for text_or_mapping in given:
        flow = _read_flow(text_or_mapping, bridge)
        if flow.name in flows:
            raise ValueError(f"flow {text_or_mapping!r}: given twice")
        flows[flow.name] = flow
    return flows


def _read_flow(given: Any, bridge: str | None) -> Flow:
    fields = dict(given) if isinstance(given, Mapping) else _parse(str(given))
    unknown = set(fields) - FIELDS
    if unknown:
        raise ValueError(f"flow {given!r}: unknown key {min(unknown)!r}")
    bridge = fields.get("bridge") or bridge
    if not bridge:
        raise ValueError(f"flow {given!r}: bridge is missing")
    return Flow(
        bridge=str(bridge),
        table=_number(given, "table", fields.get("table", 0), 254),
        priority=_number(given, "priority", fields.get("priority", DEFAULT_PRIORITY), 65535),
        match=re.sub(r"\s+", "", str(fields.get("match") or "")),
        actions=str(fields.get("actions") or "drop").strip(),
    )


def _parse(line: str) -> dict[str, Any]:
    """The fields of a line in ovs-ofctl's syntax: table, priority, match and actions."""
    head, _, actions = re.sub(r"(^|[\s,])actions?\s*=", r"\1actions=", line).partition("actions=")
    fields: dict[str, Any] = {"actions": actions}
    match = []
    for word in re.split(r"[\s,]+", head.strip().rstrip(",")):
        key, _, value = word.partition("=")
        if key in ("table", "priority"):
            fields[key] = value
        elif key in OTHER_WORDS:
            raise ValueError(f"flow {line!r}: {key} cannot be given here")
        elif word:
            match.append(word)
    fields["match"] = ",".join(match)
    return fields


def _number(flow: Any, key: str, value: Any, highest: int) -> int:
    try:
        number = int(str(value), 0)
    except ValueError:
        number = -1
    if not 0 <= number <= highest:
        raise ValueError(f"flow {flow!r}: {key} {value!r}: must be a number from 0 to {highest}")
    return number
