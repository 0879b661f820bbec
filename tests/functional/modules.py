"""Run a module of library/ as Ansible runs it on a node: in a separate process, with its arguments and answer as JSON.

The node image has no Ansible. The checkout's virtual environment has Ansible, and its Python has the node's version.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

TOP = Path(__file__).resolve().parents[2]
SITE_PACKAGES = TOP / ".venv/lib/python3.11/site-packages"

RUNNER = """
import json, runpy, sys
sys.path.append(sys.argv[1])
import ansible.module_utils
ansible.module_utils.__path__.append(sys.argv[2])
import ansible.module_utils.basic as basic
basic._ANSIBLE_ARGS = sys.stdin.buffer.read()
basic._ANSIBLE_PROFILE = "legacy"
runpy.run_path(sys.argv[3], run_name="__main__")
"""


def run_module(name: str, /, check: bool = False, diff: bool = False, **options: Any) -> dict[str, Any]:
    """Run module ``name`` with ``options`` and return its answer. The answer of a failed module has ``failed`` and
    ``msg``."""
    arguments = {**options, "_ansible_check_mode": check, "_ansible_diff": diff}
    words = [sys.executable, "-c", RUNNER, SITE_PACKAGES, TOP / "plugins/module_utils", TOP / f"library/{name}.py"]
    done = subprocess.run(
        [str(word) for word in words],
        input=json.dumps({"ANSIBLE_MODULE_ARGS": arguments}),
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert done.stdout, f"module {name} printed no answer: {done.stderr}"
    return dict(json.loads(done.stdout))
