"""The documentation of each module in library/ agrees with its argument spec and its examples."""

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
# The keys that an option has both in the documentation and in the argument spec.
SHARED = ("type", "elements", "default", "choices")


@cache
def documents(name: str) -> dict[str, Any]:
    """Return DOCUMENTATION, EXAMPLES and RETURN of a module, parsed."""
    parsed = {}
    for node in ast.parse((TOP / f"library/{name}.py").read_text()).body:
        if isinstance(node, ast.Assign) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str):
            parsed[ast.unparse(node.targets[0])] = yaml.safe_load(node.value.value)
    return parsed


def load(path: Path) -> Any:
    spec = importlib.util.spec_from_file_location(f"documented_{path.parent.name}_{path.stem}", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def argument_spec(name: str, monkeypatch: pytest.MonkeyPatch) -> Mapping[str, Any]:
    """Return the spec that the module passes to AnsibleModule, or the spec of the action plugin of the same name."""
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
    """Yield all documented options of a module and their suboptions, each with its path."""
    pending = [(name, documents(name)["DOCUMENTATION"].get("options", {}))]
    while pending:
        parent, options = pending.pop()
        for key, option in options.items():
            yield f"{parent}.{key}", option
            pending.append((f"{parent}.{key}", option.get("suboptions", {})))


def comparable(options: Mapping[str, Any], nested: str) -> dict[str, Any]:
    """Return options without their prose. ``nested`` is the key of an option's suboptions."""
    result = {}
    for key, option in options.items():
        shared = {fact: option[fact] for fact in SHARED if option.get(fact) is not None}
        suboptions = comparable(option.get(nested) or {}, nested)
        result[key] = {"type": "str", "required": bool(option.get("required")), **shared, "suboptions": suboptions}
    return result


def text_of(description: Any) -> str:
    return description if isinstance(description, str) else " ".join(description)


@pytest.mark.parametrize("name", NAMES)
def test_the_documented_options_equal_the_argument_spec(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    documented = documents(name)["DOCUMENTATION"].get("options", {})
    assert comparable(documented, "suboptions") == comparable(argument_spec(name, monkeypatch), "options")


@pytest.mark.parametrize("name", NAMES)
def test_a_module_documents_its_version_author_and_check_mode(name: str) -> None:
    documentation = documents(name)["DOCUMENTATION"]
    assert documentation["module"] == name
    assert documentation["version_added"] == "0.1.0"
    assert documentation["author"]
    assert documentation["short_description"]
    assert documentation["description"]
    assert documentation["attributes"]["check_mode"]["support"] in ("full", "partial", "none")


@pytest.mark.parametrize("name", NAMES)
def test_each_option_has_a_description_and_a_type(name: str) -> None:
    assert [path for path, option in options_of(name) if not (option.get("description") and option.get("type"))] == []


@pytest.mark.parametrize("name", NAMES)
def test_a_description_with_a_default_needs_the_key_default(name: str) -> None:
    """The options of an item have no default in the spec. Their description says what happens "if omitted"."""
    prose = re.compile(r"\bdefaults?\b(?! route)", re.IGNORECASE)
    assert [
        path
        for path, option in options_of(name)
        if "default" not in option and prose.search(text_of(option["description"]))
    ] == []


@pytest.mark.parametrize("name", NAMES)
def test_each_returned_value_has_a_description_and_a_type(name: str) -> None:
    returned = documents(name)["RETURN"]
    assert returned
    pending = [(name, returned)]
    while pending:
        parent, values = pending.pop()
        for key, value in values.items():
            assert value.get("description"), f"{parent}.{key}"
            assert value.get("type"), f"{parent}.{key}"
            assert value.get("returned") or parent != name, f"{parent}.{key}"
            pending.append((f"{parent}.{key}", value.get("contains", {})))


@pytest.mark.parametrize("name", NAMES)
def test_the_examples_use_only_documented_options(name: str) -> None:
    parsed = documents(name)
    tasks = [task[name] or {} for task in parsed["EXAMPLES"] if name in task]
    assert tasks, "an example must use the module"
    for task in tasks:
        if isinstance(task, dict):  # otherwise the arguments are a template
            assert_documented(task, parsed["DOCUMENTATION"].get("options", {}), name)


def assert_documented(arguments: Mapping[str, Any], options: Mapping[str, Any], path: str) -> None:
    for key, value in arguments.items():
        assert key in options, f"{path}.{key}"
        suboptions = options[key].get("suboptions")
        for item in value if isinstance(value, list) else [value]:
            if suboptions and isinstance(item, dict):
                assert_documented(item, suboptions, f"{path}.{key}")


def test_ansible_doc_renders_each_module(tmp_path: Path) -> None:
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
