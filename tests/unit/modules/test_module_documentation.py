"""The documentation of every module in library/ against its argument spec and its own examples."""

from __future__ import annotations

import ast
import importlib.util
import json
import re
import subprocess
import sys
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any

import ansible.module_utils
import pytest
import yaml
from ansible.module_utils.basic import AnsibleModule

TOP = Path(__file__).parents[3]
MODULES = sorted((TOP / "library").glob("*.py"))
NAMES = [path.stem for path in MODULES]
# What a documented option and the argument spec both say of it.
SHARED = ("type", "elements", "default", "choices")


@cache
def documents(name: str) -> dict[str, Any]:
    """DOCUMENTATION, EXAMPLES and RETURN of a module, parsed."""
    found = {}
    for node in ast.parse((TOP / f"library/{name}.py").read_text()).body:
        if isinstance(node, ast.Assign) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str):
            found[ast.unparse(node.targets[0])] = yaml.safe_load(node.value.value)
    return found


def load(path: Path) -> Any:
    spec = importlib.util.spec_from_file_location(f"documented_{path.parent.name}_{path.stem}", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def argument_spec(name: str, monkeypatch: pytest.MonkeyPatch) -> Mapping[str, Any]:
    """The spec that the module gives to AnsibleModule, or that of the action plugin of the same name."""
    action = TOP / f"plugins/action/{name}.py"
    if action.exists():
        plugin = load(action)
        options: Mapping[str, Any] = getattr(plugin, "OPTIONS", {})
        assert frozenset(options) == plugin.ActionModule._VALID_ARGS
        return options

    class SpecSeenError(Exception):
        pass

    def see(_module: AnsibleModule, argument_spec: Mapping[str, Any], **_rules: Any) -> None:
        raise SpecSeenError(argument_spec)

    paths = [*ansible.module_utils.__path__, str(TOP / "plugins/module_utils")]
    monkeypatch.setattr(ansible.module_utils, "__path__", paths)
    monkeypatch.setattr(AnsibleModule, "__init__", see)
    with pytest.raises(SpecSeenError) as seen:
        load(TOP / f"library/{name}.py").main()
    spec: Mapping[str, Any] = seen.value.args[0]
    return spec


def options_of(name: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """All documented options of a module with their suboptions, by path."""
    waiting = [(name, documents(name)["DOCUMENTATION"].get("options", {}))]
    while waiting:
        where, options = waiting.pop()
        for key, option in options.items():
            yield f"{where}.{key}", option
            waiting.append((f"{where}.{key}", option.get("suboptions", {})))


def comparable(options: Mapping[str, Any], nested: str) -> dict[str, Any]:
    """Options without their prose; ``nested`` is the key of what is below an option."""
    told = {}
    for key, option in options.items():
        facts = {fact: option[fact] for fact in SHARED if option.get(fact) is not None}
        below = comparable(option.get(nested) or {}, nested)
        told[key] = {"type": "str", "required": bool(option.get("required")), **facts, "below": below}
    return told


def text_of(description: Any) -> str:
    return description if isinstance(description, str) else " ".join(description)


@pytest.mark.parametrize("name", NAMES)
def test_the_documented_options_are_those_of_the_argument_spec(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    documented = documents(name)["DOCUMENTATION"].get("options", {})
    assert comparable(documented, "suboptions") == comparable(argument_spec(name, monkeypatch), "options")


@pytest.mark.parametrize("name", NAMES)
def test_a_module_tells_its_version_and_author(name: str) -> None:
    documentation = documents(name)["DOCUMENTATION"]
    assert documentation["module"] == name
    assert documentation["version_added"] == "0.1.0"
    assert documentation["author"]
    assert documentation["short_description"]
    assert documentation["description"]
    assert documentation["attributes"]["check_mode"]["support"] in ("full", "partial", "none")


@pytest.mark.parametrize("name", NAMES)
def test_every_option_has_a_description_and_a_type(name: str) -> None:
    assert [path for path, option in options_of(name) if not (option.get("description") and option.get("type"))] == []


@pytest.mark.parametrize("name", NAMES)
def test_a_default_is_never_told_only_in_prose(name: str) -> None:
    """An item's option has no default in its spec, by design: then the text says what holds "if omitted"."""
    prose = re.compile(r"\bdefaults?\b(?! route)", re.IGNORECASE)
    assert [
        path
        for path, option in options_of(name)
        if "default" not in option and prose.search(text_of(option["description"]))
    ] == []


@pytest.mark.parametrize("name", NAMES)
def test_every_returned_value_has_a_description_and_a_type(name: str) -> None:
    returned = documents(name)["RETURN"]
    assert returned
    waiting = [(name, returned)]
    while waiting:
        where, values = waiting.pop()
        for key, value in values.items():
            assert value.get("description"), f"{where}.{key}"
            assert value.get("type"), f"{where}.{key}"
            assert value.get("returned") or where != name, f"{where}.{key}"
            waiting.append((f"{where}.{key}", value.get("contains", {})))


@pytest.mark.parametrize("name", NAMES)
def test_the_examples_use_only_documented_options(name: str) -> None:
    found = documents(name)
    tasks = [task[name] or {} for task in found["EXAMPLES"] if name in task]
    assert tasks, "an example shows the module itself"
    for task in tasks:
        if isinstance(task, dict):  # or a template of all arguments
            assert_known(task, found["DOCUMENTATION"].get("options", {}), name)


def assert_known(given: Mapping[str, Any], options: Mapping[str, Any], where: str) -> None:
    for key, value in given.items():
        assert key in options, f"{where}.{key}"
        below = options[key].get("suboptions")
        for item in value if isinstance(value, list) else [value]:
            if below and isinstance(item, dict):
                assert_known(item, below, f"{where}.{key}")


def test_ansible_doc_renders_every_module(tmp_path: Path) -> None:
    command = [str(Path(sys.executable).parent / "ansible-doc"), "--module-path", str(TOP / "library"), "-t", "module"]
    environment = {"HOME": str(tmp_path), "PATH": "/usr/bin:/bin", "LC_ALL": "C.UTF-8"}
    for form in (["--json"], []):
        done = subprocess.run(
            [*command, *form, *NAMES], cwd=tmp_path, env=environment, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr
        assert "[ERROR]" not in done.stderr
        assert "[WARNING]" not in done.stderr
        if form:
            assert sorted(json.loads(done.stdout)) == NAMES
