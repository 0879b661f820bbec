"""Run ovs-ofctl with many flows at once, and turn its errors into messages that quote the flow.

What does not belong here: how a flow is written (``syntax.py``), and what a difference means (``compare.py``).
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from ...system.process import ToolError, run, run_both
from .syntax import Entry, parse

# The lowest version with bundles. All calls use this version, as the names of actions depend on the version.
OFCTL = ("ovs-ofctl", "-O", "OpenFlow14", "--no-names")
NOT_NORMAL = "normalization changed ofp_match"


def differences(source: str, lines: Sequence[str]) -> list[str]:
    """Return the output of ``ovs-ofctl diff-flows``: a line with ``-`` is only in ``source`` (a bridge or a file), a
    line with ``+`` only in ``lines``.

    :raises ToolError: a flow is malformed, or the bridge does not answer.
    """
    return _run(lines, "diff-flows", source, "/dev/stdin").splitlines()


def printed(lines: Sequence[str]) -> list[Entry]:
    """Return the flows as ovs-ofctl prints them, in its order."""
    return [parse(line) for line in differences("/dev/null", lines)] if lines else []


@contextmanager
def as_file(lines: Sequence[str]) -> Iterator[str]:
    """Yield the path of a file in memory with ``lines`` (from ``dump``). The file exists as long as the context."""
    with os.fdopen(os.memfd_create("flows"), "w") as file:
        file.writelines(f"{line}\n" for line in lines)
        file.flush()
        yield f"/proc/{os.getpid()}/fd/{file.fileno()}"


def check(lines: Sequence[str]) -> None:
    """Check that flows are well-formed. No switch is needed.

    :raises ToolError: a flow cannot be parsed, or its match lacks the prerequisites of a field. The message quotes the
        flow.
    """
    if lines:
        _run(lines, "parse-flows", "/dev/stdin")


def bundle(bridge: str, lines: Sequence[str]) -> None:
    """Apply flow modifications (``… actions=…`` adds, ``delete_strict …`` removes), all of them at once or none of
    them.

    :raises ToolError: the switch or ovs-ofctl refused. Then no flow is changed.
    """
    _run(lines, "--bundle", "add-flows", bridge, "-")


def dump(bridge: str, match: str = "") -> list[str]:
    """Return all flows of a bridge with any cookie, without counters. ``match`` limits them to flows whose match
    includes it."""
    words = [*OFCTL, "dump-flows", "--no-stats", bridge, *([match] if match else [])]
    return [line.strip() for line in run(words).splitlines()]


def _run(lines: Sequence[str], *arguments: str) -> str:
    ok = (0, 2) if arguments[0] == "diff-flows" else (0,)
    try:
        output, complaints = run_both([*OFCTL, *arguments], stdin="".join(lines), ok=ok)
    except ToolError as error:
        raise ToolError(_explain(str(error), lines)) from error
    if NOT_NORMAL in complaints:
        # Without its prerequisites, a field is ignored, and the flow would match more packets than written.
        raise ToolError(f"flow {_culprit(lines)!r}: its match lacks the prerequisites of a field")
    return output


def _culprit(lines: Sequence[str]) -> str:
    """Find the first flow about which ovs-ofctl complains, by bisection."""
    while len(lines) > 1:
        half = lines[: len(lines) // 2]
        _, complaints = run_both([*OFCTL, "parse-flows", "/dev/stdin"], stdin="".join(half), ok=(0, 1))
        lines = half if NOT_NORMAL in complaints else lines[len(half) :]
    return lines[0].strip()


def _explain(message: str, lines: Sequence[str]) -> str:
    """Return the message of ovs-ofctl, with the flow's text instead of its line number."""
    numbered = re.search(r"(?:/dev/stdin| -):(\d+): (.*)", message)
    if numbered and 0 < int(numbered[1]) <= len(lines):
        return f"flow {lines[int(numbered[1]) - 1].strip()!r}: {numbered[2]}"
    return message
