"""UnderlaySubsystem with Open vSwitch's userspace datapath: a NIC moves into a bridge while a neighbour pings it."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from headworks.engine.converge import ConvergeError, Result, converge
from headworks.node.host.facts import nics
from headworks.node.ovs.bridges import OvsBridgeSubsystem
from headworks.node.underlay import mover, moves, rollback
from headworks.node.underlay.carry import UNDERLAY_DIR
from headworks.node.underlay.dhcp_client import dhcp_clients
from headworks.node.underlay.nics import UnderlaySubsystem
from headworks.state import underlay
from headworks.state.ovs import OvsBridge
from headworks.state.underlay import NicAttachment
from shell import ip_json, link, sh
from wires import host, namespace, pings, steady_ping


@dataclass
class Node:
    """Names of a test: a NIC in the root namespace, the namespace of its neighbour, and the bridge for the NIC."""

    name: str

    @property
    def nic(self) -> str:
        return f"n{self.name}"

    @property
    def bridge(self) -> str:
        return f"b{self.name}"

    @property
    def neighbour(self) -> str:
        return f"{self.name}-n"

    @property
    def subnet(self) -> str:
        """Return the first three octets of a subnet. Each test has its own, because all share the root namespace."""
        return f"10.{int(self.name[1:-2], 16) % 200 + 20}.{int(self.name[-2:], 16)}"

    def attachment(self, bridge: str = "", seconds: int = 60) -> NicAttachment:
        return NicAttachment(self.nic, bridge or self.bridge, "netdev", rollback_seconds=seconds)


@pytest.fixture
def node(unique: str) -> Iterator[Node]:
    node = Node(unique)
    namespace(node.neighbour)
    sh("ip", "link", "add", node.nic, "type", "veth", "peer", "name", "eth0", "netns", node.neighbour)
    sh("ip", "link", "set", "eth0", "up", netns=node.neighbour)
    sh("ethtool", "-K", "eth0", "tx", "off", netns=node.neighbour)
    sh("ip", "link", "set", node.nic, "up")
    host(node.neighbour, "eth0", f"{node.subnet}.2/24")
    sh("ip", "address", "add", f"{node.subnet}.1/24", "broadcast", "+", "dev", node.nic)
    sh("ip", "address", "add", f"{node.subnet}.9/24", "dev", node.nic)
    sh("ip", "address", "add", "2001:db8:77::1/64", "nodad", "dev", node.nic)
    sh("ip", "route", "add", f"{node.subnet.replace('10.', '11.')}.0/24", "via", f"{node.subnet}.2", "metric", "7")
    sh("ip", "route", "add", "2001:db8:78::/64", "via", "2001:db8:77::2")
    bridges(node, node.bridge)
    yield node
    run(node)
    moves.forget_move(node.nic)
    rollback.disarm(node.nic)
    bridges(node)
    sh("ip", "link", "delete", node.nic, check=False)
    sh("ip", "netns", "delete", node.neighbour)


def bridges(node: Node, *names: str) -> None:
    desired = {name: OvsBridge(name, "netdev", "standalone") for name in names}
    converge([(OvsBridgeSubsystem(node.name), desired)])


def run(node: Node, *attachments: NicAttachment, check: bool = False, confirm: bool = True) -> Result:
    """Converge the NICs, and confirm their moves as the control node does."""
    result = converge([(UnderlaySubsystem(node.name), {nic.name: nic for nic in attachments})], check=check)
    if confirm and result.confirmations:
        confirm_all()
    return result


def confirm_all() -> list[str]:
    """Confirm all moves. Returns the NICs that are confirmed."""
    confirmed = rollback.confirm()
    while confirmed.left:
        confirmed = rollback.confirm()
    return confirmed.nics


def wait_for(state_is: Callable[[], bool], seconds: float = 20) -> None:
    end = time.monotonic() + seconds
    while not state_is() and time.monotonic() < end:
        time.sleep(0.2)
    assert state_is()


def state(device: str) -> tuple[list[str], list[str]]:
    """Return the global addresses and the configured routes of a device."""
    (shown,) = [entry for entry in ip_json("address", "show") if entry["ifname"] == device]
    addresses = sorted(
        f"{info['local']}/{info['prefixlen']}" for info in shown["addr_info"] if info["scope"] == "global"
    )
    words = ["route", "show", "dev", device]
    listed = sh("ip", "-4", *words) + sh("ip", "-6", *words)
    return addresses, sorted(" ".join(line.split()) for line in listed.splitlines() if "proto kernel" not in line)


def test_addresses_and_routes_move_to_the_bridge_and_back(node: Node) -> None:
    before, mac = state(node.nic), (link(node.nic) or {})["address"]
    assert len(before[0]) == 3
    assert len(before[1]) == 2
    assert [change["verb"] for change in run(node, node.attachment()).changes] == ["add"]
    assert state(node.nic) == ([], [])
    assert state(node.bridge) == before
    assert (link(node.bridge) or {})["address"] == mac
    assert node.nic in sh("ovs-vsctl", "list-ports", node.bridge).split()
    assert pings(node.neighbour, f"{node.subnet}.1")
    assert not run(node, node.attachment()).changed
    assert [change["verb"] for change in run(node).changes] == ["remove"]
    assert state(node.nic) == before
    assert state(node.bridge) == ([], [])
    assert sh("ovs-vsctl", "list-ports", node.bridge) == ""
    assert pings(node.neighbour, f"{node.subnet}.1")
    assert f"nic-{node.nic}" not in sh("nft", "list", "ruleset")
    assert not (UNDERLAY_DIR / f"{node.nic}.json").exists()


def test_the_facts_of_a_nic_in_a_bridge_differ_only_by_the_bridge(node: Node) -> None:
    before = nics()[node.nic]
    assert before["bridge"] == ""
    run(node, node.attachment())
    after = nics()[node.nic]
    assert after["bridge"] == node.bridge
    assert sorted(after.pop("addresses")) == sorted(before.pop("addresses"))
    assert after == {**before, "bridge": node.bridge}


def test_at_most_three_packets_are_lost_by_a_move_and_its_undoing(node: Node) -> None:
    with steady_ping(node.neighbour, f"{node.subnet}.1") as counts:
        run(node, node.attachment())
        time.sleep(0.5)
        run(node)
    sent, received = counts
    assert sent > 50
    assert sent - received <= 3  # a packet is sent each 10 ms


def test_a_ping_through_the_bridge_is_answered_once(node: Node) -> None:
    run(node, node.attachment())
    output = sh("ping", "-c", "5", "-i", "0.05", f"{node.subnet}.1", netns=node.neighbour)
    assert "duplicates" not in output
    assert "DUP" not in output
    assert "5 received" in output


def test_check_mode_moves_no_address(node: Node) -> None:
    before = state(node.nic)
    assert run(node, node.attachment(), check=True).changed
    assert state(node.nic) == before


@pytest.mark.parametrize(
    "interrupted",
    ["addresses on both devices", "NIC plugged, addresses not moved", "some addresses moved", "bridge lost addresses"],
)
def test_the_next_run_completes_an_interrupted_move(node: Node, interrupted: str) -> None:
    before = state(node.nic)
    if interrupted == "addresses on both devices":
        sh("ip", "link", "set", node.bridge, "up")
        sh("ip", "address", "add", before[0][0], "dev", node.bridge)
    elif interrupted == "NIC plugged, addresses not moved":
        sh("ovs-vsctl", "add-port", node.bridge, node.nic, "--", "set", "Port", node.nic,
           f"external_ids:headworks={node.name}", f"external_ids:headworks-nic={node.nic}")  # fmt: skip
    else:
        run(node, node.attachment())
        moved = [f"{node.subnet}.1/24", f"{node.subnet}.9/24"]
        for address in moved if interrupted == "bridge lost addresses" else moved[:1]:
            # The kernel may delete other addresses of the subnet together with the first.
            sh("ip", "address", "delete", address, "dev", node.bridge, check=False)
    assert run(node, node.attachment()).changed
    assert state(node.bridge) == before
    assert state(node.nic) == ([], [])
    assert not run(node, node.attachment()).changed


def test_a_failed_move_is_undone(node: Node, monkeypatch: pytest.MonkeyPatch) -> None:
    before = state(node.nic)

    def fail(nic: str) -> None:
        raise OSError("the test fails this step")

    monkeypatch.setattr(mover, "hide_from_kernel", fail)
    with pytest.raises(ConvergeError, match="the test fails this step"):
        run(node, node.attachment())
    assert state(node.nic) == before
    assert state(node.bridge) == ([], [])
    assert sh("ovs-vsctl", "list-ports", node.bridge) == ""
    assert pings(node.neighbour, f"{node.subnet}.1")
    assert not leftovers(node)


def test_a_nic_moves_from_one_bridge_to_another(node: Node) -> None:
    before = state(node.nic)
    run(node, node.attachment())
    other = f"c{node.name}"
    bridges(node, node.bridge, other)
    assert [change["verb"] for change in run(node, node.attachment(other)).changes] == ["remove", "add"]
    assert state(other) == before
    assert sh("ovs-vsctl", "list-ports", node.bridge) == ""
    assert pings(node.neighbour, f"{node.subnet}.1")


def test_a_nic_or_bridge_that_does_not_exist_is_refused_by_its_name(node: Node) -> None:
    with pytest.raises(ConvergeError, match="nonesuch: this node has no such interface"):
        run(node, NicAttachment("nonesuch", node.bridge))
    before = state(node.nic)
    with pytest.raises(ConvergeError, match="nobridge"):
        run(node, node.attachment("nobridge"))
    assert state(node.nic) == before


def test_a_nic_that_is_a_foreign_port_of_another_bridge_stays_there(node: Node) -> None:
    other = f"c{node.name}"
    bridges(node, node.bridge, other)
    sh("ovs-vsctl", "add-port", other, node.nic)
    before = state(node.nic)
    with pytest.raises(ConvergeError, match=f"{node.nic} is a port of bridge {other}"):
        run(node, node.attachment())
    assert state(node.nic) == before
    assert node.nic in sh("ovs-vsctl", "list-ports", other).split()
    sh("ovs-vsctl", "del-port", node.nic)


@pytest.fixture
def short(monkeypatch: pytest.MonkeyPatch) -> None:
    """Allow a rollback after a second."""
    monkeypatch.setattr(underlay, "MIN_ROLLBACK_SECONDS", 1)


def leftovers(node: Node) -> list[str]:
    """Return the names of units and files of the NIC's moves."""
    units = "/etc/systemd/system"
    places = (moves.MOVES_DIR, "/run/systemd/system", units, f"{units}/multi-user.target.wants")
    names = (name for place in places if os.path.isdir(place) for name in os.listdir(place))
    return sorted(name for name in names if node.nic in name)


@pytest.mark.usefixtures("short")
def test_a_move_that_is_not_confirmed_is_taken_back(node: Node) -> None:
    before = state(node.nic)
    result = run(node, node.attachment(seconds=2), confirm=False)
    assert "the node takes the move back in 2 s unless" in result.confirmations[0].text
    assert state(node.bridge) == before
    wait_for(lambda: moves.stage_of(node.nic) == moves.UNDONE)
    assert state(node.nic) == before
    assert state(node.bridge) == ([], [])
    assert sh("ovs-vsctl", "list-ports", node.bridge) == ""
    assert pings(node.neighbour, f"{node.subnet}.1")
    assert rollback.confirm().undone == [node.nic]
    assert leftovers(node) == []
    run(node, node.attachment(seconds=20), confirm=False)
    assert confirm_all() == [node.nic], "the next run tries again"
    assert rollback.confirm().undone == []
    assert state(node.bridge) == before


@pytest.mark.usefixtures("short")
@pytest.mark.parametrize(
    "fault", ["wrong address", "missing route", "NIC down", "no route to the subnet", "open vswitch's port is gone"]
)
def test_a_move_that_cuts_the_node_off_is_taken_back(node: Node, fault: str) -> None:
    before = state(node.nic)
    run(node, node.attachment(seconds=2), confirm=False)
    if fault == "wrong address":
        sh("ip", "address", "flush", "dev", node.bridge)
        sh("ip", "address", "add", f"{node.subnet}.77/24", "dev", node.bridge)
    elif fault == "missing route":
        sh("ip", "route", "flush", "dev", node.bridge, "proto", "boot")
    elif fault == "NIC down":
        sh("ip", "link", "set", node.nic, "down")
    elif fault == "no route to the subnet":
        sh("ip", "route", "flush", "dev", node.bridge)
    else:
        sh("ovs-vsctl", "del-port", node.bridge, node.nic)
    wait_for(lambda: moves.stage_of(node.nic) == moves.UNDONE)
    assert state(node.nic) == before
    assert pings(node.neighbour, f"{node.subnet}.1")


@pytest.mark.usefixtures("short")
def test_a_confirmed_move_is_not_taken_back(node: Node) -> None:
    before = state(node.nic)
    run(node, node.attachment(seconds=1), confirm=False)
    assert confirm_all() == [node.nic]
    time.sleep(2)
    assert state(node.bridge) == before
    assert leftovers(node) == [f"{node.nic}.confirmed", f"{node.nic}.json"]


def test_a_further_run_before_the_confirmation_asks_for_it_again_and_moves_nothing(node: Node) -> None:
    run(node, node.attachment(), confirm=False)
    before = state(node.bridge)
    with steady_ping(node.neighbour, f"{node.subnet}.1") as counts:
        result = run(node, node.attachment(), confirm=False)
    sent, received = counts
    assert sent == received
    assert [change["verb"] for change in result.changes] == ["change"]
    assert result.confirmations
    assert confirm_all() == [node.nic]
    assert state(node.bridge) == before
    assert not run(node, node.attachment()).changed


def test_the_unit_of_the_next_boot_takes_an_unconfirmed_nic_out_of_the_bridge(node: Node) -> None:
    run(node, node.attachment(), confirm=False)
    unit = f"headworks-undo-{node.nic}.service"
    assert os.path.islink(f"/etc/systemd/system/multi-user.target.wants/{unit}")
    sh("systemctl", "start", unit)
    assert sh("ovs-vsctl", "list-ports", node.bridge) == ""
    assert moves.stage_of(node.nic) == moves.UNDONE


def test_a_restore_takes_a_nic_out_of_its_bridge_whose_move_was_not_confirmed_before_the_boot(node: Node) -> None:
    run(node, node.attachment(), confirm=False)
    rollback.undo_leftovers()
    assert moves.stage_of(node.nic) == moves.PENDING  # this is no boot: the timer still runs
    os.unlink(f"/run/systemd/system/headworks-rollback-{node.nic}.timer")
    rollback.undo_leftovers()
    assert moves.stage_of(node.nic) == moves.UNDONE
    assert sh("ovs-vsctl", "list-ports", node.bridge) == ""


def test_a_restore_makes_no_unconfirmed_move_and_makes_a_confirmed_one_without_a_timer(node: Node) -> None:
    steps = [(UnderlaySubsystem(node.name, restore=True), {node.nic: node.attachment()})]
    before = state(node.nic)
    moves.begin_move(moves.Move(node.nic, node.bridge))
    result = converge(steps, restore=True)
    assert not result.changes
    assert "no run has confirmed" in result.notes[0].text
    assert state(node.nic) == before
    moves.set_stage(node.nic, moves.CONFIRMED)
    result = converge(steps, restore=True)
    assert (len(result.changes), result.confirmations) == (1, [])
    assert state(node.bridge) == before


def test_a_nic_that_leaves_its_bridge_is_armed_with_the_seconds_of_its_last_move(node: Node) -> None:
    run(node, node.attachment(seconds=300))
    result = run(node, confirm=False)
    assert [confirmation.text for confirmation in result.confirmations] == [
        f"nic {node.nic}: the node takes the move back in 300 s unless it is confirmed"
    ]
    confirm_all()


def test_a_nic_that_leaves_its_bridge_leaves_no_file(node: Node) -> None:
    run(node, node.attachment())
    run(node)
    assert leftovers(node) == []


@pytest.mark.skipif(shutil.which("dhclient") is None, reason="this machine has no ISC dhclient")
def test_a_dhcp_client_moves_with_its_address(node: Node, tmp_path: Path) -> None:
    subnet = f"10.11.{int(node.name[-2:], 16)}"
    for family in ("-4", "-6"):
        sh("ip", family, "route", "flush", "dev", node.nic, "proto", "boot")
    sh("ip", "address", "flush", "dev", node.nic)
    sh("ip", "address", "add", f"{subnet}.1/24", "dev", "eth0", netns=node.neighbour)
    server = ["dnsmasq", "--conf-file=/dev/null", "--port=0", "--interface=eth0", "--bind-interfaces", "--user=root"]
    server += [f"--dhcp-range={subnet}.50,{subnet}.60,120", f"--pid-file={tmp_path}/dnsmasq.pid"]
    sh(*server, f"--dhcp-leasefile={tmp_path}/served", netns=node.neighbour)
    files = ["-pf", f"{tmp_path}/dhclient.{node.nic}.pid", "-lf", f"{tmp_path}/dhclient.{node.nic}.leases"]
    try:
        sh("dhclient", "-4", *files, node.nic)
        before = state(node.nic)[0]
        assert len(before) == 1
        result = run(node, node.attachment())
        assert f"its DHCP client runs for {node.bridge}" in result.notes[-1].text
        time.sleep(3)
        assert state(node.bridge)[0] == before
        assert state(node.nic)[0] == []
        assert dhcp_clients(node.bridge)
        assert not dhcp_clients(node.nic)
        assert not run(node, node.attachment()).changed
        run(node)
        assert dhcp_clients(node.nic)
    finally:
        for client in [*dhcp_clients(node.nic), *dhcp_clients(node.bridge)]:
            os.kill(client.pid, 9)
        os.kill(int((tmp_path / "dnsmasq.pid").read_text()), 15)
