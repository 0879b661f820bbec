"""Write flows as text for ovs-ofctl, and parse its output. Pure.

ovs-ofctl translates old actions (``mod_dl_src``, ``strip_vlan``, ``set_tunnel`` …) for OpenFlow 1.4, and the switch
returns the translation. Flows are written with the new actions from the start, so that the text of a flow equals the
switch's text. What does not belong here: running ovs-ofctl (``ofctl.py``).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import NamedTuple

DEFAULT_PRIORITY = 32768
VLAN_PRESENT = 0x1000
PLAIN = {
    "mod_dl_src": "eth_src",
    "mod_dl_dst": "eth_dst",
    "mod_nw_src": "ip_src",
    "mod_nw_dst": "ip_dst",
    "set_tunnel": "tun_id",
    "set_tunnel64": "tun_id",
}
TRANSPORT = {"mod_tp_src": "src", "mod_tp_dst": "dst"}
VLAN_MATCH = re.compile(r"(?:^|,)(?:dl_vlan=(?!0xffff)|vlan_vid=|dl_vlan_pcp=|vlan_tci=0x1)")
PROTOCOL = re.compile(r"(?:^|,)(tcp|udp|sctp)")


class Entry(NamedTuple):
    """A parsed line of ``ovs-ofctl diff-flows``.

    ``match`` has neither table nor priority. ``extra`` has attributes that none of our flows has (timeouts, flags), as
    printed, and is "" normally.
    """

    sign: str
    table: int
    priority: int
    match: str
    cookie: int
    extra: str
    actions: str

    @property
    def where(self) -> tuple[int, int, str]:
        """The identity of a flow on a switch: table, priority and match, in the switch's spelling."""
        return (self.table, self.priority, self.match)


def parse(line: str) -> Entry:
    """Parse a line of ``diff-flows`` (``-table=1 priority=4,ip,in_port=LOCAL cookie=0x5 actions=output:7``) or, with a
    blank before it, of ``dump-flows`` (``cookie=0x5, table=1, priority=4,ip actions=drop``)."""
    head, _, actions = line[1:].partition("actions=")
    table, priority, match, cookie = 0, DEFAULT_PRIORITY, "", 0
    extra: list[str] = []
    for word in head.replace(", ", " ").split():
        name, _, value = word.partition("=")
        if name == "table":
            table = int(value)
        elif name == "cookie":
            cookie = int(value, 16)
        elif name == "priority":
            number, _, match = value.partition(",")
            priority = int(number)
        elif name in ("idle_timeout", "hard_timeout", "importance") or (not value and name in FLAGS):
            extra.append(word)
        else:
            match = word
    return Entry(line[0], table, priority, match, cookie, " ".join(extra), actions.strip())


FLAGS = ("send_flow_rem", "check_overlap", "reset_counts", "no_packet_counts", "no_byte_counts")


def write_head(cookie: int, table: int, priority: int, match: str) -> str:
    """Return a flow's text for ovs-ofctl, up to the actions."""
    head = f"cookie={cookie:#x},table={table},priority={priority}"
    return f"{head},{match}" if match else head


def write_ports(text: str, numbers: Mapping[str, str]) -> str:
    """Replace each ``{port}`` in ``text`` by the port's number.

    :raises KeyError: a port has no number (the key is its name).
    """
    if "{" not in text:
        return text
    first, *rest = text.split("{")
    parts = [first]
    for part in rest:
        name, _, tail = part.partition("}")
        parts += (numbers[name], tail)
    return "".join(parts)


def ports_in(text: str) -> list[str]:
    """Return the names of ports in ``text``, which are in braces."""
    return [part.partition("}")[0] for part in text.split("{")[1:]]


def modern(match: str, actions: str) -> str:
    """Rewrite old ``actions`` as those of OpenFlow 1.4. Nested lists of actions stay as they are."""
    if "mod_" not in actions and "strip_vlan" not in actions and "set_tunnel" not in actions:
        return actions  # runs ten thousand times: written out, as a loop takes three times as long
    tagged = VLAN_MATCH.search(match) is not None
    written = []
    for action in split_actions(actions):
        name, _, value = action.partition(":")
        if name in ("strip_vlan", "pop_vlan"):
            action, tagged = "pop_vlan", False
        elif name == "push_vlan":
            tagged = True
        elif name in ("mod_vlan_vid", "mod_vlan_pcp"):
            if not tagged:
                written.append("push_vlan:0x8100")
            tagged = True
            action = _set_vlan(name, int(value, 0))
        elif name in PLAIN:
            action = f"set_field:{value}->{PLAIN[name]}"
        elif name == "mod_nw_tos":
            action = f"set_field:{int(value, 0) >> 2}->ip_dscp"
        elif name in TRANSPORT:
            protocol = PROTOCOL.search(match)
            action = f"set_field:{value}->{protocol[1]}_{TRANSPORT[name]}" if protocol else action
        written.append(action)
    return ",".join(written)


def _set_vlan(name: str, value: int) -> str:
    if name == "mod_vlan_vid":
        return f"set_field:{value | VLAN_PRESENT}->vlan_vid"
    return f"set_field:{value}->vlan_pcp"


def split_actions(actions: str) -> list[str]:
    """Split a list of actions. Commas within parentheses do not separate actions."""
    parts, depth, start = [], 0, 0
    for place, letter in enumerate(actions):
        if letter == "(":
            depth += 1
        elif letter == ")":
            depth -= 1
        elif letter == "," and depth == 0:
            parts.append(actions[start:place].strip())
            start = place + 1
    parts.append(actions[start:].strip())
    return [part for part in parts if part]
