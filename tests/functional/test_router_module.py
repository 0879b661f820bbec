"""Modules router and floating_ip, alone, with real bridges, traffic and NAT."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest
from modules import run_module
from shell import link, sh
from wires import namespace, pings, steady_ping


@dataclass
class World:
    """A router's surroundings: guests 10.0.0.5 and 10.0.0.6 on an inner bridge, the world 172.16.0.1 on an outer
    bridge."""

    name: str
    kind: str

    @property
    def inner(self) -> str:
        return f"i{self.name}"

    @property
    def outer(self) -> str:
        return f"o{self.name}"

    @property
    def netns(self) -> str:
        return f"qrouter-{self.name}"

    def host(self, which: str) -> str:
        return f"{self.name}-{which}"

    def options(self, **more: Any) -> dict[str, Any]:
        interface = {"name": "lan", "address": "10.0.0.1/24", "bridge": self.inner}
        external = {"address": "172.16.0.2/24", "gateway": "172.16.0.1", "bridge": self.outer}
        return {"name": self.name, "interfaces": [interface], "external": external, **more}

    def device(self, kind: str) -> str:
        names = sh("ip", "-o", "link", "show", netns=self.netns).splitlines()
        (found,) = [line.split()[1].split("@")[0] for line in names if f" {kind}-" in line]
        return found


@pytest.fixture(params=["linux", "ovs"])
def world(request: pytest.FixtureRequest, unique: str) -> Iterator[World]:
    world = World(unique, request.param)
    for bridge in (world.inner, world.outer):
        if world.kind == "ovs":
            sh("ovs-vsctl", "add-br", bridge, "--", "set", "bridge", bridge, "datapath_type=netdev")
        else:
            sh("ip", "link", "add", bridge, "up", "type", "bridge")
    hosts = (
        ("g", world.inner, "10.0.0.5/24", "10.0.0.1"),
        ("h", world.inner, "10.0.0.6/24", "10.0.0.1"),
        ("w", world.outer, "172.16.0.1/24", ""),
    )
    for which, bridge, address, gateway in hosts:
        name, device = world.host(which), f"{which}{unique}"
        namespace(name)
        sh("ip", "link", "add", device, "up", "type", "veth", "peer", "name", "eth0", "netns", name)
        sh("ip", "link", "set", "eth0", "up", netns=name)
        sh("ip", "address", "add", address, "dev", "eth0", netns=name)
        if gateway:
            sh("ip", "route", "add", "default", "via", gateway, netns=name)
        if world.kind == "ovs":
            sh("ovs-vsctl", "add-port", bridge, device)
        else:
            sh("ip", "link", "set", device, "master", bridge)
    yield world
    run_module("router", name=world.name, state="absent")
    for which, *_ in hosts:
        sh("ip", "netns", "delete", world.host(which))
    for bridge in (world.inner, world.outer):
        if world.kind == "ovs":
            sh("ovs-vsctl", "del-br", bridge)
        else:
            sh("ip", "link", "delete", bridge)


def floating(*pairs: tuple[str, str]) -> list[dict[str, str]]:
    return [{"floating_ip_address": outside, "fixed_ip_address": inside} for outside, inside in pairs]


def run(module: str, /, **options: Any) -> dict[str, Any]:
    answer = run_module(module, **options)
    assert not answer.get("failed"), answer
    return answer


def test_a_router_routes_translates_and_a_second_run_changes_nothing(world: World) -> None:
    wanted = world.options(floating_ips=floating(("172.16.0.5", "10.0.0.5")))
    checked = run("router", check=True, diff=True, **wanted)
    assert world.netns not in sh("ip", "netns", "list")
    answer = run("router", diff=True, **wanted)
    assert answer["changes"] == checked["changes"]
    assert {change["kind"] for change in answer["changes"]} >= {"netns", "link", "nft", "l3"}
    assert answer["diff"][0]["after"]
    assert answer["routers"][0]["namespace"] == world.netns
    assert pings(world.host("g"), "172.16.0.1")
    assert pings(world.host("h"), "172.16.0.1")
    assert pings(world.host("w"), "172.16.0.5")
    assert pings(world.host("h"), "172.16.0.5")  # hairpin
    assert not run("router", **wanted)["changed"]


def test_only_floating_ips_are_reachable_from_outside(world: World) -> None:
    run("router", **world.options())
    sh("ip", "route", "add", "10.0.0.0/24", "via", "172.16.0.2", netns=world.host("w"))
    assert not pings(world.host("w"), "10.0.0.5")
    run("router", **world.options(enable_snat=False))
    assert pings(world.host("w"), "10.0.0.5")


def test_an_interface_that_is_no_longer_listed_is_removed(world: World) -> None:
    both = world.options()
    both["interfaces"] = [*both["interfaces"], {"name": "more", "address": "10.1.0.1/24"}]
    told = run("router", **both)["routers"][0]["ports"]
    (more,) = [port for port in told if port["name"] == "more"]
    assert link(more["port"]) is not None
    with steady_ping(world.host("g"), "172.16.0.1") as counts:
        run("router", **world.options())
    assert link(more["port"]) is None
    assert link(more["device"], world.netns) is None
    assert counts[0] == counts[1]


def test_a_removed_router_leaves_no_object(world: World) -> None:
    told = run("router", **world.options())["routers"][0]["ports"]
    answer = run("router", name=world.name, state="absent")
    assert answer["changed"]
    assert world.netns not in sh("ip", "netns", "list")
    assert all(link(port["port"]) is None for port in told)
    if world.kind == "ovs":
        assert not any(port["port"] in sh("ovs-vsctl", "show") for port in told)
    assert not run("router", name=world.name, state="absent")["changed"]


def test_one_call_adds_moves_and_removes_floating_ips(world: World) -> None:
    run("router", **world.options())
    many = [(f"172.16.0.{i}", "10.0.0.6") for i in range(100, 150)]
    wanted = floating(("172.16.0.5", "10.0.0.5"), *many)
    assert run("floating_ip", check=True, router=world.name, floating_ips=wanted)["changed"]
    assert not pings(world.host("w"), "172.16.0.5")
    answer = run("floating_ip", router=world.name, floating_ips=wanted)
    assert sorted(change["kind"] for change in answer["changes"]) == ["l3", "nft"]
    assert not run("floating_ip", router=world.name, floating_ips=wanted)["changed"]
    assert pings(world.host("w"), "172.16.0.5")
    assert pings(world.host("w"), "172.16.0.149")
    assert not run("router", **world.options())["changed"]  # floating_ips not given: they stay
    (info,) = run("router_info", name=world.name)["routers"]
    assert info["floating_ips"] == sorted(wanted, key=lambda pair: pair["floating_ip_address"])
    with steady_ping(world.host("w"), "172.16.0.5") as counts:
        gone = [{**floating, "state": "absent"} for floating in wanted[1:]]
        run("floating_ip", router=world.name, floating_ips=gone)
    assert counts[0] == counts[1]
    assert not pings(world.host("w"), "172.16.0.149")
    assert "172.16.0.149" not in sh("ip", "address", netns=world.netns)


def nft_listing(world: World, *options: str) -> str:
    return sh("nft", *options, "list", "table", "ip", "headworks", netns=world.netns)


def rules_with_handles(world: World) -> list[str]:
    return [line for line in nft_listing(world, "-a").splitlines() if re.search(r"^\t\t.*# handle", line)]


@pytest.mark.parametrize("digests", [True, False], ids=["rules with digests", "rules of an earlier version"])
def test_a_floating_ip_does_not_touch_the_rules(world: World, digests: bool) -> None:
    run("router", **world.options())
    if not digests:
        old = re.sub(r' comment "headworks \w+"', "", nft_listing(world))
        sh("nft", "-f", "-", stdin=f"delete table ip headworks\n{old}", netns=world.netns)
    before = rules_with_handles(world)
    assert len(before) > 5
    wanted = floating(("172.16.0.5", "10.0.0.5"))
    assert run("floating_ip", router=world.name, floating_ips=wanted)["changed"]
    assert pings(world.host("w"), "172.16.0.5")
    assert rules_with_handles(world) == before
    assert not run("floating_ip", router=world.name, floating_ips=wanted)["changed"]
    assert run("router", **world.options())["changed"] is not digests
    assert nft_listing(world).count('comment "headworks ') == len(before)
    assert not run("router", **world.options())["changed"]


def lan(address: str, name: str = "lan", **more: str) -> dict[str, Any]:
    return {"interfaces": [{"name": name, "address": address, **more}]}


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lan("10.0.0.1"), "lan: address: '10.0.0.1': must be an address with"),
        (lan("172.16.0.9/16"), "must not overlap"),
        (lan("10.0.0.1/24", bridge="nosuch"), "bridge: 'nosuch': there is no such bridge"),
        (lan("10.0.0.1/24", "external"), "name: 'external': must be unique"),
        ({"routes": [{"destination": "10.9.0.0/16", "nexthop": "10.77.0.1"}]}, "nexthop: '10.77.0.1': must be"),
        ({"external": {"address": "172.16.0.2/24", "gateway": "172.17.0.1"}}, "gateway: '172.17.0.1': must be in"),
        ({"floating_ips": floating(("x", "10.0.0.5"))}, "'x': must be an IPv4 address"),
        ({"name": "../x"}, "namespace"),
    ],
)
def test_bad_input_is_refused_by_one_message_and_makes_nothing(unique: str, change: dict[str, Any], told: str) -> None:
    options = {
        "name": unique,
        "interfaces": [{"name": "lan", "address": "10.0.0.1/24"}],
        "external": {"address": "172.16.0.2/24", "gateway": "172.16.0.1"},
        **change,
    }
    answer = run_module("router", **options)
    assert answer["failed"]
    assert told in answer["msg"]
    assert f"qrouter-{unique}" not in sh("ip", "netns", "list")


def test_a_floating_ip_needs_a_router(unique: str) -> None:
    options: dict[str, Any] = {"floating_ip_address": "172.16.0.5", "fixed_ip_address": "10.0.0.5"}
    assert "no namespace" in run_module("floating_ip", router=unique, **options)["msg"]
    assert "router: is required" in run_module("floating_ip", **options)["msg"]
