"""Ansible's inventory objects as plain data: the one file that knows where ansible-core 2.19 keeps them.

What does not belong here: the checks of this data (``sources.py``).
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from ansible.errors import AnsibleError
from ansible.inventory.data import InventoryData
from ansible.inventory.manager import IGNORED
from ansible.plugins.loader import inventory_loader
from ansible.utils.display import Display

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
