"""What a user of library/ovs_flows.py gives, as ``Flow`` records: lines of ovs-ofctl's syntax, or mappings.

A node state has records already and needs none of this.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

from ...node.openflow.syntax import DEFAULT_PRIORITY
from ...state.openflow import Flow

FIELDS = {"bridge", "table", "priority", "match", "actions"}
# Words of ovs-ofctl's syntax that are no matches: a flow with a timeout or flags is nothing one can keep in place.
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
    """Flows by name.

    :raises ValueError: one is malformed, or given twice; the message has it.
    """
    flows: dict[str, Flow] = {}
    for one in given:
        fields = dict(one) if isinstance(one, Mapping) else _parse(str(one))
        unknown = set(fields) - FIELDS
        if unknown:
            raise ValueError(f"flow {one!r}: unknown key {sorted(unknown)[0]!r}")
        home = fields.get("bridge") or bridge
        if not home:
            raise ValueError(f"flow {one!r}: bridge is missing")
        flow = Flow(
            bridge=str(home),
            table=_number(one, "table", fields.get("table", 0), 254),
            priority=_number(one, "priority", fields.get("priority", DEFAULT_PRIORITY), 65535),
            match=re.sub(r"\s+", "", str(fields.get("match") or "")),
            actions=str(fields.get("actions") or "drop").strip(),
        )
        if flow.name in flows:
            raise ValueError(f"flow {one!r}: given twice")
        flows[flow.name] = flow
    return flows


def _parse(line: str) -> dict[str, Any]:
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
