"""The modules netns, netns_info, linux_bridge and underlay_confirm, each used without a cloud."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from modules import run_module
from shell import link, sh

pytestmark = pytest.mark.usefixtures("private_root")


def run(module: str, /, **options: Any) -> dict[str, Any]:
    answer = run_module(module, **options)
    assert not answer.get("failed"), answer
    return answer


@pytest.fixture
def netns(unique: str) -> Iterator[str]:
    yield unique
    for name in sh("ip", "netns", "list").split():
        if name.startswith(f"{unique}-"):
            sh("ip", "netns", "delete", name)


def test_a_single_namespace_and_a_list_of_namespaces_are_added_and_removed(netns: str) -> None:
    many = [{"name": f"{netns}-{letter}"} for letter in "abc"]
    assert run("netns", check=True, netns=many)["changed"]
    assert netns not in sh("ip", "netns", "list")
    assert run("netns", name=f"{netns}-a")["changed"]
    answer = run("netns", netns=many)
    assert [change["name"] for change in answer["changes"]] == [f"{netns}-b", f"{netns}-c"]
    assert not run("netns", netns=many)["changed"]
    (info,) = run("netns_info", name=f"{netns}-a")["netns"]
    assert info == {"name": f"{netns}-a", "alive": True, "cloud": "", "devices": ["lo"]}
    mixed = [{**many[0], "state": "absent"}, many[1]]
    assert [change["verb"] for change in run("netns", diff=True, netns=mixed)["changes"]] == ["remove"]
    assert run("netns", state="absent", netns=many)["changed"]
    assert not run("netns", state="absent", netns=many)["changed"]


def test_a_bad_name_is_refused() -> None:
    assert "a/b" in run_module("netns", name="a/b")["msg"]


def test_a_bridge_and_its_ports_are_added_changed_and_removed() -> None:
    sh("ip", "link", "add", "nic0", "type", "veth", "peer", "name", "wire0")
    options = {"name": "br100", "interfaces": ["nic0"], "mtu": 1400}
    assert [change["name"] for change in run("linux_bridge", **options)["changes"]] == ["br100", "nic0"]
    bridge, nic = link("br100"), link("nic0")
    assert bridge is not None
    assert nic is not None
    assert (bridge["mtu"], bridge["group"], nic["master"], nic["mtu"]) == (1400, "default", "br100", 1500)
    assert not run("linux_bridge", **options)["changed"]
    assert not run("linux_bridge", name="br100")["changed"]
    assert run("linux_bridge", name="br100", mac="02:00:00:00:00:01")["changed"]
    assert run("linux_bridge", name="br100", absent_interfaces=["nic0"])["changed"]
    assert "master" not in (link("nic0") or {})
    assert not run("linux_bridge", name="br100", absent_interfaces=["nic0", "nosuch"])["changed"]
    assert run("linux_bridge", name="br100", state="absent")["changed"]
    assert link("br100") is None
    assert link("nic0") is not None


def test_a_list_of_bridges_is_added_and_removed_and_foreign_bridges_stay() -> None:
    sh("ip", "link", "add", "foreign", "type", "bridge")
    many = [{"name": "br1"}, {"name": "br2", "mtu": 1450}]
    answer = run("linux_bridge", mtu=1300, bridges=many)
    assert len(answer["changes"]) == 2
    assert [(link(name) or {})["mtu"] for name in ("br1", "br2")] == [1300, 1450]
    assert run("linux_bridge", state="absent", bridges=many)["changed"]
    assert link("foreign") is not None


def test_a_link_that_is_not_a_bridge_and_a_missing_interface_are_refused() -> None:
    sh("ip", "link", "add", "nic0", "type", "veth", "peer", "name", "wire0")
    assert "'nic0'" in run_module("linux_bridge", name="nic0")["msg"]
    answer = run_module("linux_bridge", name="br1", interfaces=["nosuch"])
    assert "nosuch: this node has no such interface" in answer["msg"]
    assert link("br1") is None


def test_without_an_unconfirmed_move_underlay_confirm_changes_nothing() -> None:
    nothing = {"nics": [], "left": [], "undone": [], "notes": [], "failures": {}}
    assert run("underlay_confirm") == {"changed": False, **nothing, "invocation": {"module_args": {}}}
