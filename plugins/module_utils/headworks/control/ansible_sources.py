"""Ansible's inventory objects as plain data: the one file that knows where ansible-core 2.19 keeps them.

What does not belong here: the checks of this data (``sources.py``, ``no_nodes.py``).
"""

from __future__ import annotations

import json
from collections.abc import Collection
from typing import Any

from ansible import context
from ansible.errors import AnsibleError
from ansible.inventory.data import InventoryData
from ansible.inventory.manager import IGNORED
from ansible.plugins.loader import inventory_loader
from ansible.template import Templar
from ansible.utils.display import Display

from ..model.errors import PlanError
from ..model.node import ROLES
from . import no_nodes, sources
from .allocations_file import VARIABLE, locate
from .sources import Reading


def reading(inventory: Any, loader: Any) -> Reading:
    """What Ansible made of its inventory sources.

    :param inventory: Ansible's InventoryManager.
    :param loader: Ansible's DataLoader.
    """

    def hosts_as_ini(path: str) -> Collection[str] | None:
        scratch = InventoryData()
        try:
            inventory_loader.get("ini").parse(scratch, loader, path)
        except AnsibleError:
            return None
        return list(scratch.hosts)

    return Reading(
        sources=[str(source) for source in inventory._sources if source],
        processed={str(source) for source in inventory._inventory.processed_sources if source},
        hosts=inventory.hosts,
        groups=inventory.groups,
        warnings=list(Display()._warns),
        ignored=lambda name: IGNORED.search(name.encode(errors="surrogateescape")) is not None,
        hosts_as_ini=hosts_as_ini,
    )


def why_no_node(play: Any) -> str:
    """Why a play on the nodes has no hosts; "" for another play.

    :param play: Ansible's Play, whose hosts matched nothing.
    """
    if not no_nodes.is_play_on_nodes([str(pattern) for pattern in play.hosts]):
        return ""
    manager = play.get_variable_manager()
    inventory = manager._inventory
    nodes = [host for group in ROLES for host in _hosts(inventory, group, everywhere=True)]
    guests = [] if not nodes else _hosts(inventory, "instances")
    problems = [] if nodes else sources.problems(reading(inventory, manager._loader))
    places = _places(manager, nodes[0]) if guests else {}
    limit = str(context.CLIARGS.get("subset") or "")
    return no_nodes.reason(limit, nodes, guests, places, problems)


def _hosts(inventory: Any, group: str, everywhere: bool = False) -> list[str]:
    """The hosts of a group that the limit of the run selects, or all of them."""
    if group not in inventory.groups:
        return []
    return [host.name for host in inventory.get_hosts(group, ignore_limits=everywhere, ignore_restrictions=True)]


def _places(manager: Any, node: str) -> dict[str, str]:
    """Instance → its node, as the allocations have it; empty if they cannot be read."""
    variables = manager.get_vars(host=manager._inventory.get_host(node), include_hostvars=False)
    try:
        setting = Templar(loader=manager._loader, variables=variables).template(variables.get(VARIABLE) or "")
        content = json.loads(locate(str(setting), manager._inventory._sources).read_bytes())
        instances = content.get("cloud_allocations", {}).get("instances", {})
        return {name: str(instance["node"]) for name, instance in instances.items()}
    except (AnsibleError, PlanError, OSError, ValueError, KeyError, TypeError, AttributeError):
        return {}
