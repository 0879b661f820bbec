"""Many changes by one process: ``ip -batch`` in the current namespace, with errors that name the line that failed."""

from __future__ import annotations

import re
from collections.abc import Sequence

from .process import ToolError, run

_FAILED = re.compile(r"Command failed -:(\d+)")


def ip_batch(lines: Sequence[str]) -> None:
    """Run ``lines`` (``ip`` commands without the leading ``ip``) in one process; it stops at the first that fails.

    Names must not have white space: the kernel allows none in link names, and namespaces are checked by ``netns.py``.

    :raises ToolError: naming the command that failed and why.
    """
    if not lines:
        return
    try:
        run(["ip", "-batch", "-"], stdin="\n".join(lines) + "\n", timeout=600)
    except ToolError as error:
        failed = _FAILED.search(str(error))
        if failed is None:
            raise
        line = lines[int(failed[1]) - 1]
        reason = str(error).split(": ", 2)[-1].splitlines()[0]
        raise ToolError(f"ip {line}: {reason}") from error
