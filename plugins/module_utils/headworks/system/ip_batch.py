"""Run many ``ip`` commands in one process (``ip -batch``) in the current namespace. Errors name the failed command."""

from __future__ import annotations

import re
from collections.abc import Sequence

from .process import ToolError, run

_FAILED = r"Command failed -:(\d+)"


def ip_batch(lines: Sequence[str], force: bool = False) -> None:
    """Run ``lines`` (``ip`` commands without the leading ``ip``) in one process, which stops at the first failure.

    :param force: run all lines and ignore failures. This is for restoring as much as possible.
    :raises ToolError: a command failed. The message has the command and the reason.
    :raises ValueError: an item of ``lines`` is not exactly one line.
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
