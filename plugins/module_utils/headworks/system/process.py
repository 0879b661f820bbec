"""Run tools of the node (ip, ovs-ofctl, nft, systemctl, …) with argument lists, never with a shell.

What does not belong here: knowledge of a particular tool; it is in the file that uses the tool.
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Sequence
from functools import cache

SEARCH_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


class ToolError(RuntimeError):
    """A tool of the node failed. The message has the command, its exit code and its output on stderr."""


@cache
def tool_path(name: str) -> str | None:
    """Return the full path of a tool, or None if the node lacks it (a bare node in check mode, for example). A name
    with a slash is a full path already."""
    # shutil.which does the same, but importing shutil takes longer than all look-ups of a run together.
    paths = [name] if "/" in name else [f"{directory}/{name}" for directory in SEARCH_PATH.split(":")]
    return next((path for path in paths if os.access(path, os.X_OK) and os.path.isfile(path)), None)


def has_tool(name: str) -> bool:
    """Whether the node has the tool."""
    return tool_path(name) is not None


def run(args: Sequence[str], *, stdin: str | None = None, ok: Sequence[int] = (0,), timeout: float = 120.0) -> str:
    """Run ``args`` and return its standard output.

    :param stdin: text for standard input (for ``-batch -``, for example). Errors never show it.
    :param ok: exit codes that mean success.
    :raises ToolError: the tool is missing, exits with another code, or takes longer than ``timeout`` seconds.
    """
    return run_both(args, stdin=stdin, ok=ok, timeout=timeout)[0]


def run_both(
    args: Sequence[str], *, stdin: str | None = None, ok: Sequence[int] = (0,), timeout: float = 120.0
) -> tuple[str, str]:
    """Run ``args`` as ``run`` does. Return standard output and standard error, for tools that succeed but warn."""
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

