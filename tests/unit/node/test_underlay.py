"""NICs in bridges: which are ours, which addresses and routes are carried over, and the order of the steps."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest
from headworks.node.subsystem import Change, Reading
from headworks.node.underlay import carry, mover, moves, nics, ovs_port
from headworks.node.underlay.carry import Address, Carried, lines_after_move, lines_before_move, read_carried
from headworks.node.underlay.nics import UnderlaySubsystem, conflicts
from headworks.node.underlay.ovs_port import OvsPlug
from headworks.node.underlay.plug import Plugged
from headworks.state.underlay import NicAttachment

ADDRESSES = """[{"addr_info": [
  {"family": "inet", "local": "192.0.2.5", "prefixlen": 24, "broadcast": "192.0.2.255", "scope": "global"},
  {"family": "inet6", "local": "2001:db8::5", "prefixlen": 64, "scope": "global"},
  {"family": "inet6", "local": "2001:db8::abc", "prefixlen": 64, "scope": "global", "dynamic": true,
   "noprefixroute": true, "valid_life_time": 7000, "preferred_life_time": 300},
  {"family": "inet6", "local": "fe80::1", "prefixlen": 64, "scope": "link"}]}]"""
ROUTES4 = """default via 192.0.2.1 proto static metric 100 linkdown
192.0.2.0/24 proto kernel scope link src 192.0.2.5
198.51.100.0/24 scope link
203.0.113.0/24 via 192.0.2.9 table 77
local 192.0.2.5 table local proto kernel scope host src 192.0.2.5
"""
ROUTES6 = """2001:db8::/64 proto kernel metric 256 pref medium
default via fe80::9 proto ra metric 1024 expires 1790sec pref medium
multicast ff00::/8 table local proto kernel metric 256 pref medium
"""


@pytest.fixture
def nic(monkeypatch: pytest.MonkeyPatch) -> Carried:
    def run(args: list[str]) -> str:
        return ADDRESSES if "address" in args else ROUTES4 if "-4" in args else ROUTES6

    monkeypatch.setattr(carry, "run", run)
    monkeypatch.setattr(carry, "read_token", lambda device: "")
    return read_carried("eth0")


def test_configured_addresses_and_routes_are_carried_and_those_of_the_kernel_are_not(nic: Carried) -> None:
    assert nic.addresses == (
        Address("192.0.2.5/24", "broadcast 192.0.2.255"),
        Address("2001:db8::5/64", "nodad"),
        Address("2001:db8::abc/64", "nodad valid_lft 7000 preferred_lft 300 noprefixroute"),
    )
    assert [address.lasting for address in nic.addresses] == [True, True, False]
    assert nic.routes == (
        "198.51.100.0/24 scope link",
        "default via 192.0.2.1 proto static metric 100",
        "203.0.113.0/24 via 192.0.2.9 table 77",
        "default via fe80::9 proto ra metric 1024 expires 1790 pref medium",
    )


def test_the_bridge_has_the_addresses_before_the_nic_loses_them(nic: Carried) -> None:
    assert lines_before_move(nic, "br-ex", also_up="eth0") == [
        "link set dev eth0 up",
        "link set dev br-ex up",
        "address replace 192.0.2.5/24 broadcast 192.0.2.255 dev br-ex",
        "address replace 2001:db8::5/64 nodad dev br-ex",
        "address replace 2001:db8::abc/64 nodad valid_lft 7000 preferred_lft 300 noprefixroute dev br-ex",
    ]
    lines = lines_after_move(nic, "eth0", "br-ex")
    assert lines[0] == "link set dev br-ex up"
    assert lines[1:4] == [f"route replace {route} dev br-ex" for route in nic.routes[:3]]
    assert lines[-3:] == [f"address flush dev eth0 to {address.text}" for address in nic.addresses]


def test_an_advertised_route_moves_with_the_next_metric_so_that_the_kernel_can_add_its_own(nic: Carried) -> None:
    assert lines_after_move(nic, "eth0", "br-ex")[4:7] == [
        "route replace default via fe80::9 proto ra metric 1025 expires 1790 pref medium dev br-ex",
        "route replace default via fe80::9 proto ra metric 1024 expires 1790 pref medium dev eth0",
        "route delete default via fe80::9 proto ra metric 1024 dev eth0",
    ]


def test_saved_addresses_are_loaded_again(nic: Carried, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(carry, "UNDERLAY_DIR", tmp_path)
    carried = replace(nic, token="::5")
    carry.save_carried("eth0", carried)
    assert carry.load_carried("eth0") == carried
    assert lines_before_move(carried, "br-ex")[-1] == "token set ::5 dev br-ex"
    before = '{"addresses": [{"text": "192.0.2.5/24", "extra": ""}], "routes": []}'
    (tmp_path / "eth0.json").write_text(before)
    assert carry.load_carried("eth0") == Carried((Address("192.0.2.5/24"),))


def test_a_nic_without_addresses_carries_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(carry, "run", lambda args: '[{"addr_info": []}]' if "address" in args else "x dev y\n")
    assert read_carried("eth2") == Carried()


def test_an_incomplete_move_of_a_nic_is_a_change() -> None:
    desired = NicAttachment("eth2", "br-ex")
    subsystem = UnderlaySubsystem("cloud")
    complete = Reading({"eth2": desired}, frozenset({"eth2"}))
    incomplete = Reading(
        {"eth2": NicAttachment("eth2", "br-ex", unsettled="addresses are still on eth2")}, frozenset({"eth2"})
    )
    assert subsystem.diff({"eth2": desired}, complete) == []
    assert [change.verb for change in subsystem.diff({"eth2": desired}, incomplete)] == ["change"]


def test_a_nic_that_is_a_foreign_port_of_another_bridge_is_a_conflict() -> None:
    desired, actual = {"eth2": NicAttachment("eth2", "br-ex")}, {"eth2": NicAttachment("eth2", "br-theirs")}
    (conflict,) = conflicts(desired, actual, owned=())
    assert "eth2 is a port of bridge br-theirs" in conflict.text
    assert conflicts(desired, actual, owned={"eth2"}) == ()


class FakePlug:
    """A kind of bridge that keeps its NICs in a dict."""

    def __init__(self, **nics: Plugged) -> None:
        self.nics = dict(nics)

    def plugged_nics(self) -> Mapping[str, Plugged]:
        """Return the NICs in the dict."""
        return self.nics

    def set_mac(self, nic: str, bridge: str) -> None:
        """Do nothing: these bridges have no MAC."""

    def plug(self, nic: str, bridge: str, owner: str | None) -> bool:
        """Add the NIC."""
        new = nic not in self.nics
        self.nics.setdefault(nic, Plugged(bridge, owner=owner))
        return new

    def unplug(self, nic: str, bridge: str) -> None:
        """Remove the NIC."""
        self.nics.pop(nic, None)

    def unplug_command(self, nic: str, bridge: str) -> list[str]:
        """Return a command that does not exist."""
        return ["/bin/unplug", nic, "from", bridge]


@pytest.fixture
def steps(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[str]:
    """Simulate a node with NICs eth1 to eth3. Returns a list to which the steps of moves are added, in order."""
    steps: list[str] = []
    links = {name: SimpleNamespace(mac="02:00:00:00:00:01", up=True) for name in ("eth1", "eth2", "eth3")}
    carried = Carried((Address("192.0.2.5/24"),), ("default via 192.0.2.1",))
    monkeypatch.setattr(nics.rtnl, "links", lambda names=None: links)
    monkeypatch.setattr(mover, "read_carried", lambda device: carried)
    monkeypatch.setattr(mover, "ip_batch", lambda lines, force=False: steps.extend(lines[-1:]))
    for name in ("save_carried", "delete_carried", "show_to_kernel", "copy_settings"):
        monkeypatch.setattr(mover, name, lambda *arguments: None)
    monkeypatch.setattr(mover, "load_carried", lambda nic: None)
    monkeypatch.setattr(mover, "move_clients", lambda old, new: [])
    for name in ("forget_move", "disarm"):
        monkeypatch.setattr(mover, name, lambda nic, name=name: steps.append(f"{name} {nic}"))
    monkeypatch.setattr(mover, "arm", lambda move, carried, unplug, **more: steps.append(" ".join(unplug)))
    monkeypatch.setattr(nics, "prolong", lambda names: steps.append(f"prolong {' '.join(names)}"))
    monkeypatch.setattr(nics.moves, "MOVES_DIR", tmp_path)
    return steps


@pytest.mark.usefixtures("steps")
def test_the_nics_with_the_cloud_s_mark_are_read() -> None:
    plug = FakePlug(eth1=Plugged("br1", owner="cloud"), eth2=Plugged("br1", owner="other"), eth3=Plugged("br1"))
    reading = UnderlaySubsystem("cloud", plug).read({})
    assert (set(reading.objects), reading.owned) == ({"eth1"}, frozenset({"eth1"}))
    assert UnderlaySubsystem(None, plug).read({}).owned == frozenset()


def test_the_rollback_is_started_first_and_the_nic_loses_its_addresses_last(steps: list[str]) -> None:
    plug = FakePlug()
    subsystem = UnderlaySubsystem("cloud", plug)
    desired = NicAttachment("eth1", "br1")
    subsystem.apply([Change("nic", "eth1", None, desired)])
    assert plug.nics == {"eth1": Plugged("br1", owner="cloud")}
    assert steps == [
        "/bin/unplug eth1 from br1",
        "address replace 192.0.2.5/24  dev br1",
        "address flush dev eth1 to 192.0.2.5/24",
    ]
    assert subsystem.apply([Change("nic", "eth1", desired, None)]).confirmations[0].name == "eth1"
    assert plug.nics == {}


def test_a_restore_moves_only_nics_whose_move_is_confirmed_and_does_not_arm_it(steps: list[str]) -> None:
    subsystem, desired = UnderlaySubsystem("cloud", FakePlug(), restore=True), NicAttachment("eth1", "br1")
    change: Change[NicAttachment] = Change("nic", "eth1", None, desired)
    (note,) = subsystem.unsafe_to_restore([change])
    assert "eth1: it is not moved into br1, because no run has confirmed" in note.text
    moves.begin_move(moves.Move("eth1", "br1"))
    assert subsystem.unsafe_to_restore([change])
    moves.set_stage("eth1", moves.CONFIRMED)
    assert not subsystem.unsafe_to_restore([change])
    assert not subsystem.apply([change]).confirmations
    assert "/bin/unplug eth1 from br1" not in steps


@pytest.mark.usefixtures("steps")
def test_a_restore_completes_the_move_of_a_nic_that_was_in_its_bridge_before_moves_were_noted() -> None:
    subsystem, desired = UnderlaySubsystem("cloud", FakePlug(), restore=True), NicAttachment("eth1", "br1")
    change = Change("nic", "eth1", NicAttachment("eth1", "br1", unsettled="addresses are still on eth1"), desired)
    assert not subsystem.unsafe_to_restore([change])
    moves.set_stage("eth1", moves.UNDONE)
    assert subsystem.unsafe_to_restore([change])


@pytest.mark.usefixtures("steps")
def test_a_settled_nic_that_the_operator_put_into_the_bridge_needs_no_confirmation(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Its bridge has the operator's own network configuration, which ours would replace."""
    monkeypatch.setattr(nics, "_unsettled", lambda *arguments: "")
    desired = {"eth1": NicAttachment("eth1", "br1")}
    for owner, kinds in ((None, []), ("cloud", ["change"])):
        subsystem = UnderlaySubsystem("cloud", FakePlug(eth1=Plugged("br1", owner=owner)))
        assert [change.verb for change in subsystem.diff(desired, subsystem.read(desired))] == kinds


@pytest.mark.usefixtures("steps")
def test_a_nic_that_never_existed_is_a_conflict_and_one_that_is_gone_is_broken() -> None:
    desired = {"eth9": NicAttachment("eth9", "br1")}
    subsystem = UnderlaySubsystem("cloud", FakePlug())
    reading = subsystem.read(desired)
    assert [conflict.text for conflict in reading.conflicts] == ["nic eth9: this node has no such interface"]
    moves.begin_move(moves.Move("eth9", "br1"))
    reading = subsystem.read(desired)
    assert reading.conflicts == ()
    assert dict(reading.broken) == {"eth9": "nic eth9: this node has no such interface"}
    moves.forget_move("eth9")
    reading = UnderlaySubsystem("cloud", FakePlug(), restore=True).read(desired)
    assert (reading.conflicts, set(reading.broken)) == ((), {"eth9"})


def test_a_nic_that_changes_its_bridge_first_leaves_the_one_then_enters_the_other() -> None:
    before, after = NicAttachment("eth1", "br1"), NicAttachment("eth1", "br2")
    reading = Reading({"eth1": before}, frozenset({"eth1"}))
    changes = UnderlaySubsystem("cloud", FakePlug()).diff({"eth1": after}, reading)
    assert [(change.before, change.after) for change in changes] == [(before, None), (None, after)]


def test_a_failed_move_into_a_bridge_is_undone_and_the_next_nic_moves(
    steps: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    plug = FakePlug()
    subsystem = UnderlaySubsystem("cloud", plug)

    def fail(old: str, new: str) -> list[str]:
        if old == "eth1":
            raise OSError("no client")
        return []

    monkeypatch.setattr(mover, "move_clients", fail)
    changes = [Change("nic", nic, None, NicAttachment(nic, "br1")) for nic in ("eth1", "eth2")]
    applied = subsystem.apply(changes)
    assert dict(applied.failures) == {"eth1": "nic eth1: no client"}
    assert [confirmation.name for confirmation in applied.confirmations] == ["eth2"]
    assert plug.nics == {"eth2": Plugged("br1", owner="cloud")}
    assert steps.index("forget_move eth1") < steps.index("disarm eth1")


def test_a_failure_while_a_plugged_nic_is_completed_leaves_it_in_the_bridge_and_armed(
    steps: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    plug = FakePlug(eth1=Plugged("br1", owner="cloud"))
    monkeypatch.setattr(mover, "move_clients", lambda old, new: 1 / 0)
    desired = NicAttachment("eth1", "br1")
    applied = UnderlaySubsystem("cloud", plug).apply([Change("nic", "eth1", desired, desired)])
    assert set(applied.failures) == {"eth1"}
    assert [confirmation.name for confirmation in applied.confirmations] == ["eth1"]
    assert plug.nics == {"eth1": Plugged("br1", owner="cloud")}
    assert "disarm eth1" not in steps


def test_the_unplug_command_of_open_vswitch_deletes_the_port(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ovs_port, "tool_path", lambda name: None)
    words = OvsPlug().unplug_command("eth1", "br-ex")
    assert " ".join(words) == "/usr/bin/ovs-vsctl --timeout=10 --no-wait --if-exists del-port br-ex eth1"


@pytest.mark.parametrize("name", ["", "eth0 up", "eth0\nlink delete eth1", "sixteen-letters-"])
def test_a_name_that_the_kernel_would_refuse_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match="not a link name"):
        NicAttachment(name, "br-ex")


def test_a_move_that_cannot_be_armed_is_not_made_and_not_noted(
    steps: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    plug = FakePlug()

    def full(move: moves.Move, *_: object, **_more: object) -> None:
        moves.begin_move(move)
        raise OSError("no space left on device")

    monkeypatch.setattr(mover, "arm", full)
    monkeypatch.setattr(mover, "forget_move", moves.forget_move)
    applied = UnderlaySubsystem("cloud", plug).apply([Change("nic", "eth1", None, NicAttachment("eth1", "br1"))])
    assert "its rollback cannot be prepared: no space left" in applied.failures["eth1"]
    assert applied.confirmations == ()
    assert plug.nics == {}
    assert moves.stage_of("eth1") == ""
    assert steps == ["disarm eth1"]


@pytest.mark.parametrize(
    ("before", "after", "is_disarmed"),
    [("", "", True), (moves.CONFIRMED, moves.CONFIRMED, True), (moves.PENDING, moves.PENDING, False)],
)
def test_a_nic_in_its_bridge_whose_move_cannot_be_armed_is_noted_as_before(
    steps: list[str], monkeypatch: pytest.MonkeyPatch, before: str, after: str, is_disarmed: bool
) -> None:
    move = moves.Move("eth1", "br1")
    if before:
        moves.begin_move(move)
        moves.set_stage("eth1", before)

    def full(move: moves.Move, *_: object, **_more: object) -> None:
        moves.begin_move(move)
        raise OSError("no space left on device")

    monkeypatch.setattr(mover, "arm", full)
    monkeypatch.setattr(mover, "forget_move", moves.forget_move)
    desired, plug = NicAttachment("eth1", "br1"), FakePlug(eth1=Plugged("br1", owner="cloud"))
    applied = UnderlaySubsystem("cloud", plug).apply([Change("nic", "eth1", desired, desired)])
    assert (set(applied.failures), applied.confirmations) == ({"eth1"}, ())
    assert moves.stage_of("eth1") == after
    assert ("disarm eth1" in steps) is is_disarmed


def test_each_move_gives_all_moves_of_the_run_the_whole_time_again(steps: list[str]) -> None:
    changes = [Change("nic", nic, None, NicAttachment(nic, "br1")) for nic in ("eth1", "eth2")]
    UnderlaySubsystem("cloud", FakePlug()).apply(changes)
    assert [step for step in steps if step.startswith("prolong")] == ["prolong eth1", "prolong eth1 eth2"]


@pytest.mark.usefixtures("steps")
def test_a_move_that_an_earlier_run_lost_is_not_told_again(monkeypatch: pytest.MonkeyPatch) -> None:
    moves.begin_move(moves.Move("eth3", "br1"))
    moves.set_stage("eth3", moves.UNDONE)
    UnderlaySubsystem("cloud", FakePlug()).apply([Change("nic", "eth1", None, NicAttachment("eth1", "br1"))])
    assert moves.undone_nics() == []
