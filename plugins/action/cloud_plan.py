"""Action plugin: compiles the inventory into a node state for each node. Documentation: library/cloud_plan.py.

Only the interface to Ansible belongs here: reading variables and returning results. What does not belong here: the plan
itself (``headworks.plan``), files (``headworks.control``), and showing the plan (``cloud_begin.py``).
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any
from uuid import uuid4

from ansible import constants as C
from ansible.errors import AnsibleError
from ansible.plugins.action import ActionBase

try:
    from headworks.control import allocations_file, ansible_sources, handover, sources
    from headworks.control.image_store import image_files, store_images, store_node
    from headworks.control.images import ImageFiles
    from headworks.control.plan_data import of_resolution
    from headworks.control.same_everywhere import Comparison
    from headworks.control.secrets import Secrets, published
    from headworks.control.summary import summarize
    from headworks.control.variables import expand, merge_additions, plain, select
    from headworks.model.cloud import RunModel
    from headworks.model.errors import PlanError
    from headworks.model.inventory import parse_run
    from headworks.model.node import ROLES
    from headworks.plan.allocation.allocations import digest
    from headworks.plan.found.removals import check_lost, check_removals, unneeded
    from headworks.plan.found.start import Occasion
    from headworks.plan.resolve import Resolution, resolve
    from headworks.plan.stamp import stamp
    from headworks.wiring.documents import AVAILABLE, wire
except ImportError as error:
    raise AnsibleError(
        f"cloud_plan: {error}: headworks is not installed for the Python that runs Ansible; "
        "run pip install -e . in the checkout"
    ) from error

INSTANCE_GROUP = "instances"
OPTIONS = {
    "validate_only": {"type": "bool", "default": False},
    "summary": {"type": "bool", "default": False},
    "facts_variable": {"type": "str", "default": "prechecks_facts"},
}


class ActionModule(ActionBase):  # type: ignore[misc]  # Ansible has no types
    """The action ``cloud_plan``."""

    _requires_connection = False
    _supports_check_mode = True
    _supports_async = False
    _VALID_ARGS = frozenset(OPTIONS)

    def run(self, tmp: str | None = None, task_vars: Mapping[str, Any] | None = None) -> dict[str, Any]:
        """Plan the cloud, or fail with every reason why the inventory is refused; called by Ansible."""
        result: dict[str, Any] = super().run(tmp, task_vars)
        _, options = self.validate_argument_spec(argument_spec=OPTIONS)
        self._secrets = Secrets()
        try:
            result.update(self._plan(task_vars or {}, options))
        except PlanError as error:
            result.update(failed=True, refused=True, msg=_refusal(map(self._secrets.hide, error.messages)))
        return result

    def _plan(self, task_vars: Mapping[str, Any], options: Mapping[str, Any]) -> dict[str, Any]:
        inventory, facts = self._inventory(task_vars, options["facts_variable"])
        run = parse_run(inventory["cloud"])
        images = ImageFiles(_cache() / "image-checksums.json")
        image_facts = images.facts(inventory["cloud"].get("cloud_images") or {})
        images.keep()
        setting = inventory["cloud"].pop(allocations_file.VARIABLE, None) or ""
        path = allocations_file.locate(str(setting), task_vars.get("ansible_inventory_sources") or [])
        stored = allocations_file.read(path)
        occasion = Occasion(int(time.time()), str(uuid4()), run.accept_older, stored.damage, stored.previous)
        resolution = resolve(inventory, stored.content, facts, image_facts, AVAILABLE, occasion)
        if not options["validate_only"]:
            plan = of_resolution(resolution, digest(stored.content), inventory)
            plan["refusal"] = self._gate(resolution, run, occasion.now)
            plan["warnings"] += filter(None, [unneeded(run.confirm_removal, resolution.removals, resolution.lost)])
            self._hand_over(resolution, self._secrets.hide_in(plan), path, run, facts)
        answer = {
            "changed": False,
            "allocations_file": str(path),
            "plan": [self._secrets.hide(change.label) for change in resolution.plan_changes],
            "images": store_images(inventory["cloud"].get("cloud_images") or {}, image_facts),
            "image_files": image_files(image_facts),
            "store": store_node(inventory["nodes"]),
        }
        if options["summary"]:
            answer["summary"] = self._secrets.hide_in(summarize(resolution.cloud))
        return answer

    def _gate(self, resolution: Resolution, run: RunModel, now: int) -> str:
        """Refuse removals that were not confirmed. A run that only plans shows the refusal instead."""
        removals, lost = resolution.removals, resolution.lost
        limit, left = resolution.removals_without_asking, len(resolution.cloud.instances)
        try:
            check_lost(lost, removals, run.confirm_removal, now)
            check_removals(removals, len(lost), left, limit, run.confirm_removal, now)
        except PlanError as error:
            if not run.plan_only:
                raise
            return "\n".join(error.messages)
        return ""

    def _hand_over(
        self, resolution: Resolution, plan: Mapping[str, Any], path: Path, run: RunModel, facts: Mapping[str, Any]
    ) -> None:
        """Keep the plan and the node states for the later steps of this run."""
        handed = {
            "plan": plan,
            "run": run.model_dump(),
            "secrets": self._secrets.texts,
            "path": str(path),
            "text": resolution.allocations.text(),
            "nodes": list(resolution.cloud.nodes),
            "rollback_seconds": {name: node.rollback_seconds for name, node in resolution.cloud.nodes.items()},
            "unbuilt": [name for name, entry in resolution.allocations.instances.items() if not entry.built],
            "facts": {
                name: {
                    "packages_missing": facts[name].get("packages_missing") or [],
                    "services_down": facts[name].get("services_down") or [],
                    "units_unknown": facts[name].get("units_unknown") or [],
                    "libvirt_networks_present": (facts[name].get("libvirt_networks_present") or [])
                    if "compute" in node.roles
                    else [],
                }
                for name, node in resolution.cloud.nodes.items()
                if name in facts
            },
        }
        handover.put(Path(C.DEFAULT_LOCAL_TMP), stamp(wire(resolution.cloud), resolution), handed)

    def _inventory(self, task_vars: Mapping[str, Any], facts_variable: str) -> tuple[dict[str, Any], dict[str, Any]]:
        """The inventory as ``resolve`` takes it, and the facts of the nodes that reported facts in this run."""
        self._check_sources(task_vars)
        groups: Mapping[str, list[str]] = task_vars["groups"]
        cloud = select(task_vars, "cloud_")
        inventory: dict[str, Any] = {
            "cloud": merge_additions(self._expand(cloud, task_vars, self._templar.template)),
            "nodes": {},
            "instances": {},
        }
        if shown := published(inventory["cloud"]):
            raise PlanError(shown)
        facts: dict[str, Any] = {}
        hostvars = task_vars["hostvars"]
        same = Comparison()
        for name in _members(groups, ROLES):
            raw = hostvars.raw_get(name)
            same.node(name, raw)
            wanted = {**select(raw, "node_"), **{key: raw[key] for key in ("ansible_host",) if key in raw}}
            inventory["nodes"][name] = self._host(name, "nodes", raw, wanted)
            reported = raw.get(facts_variable) or {}
            if "facts" in reported:
                facts[name] = plain(reported["facts"])
        for name in _members(groups, (INSTANCE_GROUP,)):
            raw = hostvars.raw_get(name)
            same.instance(name, raw)
            inventory["instances"][name] = self._host(name, "instances", raw, select(raw, "instance_"))
        if problems := same.problems(groups):
            raise PlanError(problems)
        rule = "is also a node; a host is either a node or an instance"
        both = sorted(set(inventory["nodes"]) & set(inventory["instances"]))
        if both:
            raise PlanError(f"groups.{INSTANCE_GROUP}: {name!r}: {rule}" for name in both)
        return inventory, facts

    def _check_sources(self, task_vars: Mapping[str, Any]) -> None:
        """Refuse an inventory that Ansible read only in part, and warn of files that it ignored."""
        reading = ansible_sources.reading(task_vars["hostvars"]._inventory, self._loader)
        for warning in sources.ignored_files(reading):
            self._display.warning(warning)
        problems = sources.problems(reading)
        if problems:
            raise PlanError(problems)

    def _host(self, name: str, where: str, raw: Mapping[str, Any], wanted: Mapping[str, Any]) -> dict[str, Any]:
        def template(value: Any) -> Any:
            return self._templar.copy_with_new_env(available_variables=raw).template(value)

        variables = self._expand(wanted, raw, template, f"{where}.{name}.")
        return {"groups": list(raw.get("group_names") or ()), "vars": variables}

    def _expand(
        self, wanted: Mapping[str, Any], raw: Mapping[str, Any], template: Callable[[Any], Any], where: str = ""
    ) -> dict[str, Any]:
        """The variables as plain data. What comes from a vault is noted, to be kept out of messages."""

        def noted(value: Any) -> Any:
            self._secrets.note(value, raw)
            return template(value)

        return expand(wanted, noted, where, self._secrets.plain)


def _members(groups: Mapping[str, list[str]], names: Iterable[str]) -> list[str]:
    """The hosts of the groups, each once, in the order of the inventory."""
    return list(dict.fromkeys(host for name in names for host in groups.get(name, ())))


def _refusal(messages: Iterable[str]) -> str:
    return "\n".join(["The inventory is refused, and no node was touched:", *(f"  {line}" for line in messages)])


def _cache() -> Path:
    return Path(os.environ.get("HEADWORKS_CACHE") or "~/.cache/headworks").expanduser()
