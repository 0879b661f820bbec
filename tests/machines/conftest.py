"""Options of the machine tests, and the lab of two machines that several files share. The tests need root and QEMU;
``make test-machines`` prepares both.

The other files have a lab of their own. ``MACHINES_KEEP_LAB=1`` uses a lab that is there, and keeps it after the tests.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

pytest.register_assert_rewrite("ansible_run", "machine_lab", "stands", "way_out")

from ansible_run import Run  # noqa: E402
from machine_lab import INVENTORY, MachineLab  # noqa: E402
from stands import Place, Standing, install, stand  # noqa: E402

KEEP = bool(os.environ.get("MACHINES_KEEP_LAB"))
MACHINES = ("node1", "node2")
_INVENTORIES = (INVENTORY, Path(__file__).parent / "inventories/datapath")
_PREFIXES = {"lab_management_prefix": "10.111.0", "lab_tunnel_prefix": "10.112.0"}


@pytest.fixture(scope="session")
def machines() -> Iterator[MachineLab]:
    """Two machines that are no nodes yet."""
    lab = MachineLab("dp", _INVENTORIES, _PREFIXES)
    lab.start(fresh=not KEEP)
    try:
        yield lab
    finally:
        if not KEEP:
            lab.stop()


@pytest.fixture(scope="session")
def first_run(machines: MachineLab) -> Run:
    """The first run, which makes the machines the nodes of a cloud."""
    run = machines.playbook("site.yml")
    assert run.rc == 0, run.output[-6000:]
    return run


@pytest.fixture(scope="session")
def lab(machines: MachineLab, first_run: Run) -> MachineLab:
    """Two machines as the nodes of a cloud: node1 has all roles, node2 all but the controller's."""
    install(machines, MACHINES)
    return machines


@pytest.fixture(scope="session")
def summary(lab: MachineLab) -> dict[str, Any]:
    """The plan's ids and addresses."""
    run = lab.playbook("tests/lab/summary.yml").must_succeed()
    found: dict[str, Any] = next(result["summary"] for result in run.results if "summary" in result)
    return found


@pytest.fixture(scope="module")
def standing(lab: MachineLab, summary: dict[str, Any]) -> Iterator[Standing]:
    """A function that returns the namespace in place of a guest on a network."""
    made: dict[tuple[str, str], Place] = {}

    def place(guest: str, network: str) -> Place:
        if (guest, network) not in made:
            made[guest, network] = stand(lab, summary, guest, network)
        return made[guest, network]

    yield place
    for (guest, network), where in made.items():
        command = f"systemctl stop stand-{guest}-{network}; ip netns delete {where.namespace}"
        lab.ssh(where.machine, command, check=False)
