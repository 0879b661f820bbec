"""What is noted about the moves of NICs, and the units that take an unconfirmed move back."""

from __future__ import annotations

from pathlib import Path

import pytest
from headworks.node.underlay import moves, rollback
from headworks.node.underlay.carry import Carried
from headworks.node.underlay.moves import CONFIRMED, PENDING, UNDONE, Move
from headworks.node.underlay.undo_units import Undo, boot_service, rollback_service, rollback_timer


@pytest.fixture(autouse=True)
def directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(moves, "MOVES_DIR", tmp_path / "underlay")
    return tmp_path / "underlay"


def test_a_move_is_pending_until_it_is_confirmed() -> None:
    moves.begin_move(Move("eth0", "br-ex", rollback_seconds=30))
    assert moves.stage_of("eth0") == PENDING
    assert moves.read_move("eth0") == Move("eth0", "br-ex", rollback_seconds=30)
    assert not moves.is_confirmed("eth0", "br-ex")
    moves.set_stage("eth0", CONFIRMED)
    assert moves.is_confirmed("eth0", "br-ex")
    assert not moves.is_confirmed("eth0", "br-other")
    assert moves.pending_nics() == []


def test_a_nic_that_leaves_its_bridge_is_not_confirmed_in_it() -> None:
    moves.begin_move(Move("eth0", "br-ex", leaves=True))
    moves.set_stage("eth0", CONFIRMED)
    assert not moves.is_confirmed("eth0", "br-ex")


def test_an_unconfirmed_move_counts_if_a_power_cut_left_two_markers(directory: Path) -> None:
    moves.begin_move(Move("eth0", "br-ex"))
    moves.set_stage("eth0", CONFIRMED)
    moves.begin_move(Move("eth0", "br-ex"))
    assert sorted(path.suffix for path in directory.iterdir()) == [".confirmed", ".json", ".pending"]
    assert moves.stage_of("eth0") == PENDING


def test_a_move_that_begins_is_not_the_one_that_was_undone_before() -> None:
    moves.begin_move(Move("eth0", "br-ex"))
    moves.set_stage("eth0", UNDONE)
    moves.begin_move(Move("eth0", "br-ex"))
    assert moves.undone_nics() == []
    assert moves.pending_nics() == ["eth0"]


@pytest.mark.parametrize("text", ["", "{", "[]", '{"nic": "eth0"}', '{"unknown": 1}'])
def test_a_move_whose_file_is_damaged_is_not_confirmed(directory: Path, text: str) -> None:
    moves.begin_move(Move("eth0", "br-ex"))
    moves.set_stage("eth0", CONFIRMED)
    (directory / "eth0.json").write_text(text)
    assert moves.read_move("eth0") is None
    assert not moves.is_confirmed("eth0", "br-ex")


def test_a_forgotten_move_leaves_no_file(directory: Path) -> None:
    moves.begin_move(Move("eth0.100", "br-ex"))
    assert moves.pending_nics() == ["eth0.100"]
    moves.set_stage("eth0.100", UNDONE)
    assert moves.undone_nics() == ["eth0.100"]
    moves.forget_move("eth0.100")
    assert list(directory.iterdir()) == []


UNDO = Undo(
    Move("eth0", "br-ex", rollback_seconds=45),
    ["/bin/unplug", "eth0"],
    Path("/run/first"),
    Path("/run/finish"),
    configuration=[["/bin/configure", "a b", "50%", "$x"]],
    clients=[["/bin/client"]],
    units=[Path("/etc/undo.service")],
)


def commands(text: str) -> list[str]:
    return [line.removeprefix("ExecStart=") for line in text.splitlines() if line.startswith("ExecStart=")]


def test_no_step_of_the_rollback_waits_for_the_success_of_another() -> None:
    lines = commands(rollback_service(UNDO))
    assert lines
    assert all(line.startswith("-/") for line in lines)


def test_the_rollback_gives_the_nic_its_addresses_before_it_leaves_the_bridge_and_ends_with_the_marker() -> None:
    words = [line.split() for line in commands(rollback_service(UNDO))]
    steps = [word[1] if len(word) > 1 else word[0] for word in words]
    assert [Path(word[0]).name for word in words] == [
        "flock", "ip", "unplug", "nft", "ip", "ip", "configure", "client", "ip", "ip", "mv", "rm",
    ]  # fmt: skip
    assert steps[2] == "eth0"
    assert " ".join(words[4][1:]) == "link set dev br-ex down"
    assert words[-2][-2].endswith("eth0.pending")
    assert words[-2][-1].endswith("eth0.undone")
    assert words[-1][-1] == "/etc/undo.service"


def test_a_bridge_that_has_addresses_of_its_own_stays_up() -> None:
    text = rollback_service(Undo(UNDO.move, UNDO.unplug, UNDO.first, UNDO.finish, quiet_bridge=False))
    assert "link set dev br-ex down" not in text


def test_words_are_quoted_for_systemd() -> None:
    assert '-/bin/configure "a b" 50%% $$x' in commands(rollback_service(UNDO))


def test_the_timer_expires_after_the_declared_time() -> None:
    assert "OnActiveSec=45\n" in rollback_timer(UNDO.move)


def test_at_boot_the_nic_is_unplugged_before_open_vswitch_takes_it() -> None:
    text = boot_service(UNDO, "ovsdb-server.service", "ovs-vswitchd.service")
    assert "After=ovsdb-server.service\nBefore=ovs-vswitchd.service\n" in text
    assert [Path(line.split()[0]).name for line in commands(text)] == ["unplug", "configure", "mv", "rm"]
    assert f"ConditionPathExists={moves.MOVES_DIR}/eth0.pending" in text


def test_a_rollback_that_is_under_way_ends_before_the_move_begins_again(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Otherwise its last steps would take the new move back half-way, and no timer would run any more."""
    for name in ("UNIT_DIR", "RUNTIME_DIR"):
        monkeypatch.setattr(rollback.systemd, name, tmp_path)
    monkeypatch.setattr(rollback, "UNDERLAY_DIR", tmp_path)
    monkeypatch.setattr(rollback.systemd, "available", lambda: True)
    monkeypatch.setattr(rollback.config, "undo_commands", lambda nic, bridge: [])
    monkeypatch.setattr(rollback, "undo_client_commands", lambda nic, bridge: [])
    monkeypatch.setattr(rollback.time, "sleep", lambda seconds: None)
    (tmp_path / "headworks-rollback-eth1.timer").touch()  # of the earlier move
    calls, stages, states = [], [], ["activating", "activating", "inactive"]

    def run(command: list[str], **_: object) -> str:
        calls.append(" ".join(command[1:]))
        if command[1] != "is-active":
            return ""
        stages.append(moves.stage_of("eth1"))
        return states.pop(0)

    monkeypatch.setattr(rollback, "run", run)
    move = Move("eth1", "br1")
    rollback.arm(move, Carried(), ["/bin/unplug"], quiet_bridge=True, ovsdb_service="a", vswitchd_service="b")
    assert stages == ["", "", ""]
    assert moves.stage_of("eth1") == PENDING
    timer = "restart headworks-rollback-eth1.timer"
    assert [call for call in calls if not call.startswith("is-active")] == [timer, "daemon-reload", timer]
