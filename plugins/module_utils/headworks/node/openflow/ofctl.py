"""Running ovs-ofctl on many flows at once, and turning its complaints into words about one flow.

How a flow is written is ``openflow.py``'s business, what a difference means ``flow_compare.py``'s.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from ...system.process import ToolError, run, run_both
from .syntax import Entry, parse

# The lowest version that has bundles; one version throughout, since each has its own words for the same action.
OFCTL = ("ovs-ofctl", "-O", "OpenFlow14", "--no-names")
NOT_NORMAL = "normalization changed ofp_match"


def differences(source: str, lines: Sequence[str]) -> list[str]:
    """``ovs-ofctl diff-flows``: lines with ``-`` are only in ``source`` (a bridge or a file), those with ``+`` only in
    ``lines``.

    :raises ToolError: a flow is malformed, or the bridge does not answer.
    """
    return _run(lines, "diff-flows", source, "/dev/stdin").splitlines()


def printed(lines: Sequence[str]) -> list[Entry]:
    """The flows as ovs-ofctl itself writes them, in an order of its own."""
    return [parse(line) for line in differences("/dev/null", lines)] if lines else []


def check(lines: Sequence[str]) -> None:
    """That flows are well-formed; no switch is needed.

    :raises ToolError: one cannot be parsed, or its match lacks the prerequisites of a field; the message has the flow.
    """
    if lines:
        _run(lines, "parse-flows", "/dev/stdin")


def bundle(bridge: str, lines: Sequence[str]) -> None:
    """Flow modifications (``… actions=…`` adds, ``delete_strict …`` removes) that take effect at once or not at all.

    :raises ToolError: the switch or ovs-ofctl refused; nothing is changed then.
    """
    _run(lines, "--bundle", "add-flows", bridge, "-")


def dump(bridge: str, match: str = "") -> list[str]:
    """The flows of a bridge, whoever made them, without counters; ``match`` restricts to those that match as much."""
    words = [*OFCTL, "dump-flows", "--no-stats", bridge, *([match] if match else [])]
    return [line.strip() for line in run(words).splitlines()]


def _run(lines: Sequence[str], *arguments: str) -> str:
    ok = (0, 2) if arguments[0] == "diff-flows" else (0,)
    try:
        output, complaints = run_both([*OFCTL, *arguments], stdin="".join(lines), ok=ok)
    except ToolError as error:
        raise ToolError(_explain(str(error), lines)) from error
    if NOT_NORMAL in complaints:
        # A match without its prerequisites would silently match more than it says.
        raise ToolError(f"flow {_culprit(lines)!r}: its match lacks what a field of it depends on")
    return output


def _culprit(lines: Sequence[str]) -> str:
    """The first flow about which ovs-ofctl complains, found by halving."""
    while len(lines) > 1:
        half = lines[: len(lines) // 2]
        _, complaints = run_both([*OFCTL, "parse-flows", "/dev/stdin"], stdin="".join(half), ok=(0, 1))
        lines = half if NOT_NORMAL in complaints else lines[len(half) :]
    return lines[0].strip()


def _explain(message: str, lines: Sequence[str]) -> str:
    """ovs-ofctl's message with the flow's text instead of its line number."""
    found = re.search(r"(?:/dev/stdin| -):(\d+): (.*)", message)
    if found and 0 < int(found[1]) <= len(lines):
        return f"flow {lines[int(found[1]) - 1].strip()!r}: {found[2]}"
    return message
