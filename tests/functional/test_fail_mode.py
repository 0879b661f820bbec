"""A bridge that gets another fail_mode loses its flows in Open vSwitch: the same run puts them back, and other bridges
keep theirs."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from headworks.engine.converge import Result, converge
from headworks.node.openflow.flows import FlowSubsystem
from headworks.node.ovs.bridges import OvsBridgeSubsystem
from headworks.state.openflow import Flow
from headworks.state.ovs import OvsBridge
from shell import sh
from wires import host, namespace, steady_ping


@pytest.fixture
def bridges(unique: str) -> Iterator[tuple[str, str]]:
    changed, other = f"{unique}c", f"{unique}o"
    yield changed, other
    run(unique, {})
    for name in ("a", "b"):
        sh("ip", "netns", "delete", f"{unique}-{name}", check=False)


def run(owner: str, fail_modes: dict[str, str]) -> Result:
    """Converge bridges (name → fail_mode) with two flows each, as a provider bridge has them."""
    desired = {name: OvsBridge(name, "netdev", mode) for name, mode in fail_modes.items()}
    of_each = (("", 0, "NORMAL"), ("in_port=9", 2, "drop"))
    flows = [Flow(name, 0, priority, match, actions) for name in desired for match, priority, actions in of_each]
    wanted = {flow.name: flow for flow in flows}
    return converge([(OvsBridgeSubsystem(owner), desired), (FlowSubsystem(owner), wanted)])


def dump(bridge: str) -> list[str]:
    return sorted(line.strip() for line in sh("ovs-ofctl", "--no-stats", "dump-flows", bridge).splitlines())


@pytest.mark.parametrize("modes", [("secure", "standalone"), ("standalone", "secure")])
def test_the_flows_are_there_again_after_another_fail_mode(
    unique: str, bridges: tuple[str, str], modes: tuple[str, str]
) -> None:
    changed, other = bridges
    run(unique, {changed: modes[0], other: "secure"})
    before = dump(changed)
    assert len(before) == 2
    for number, name in enumerate(("a", "b"), 1):
        namespace(f"{unique}-{name}")
        port = f"{unique}{name}"
        sh("ip", "link", "add", port, "type", "veth", "peer", "name", "eth0", "netns", f"{unique}-{name}")
        sh("ip", "link", "set", port, "up")
        sh("ovs-vsctl", "add-port", other, port)
        host(f"{unique}-{name}", "eth0", f"192.0.2.{number}/24")
        sh("ip", "link", "set", "eth0", "up", netns=f"{unique}-{name}")
    with steady_ping(f"{unique}-a", "192.0.2.2") as counts:
        result = run(unique, {changed: modes[1], other: "secure"})
    assert counts[0] == counts[1] > 0  # no packet of the other bridge is lost
    assert {change["name"].split()[0] for change in result.changes} == {changed}
    assert dump(changed) == before  # also without the flow that Open vSwitch adds to a standalone bridge
    assert not run(unique, {changed: modes[1], other: "secure"}).changed


def test_a_restarted_standalone_bridge_has_its_flows_after_the_next_run(unique: str, bridges: tuple[str, str]) -> None:
    changed, _ = bridges
    run(unique, {changed: "standalone"})
    before = dump(changed)
    sh("ovs-vsctl", "set", "bridge", changed, "fail_mode=secure", "--", "set", "bridge", changed, "fail_mode=secure")
    sh("ovs-vsctl", "set", "bridge", changed, "fail_mode=standalone")
    (only,) = dump(changed)  # as ovs-vswitchd starts it
    assert only == "priority=0 actions=NORMAL"
    assert run(unique, {changed: "standalone"}).changed
    assert dump(changed) == before
