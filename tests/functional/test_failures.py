"""A whole node, part of which is broken: the rest is brought to its declared state, every failure is named, and the
next run completes what was left."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import small_cloud
from headworks.engine.converge import ConvergeError, Result, converge
from headworks.engine.order import pipeline
from headworks.node.compute import libvirt_socket
from test_node import clean as clean

LIBVIRT = ("libvirtd.service", "libvirtd.socket", "libvirtd-ro.socket", "libvirtd-admin.socket")


def systemctl(*words: str) -> None:
    subprocess.run(["systemctl", *words], check=True, timeout=60)


@contextmanager
def stopped(*units: str) -> Iterator[None]:
    systemctl("stop", *units)
    try:
        yield
    finally:
        systemctl("start", *reversed(units))


def run(*args: str) -> str:
    return subprocess.run(args, capture_output=True, text=True, check=False).stdout


def changes(result: Result) -> set[str]:
    return {f"{change['verb']} {change['kind']}" for change in result.changes}


def failed(state: Any, check: bool = False) -> ConvergeError:
    with pytest.raises(ConvergeError) as caught:
        converge(pipeline(state), check=check)
    return caught.value


def failing_kinds(error: ConvergeError) -> list[str]:
    return list(dict.fromkeys(failure.kind for failure in error.result.failures))


def running_units() -> list[str]:
    return run("systemctl", "list-units", "--plain", "--no-legend", "--state=active", "headworks-*").split()


def test_with_libvirt_stopped_the_networks_are_complete_and_the_guests_come_with_the_next_run(clean: None) -> None:
    state = small_cloud.state_of_here()
    with stopped(*LIBVIRT):
        checked = converge(pipeline(state), check=True)  # libvirt never had a guest, so all of them are new
        error = failed(state)
        assert checked.changes == error.result.changes
        assert failing_kinds(error) == ["domain"]
        assert any(unit.startswith("headworks-dhcp@") for unit in running_units())
        router = next(name for name in run("ip", "netns", "list").split() if name.startswith("qrouter-"))
        assert "10.18.0.1" in run("ip", "-n", router, "address")
        still = failed(state).result
        assert changes(still) == {"add domain"}
    assert changes(converge(pipeline(state))) == {"add domain"}
    with stopped(*LIBVIRT):
        assert "domain" in failing_kinds(failed(state, check=True))


def test_a_libvirt_that_hangs_does_not_keep_the_networks_from_coming_up(
    clean: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(libvirt_socket, "ANSWER_SECONDS", 2.0)
    systemctl("kill", "--signal=STOP", "--kill-whom=main", "libvirtd.service")
    try:
        error = failed(small_cloud.state_of_here())
        assert "no answer within 2 s" in str(error)
        assert any(unit.startswith("headworks-dhcp@") for unit in running_units())
    finally:
        systemctl("kill", "--signal=CONT", "--kill-whom=main", "libvirtd.service")
    assert changes(converge(pipeline(small_cloud.state_of_here()))) == {"add disk", "add domain"}


def test_with_libvirt_stopped_nothing_is_removed_but_rules(clean: None) -> None:
    converge(pipeline(small_cloud.state_of_here()))
    less = small_cloud.state_of_here(False)
    with stopped(*LIBVIRT):
        error = failed(less)
        assert {change for change in changes(error.result) if change.startswith("remove")} <= {"remove flow"}
        assert any("not removed in this run, because" in note.text for note in error.result.notes)
    assert "remove domain" in changes(converge(pipeline(less)))


def test_with_open_vswitch_stopped_everything_else_is_done_and_no_guest_is_started(clean: None) -> None:
    state = small_cloud.state_of_here()
    with stopped("openvswitch-switch.service", "ovs-vswitchd.service", "ovsdb-server.service"):
        error = failed(state)
        assert {"ovs_bridge", "ovs_port", "flow", "domain"} <= set(failing_kinds(error))
        assert any(unit.startswith("headworks-dhcp@") for unit in running_units())
        assert run("virsh", "list", "--all", "--uuid").split() == []
    converge(pipeline(state))
    assert not converge(pipeline(state)).changed


def test_a_router_whose_filter_is_refused_stays_without_addresses_and_the_rest_of_the_node_works(clean: None) -> None:
    state = small_cloud.state_of_here()
    router = next(table for table in state["sections"]["nft"] if table["name"].startswith("qrouter-"))
    rules = router["chains"][0]["rules"]
    router["chains"][0]["rules"] = [*rules, "iifname nonsense 5 drop"]
    error = failed(state)
    assert failing_kinds(error) == ["nft", "l3"]
    assert {failure.name for failure in error.result.failures} == {router["name"]}
    assert "10.18.0.1" not in run("ip", "-n", router["name"], "address")
    assert "instance-00000001" in run("virsh", "list", "--all")
    router["chains"][0]["rules"] = rules
    assert changes(converge(pipeline(state))) == {"add nft", "change l3"}
