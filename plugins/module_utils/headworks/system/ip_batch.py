"""Many changes by one process: ``ip -batch`` in the current namespace, with errors that name the line that failed."""

from __future__ import annotations

import re
from collections.abc import Sequence

from .process import ToolError, run

_FAILED = r"Command failed -:(\d+)"


def ip_batch(lines: Sequence[str], force: bool = False) -> None:
    """Run ``lines`` (``ip`` commands without the leading ``ip``) in one process; it stops at the first that fails.

    :param force: it goes on to the last whatever fails, and no failure is an error: for putting back what can be.
    :raises ToolError: naming the command that failed and why.
    :raises ValueError: a line is more than one.
    """
    for line in lines:
        if len(line.splitlines()) != 1:
            raise ValueError(f"ip {line!r}: is not one command")
    if not lines:
        return
    if force:
        run(["ip", "-force", "-batch", "-"], stdin="\n".join(lines) + "\n", ok=range(256), timeout=600)
        return
    try:
        run(["ip", "-batch", "-"], stdin="\n".join(lines) + "\n", timeout=600)
    except ToolError as error:
        failed = re.search(_FAILED, str(error))
        if failed is None:
            raise
        line = lines[int(failed[1]) - 1]
        reason = str(error).split(": ", 2)[-1].splitlines()[0]
        raise ToolError(f"ip {line}: {reason}") from error
