"""Running the node's own tools (ip, ovs-ofctl, nft, systemctl, …): one place, argument lists only, never a shell.

What does not belong here: knowledge of any one tool; that lives in the subsystem that uses it.
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Sequence
from functools import cache

SEARCH_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
class ToolError(RuntimeError):
    """A tool of the node failed. The message has the command, its exit code and what it wrote on stderr."""


@cache
def tool_path(name: str) -> str | None:
    """Full path of a tool, or None when the node does not have it (a bare node in check mode, for example)."""
    # shutil.which does the same, but importing shutil takes longer than all look-ups of a run.
    paths = (f"{directory}/{name}" for directory in SEARCH_PATH.split(":"))
    return next((path for path in paths if os.access(path, os.X_OK) and os.path.isfile(path)), None)


def has_tool(name: str) -> bool:
    """Whether the node has the tool."""
    return tool_path(name) is not None


def run(args: Sequence[str], *, stdin: str | None = None, ok: Sequence[int] = (0,), timeout: float = 120.0) -> str:
    """Run ``args`` and return its standard output.

    :param stdin: text for standard input (for ``-batch -`` and the like; it is never shown in errors).
    :param ok: exit codes that are not an error.
    :raises ToolError: the tool is missing, exits with another code, or takes longer than ``timeout`` seconds.
    """
    return run_both(args, stdin=stdin, ok=ok, timeout=timeout)[0]


def run_both(
    args: Sequence[str], *, stdin: str | None = None, ok: Sequence[int] = (0,), timeout: float = 120.0
) -> tuple[str, str]:
    """As ``run``, for tools that succeed and still complain: standard output and standard error."""
    path = tool_path(args[0])
    if path is None:
        raise ToolError(f"{args[0]}: not installed on this node")
    try:
        done = subprocess.run(
            [path, *args[1:]],
            input=stdin,
            stdin=subprocess.DEVNULL if stdin is None else None,
            capture_output=True,
            text=True,
            timeout=timeout,
            env={"PATH": SEARCH_PATH, "LC_ALL": "C.UTF-8"},
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise ToolError(f"{' '.join(args)}: no answer within {timeout:.0f} s") from error
    if done.returncode not in ok:
        raise ToolError(f"{' '.join(args)}: exit {done.returncode}: {done.stderr.strip() or done.stdout.strip()}")
    return done.stdout, done.stderr


