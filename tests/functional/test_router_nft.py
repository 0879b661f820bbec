"""The plan's router in a real namespace: floating IPs, source NAT, hairpin, metadata filter; and nft's own spelling."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

import pytest
from clouds import identity, s1_cloud
from headworks.node.nft.language import parse_table
from headworks.plan.cloud import Cloud, FloatingIp
from headworks.wiring.documents import wire
from router_lab import RouterLab, nft_text, peer_seen, run

EXTERNAL, FLOATING1, FLOATING5 = "172.16.19.1", "172.16.19.232", "172.16.19.233"
METADATA = "169.254.169.254"
INTERNAL, INTERNAL2, EXT = 1, 2, 3


def cloud_with(**router: object) -> Cloud:
    """S1, with a second floating IP (of 10.18.0.5), the router changed by ``router``."""
    cloud = s1_cloud()
    second = FloatingIp(FLOATING5, "ext", "10.18.0.5", "vm5", identity(FLOATING5))
    r1 = replace(cloud.routers["r1"], floating_ips=(*cloud.routers["r1"].floating_ips, second))
    return replace(cloud, routers={"r1": replace(r1, **router)})  # type: ignore[arg-type]


def build(prefix: str, **router: object) -> RouterLab:
    """The router, four guests and an outside host that is the external gateway."""
    lab = RouterLab(wire(cloud_with(**router))["network1"], prefix)
    lab.up()
    lab.host("vm1", INTERNAL, "10.18.0.3/24", "10.18.0.1")
    lab.host("vm2", INTERNAL, "10.18.0.4/24", "10.18.0.1")
    lab.host("vm5", INTERNAL, "10.18.0.5/24", "10.18.0.1")
    lab.host("vm3", INTERNAL2, "10.22.22.3/24", "10.22.22.1")
    outside = lab.host("outside", EXT, "172.16.0.1/16")
    for hidden in ("10.18.0.0/24", "10.22.22.0/24", METADATA):
        run("ip", "-n", outside, "route", "add", hidden, "via", EXTERNAL)
    return lab


@pytest.fixture(scope="module")
def lab() -> Iterator[RouterLab]:
    """The router of S1, with source NAT."""
    router_lab = build("wrt")
    yield router_lab
    router_lab.down()


def seen(lab: RouterLab, client: str, target: str, server: str, **more: object) -> str:
    """``peer_seen`` between hosts of the lab, by their short names ("" = the router)."""
    names = [f"{lab.prefix}-{name}" if name else lab.netns for name in (client, server)]
    return peer_seen(names[0], target, names[1], **more)  # type: ignore[arg-type]


def refused(lab: RouterLab, client: str, target: str, server: str, **more: object) -> bool:
    """Whether the connection is not established within half a second."""
    try:
        seen(lab, client, target, server, seconds=0.5, **more)
    except TimeoutError:
        return True
    return False


@pytest.mark.parametrize(
    ("guest", "source"), [("vm1", FLOATING1), ("vm5", FLOATING5), ("vm2", EXTERNAL), ("vm3", EXTERNAL)]
)
def test_source_address_seen_outside_is_the_floating_ip_or_the_routers_address(
    lab: RouterLab, guest: str, source: str
) -> None:
    assert seen(lab, guest, "172.16.0.1", "outside") == source


def test_floating_ip_reaches_the_guest_and_keeps_the_outside_source(lab: RouterLab) -> None:
    assert seen(lab, "outside", FLOATING1, "vm1") == "172.16.0.1"
    assert seen(lab, "outside", FLOATING5, "vm5") == "172.16.0.1"


@pytest.mark.parametrize(
    ("guest", "source"), [("vm2", EXTERNAL), ("vm5", FLOATING5), ("vm3", EXTERNAL), ("vm1", FLOATING1)]
)
def test_hairpin_to_a_floating_ip_works_from_any_guest(lab: RouterLab, guest: str, source: str) -> None:
    assert seen(lab, guest, FLOATING1, "vm1") == source


def test_networks_behind_the_router_are_connected_without_nat(lab: RouterLab) -> None:
    assert seen(lab, "vm3", "10.18.0.3", "vm1") == "10.22.22.3"
    assert seen(lab, "vm1", "10.22.22.3", "vm3") == "10.18.0.3"


def test_router_itself_reaches_a_floating_ip(lab: RouterLab) -> None:
    assert seen(lab, "", FLOATING1, "vm1")


def test_outside_cannot_route_to_fixed_addresses_when_source_nat_is_on(lab: RouterLab) -> None:
    assert refused(lab, "outside", "10.18.0.4", "vm2")
    assert refused(lab, "outside", "10.18.0.3", "vm1")


def test_metadata_is_for_guests_only(lab: RouterLab) -> None:
    assert seen(lab, "vm1", METADATA, "", bind=METADATA, port=80) == "10.18.0.3"
    assert seen(lab, "vm3", METADATA, "", bind=METADATA, port=80) == "10.22.22.3"
    assert refused(lab, "outside", METADATA, "", bind=METADATA, port=80)
    assert refused(lab, "vm1", METADATA, "", bind=METADATA, port=8080), "only the proxy's own port is open"


def test_metadata_request_with_a_source_address_of_another_network_is_dropped(lab: RouterLab) -> None:
    """vm3 sends from an address of the other network; not even the first packet may reach the proxy."""
    drops = 'add rule ip headworks input ip saddr 10.18.0.99 counter comment "seen"'
    run("ip", "netns", "exec", lab.netns, "nft", drops)
    vm3 = f"{lab.prefix}-vm3"
    run("ip", "-n", vm3, "addr", "add", "10.18.0.99/32", "dev", "eth0")
    run("ip", "-n", vm3, "route", "add", METADATA, "via", "10.22.22.1", "src", "10.18.0.99")
    try:
        assert refused(lab, "vm3", METADATA, "", bind=METADATA, port=80)
        listed = run("ip", "netns", "exec", lab.netns, "nft", "list", "chain", "ip", "headworks", "input")
        assert re.search(r"10\.18\.0\.99 counter packets 0 ", listed)
    finally:
        run("ip", "-n", vm3, "route", "del", METADATA)
        run("ip", "-n", vm3, "addr", "del", "10.18.0.99/32", "dev", "eth0")


def test_no_host_answers_arp_for_the_metadata_address_on_a_network(lab: RouterLab) -> None:
    vm1 = f"{lab.prefix}-vm1"
    run("ip", "-n", vm1, "route", "add", METADATA, "dev", "eth0")
    try:
        with pytest.raises(OSError, match=r"No route|timed out"):
            seen(lab, "vm1", METADATA, "", bind=METADATA, port=80, seconds=4.0)
    finally:
        run("ip", "-n", vm1, "route", "del", METADATA, "dev", "eth0")


def test_without_source_nat_the_networks_are_reachable_from_outside() -> None:
    lab = build("wr2", enable_snat=False)
    try:
        assert seen(lab, "vm2", "172.16.0.1", "outside") == "10.18.0.4"
        assert seen(lab, "vm1", "172.16.0.1", "outside") == FLOATING1
        assert seen(lab, "outside", "10.18.0.4", "vm2") == "172.16.0.1"
        assert seen(lab, "outside", FLOATING1, "vm1") == "172.16.0.1"
        assert seen(lab, "vm2", FLOATING1, "vm1") == EXTERNAL, "a hairpin has to come back through the router"
    finally:
        lab.down()


@pytest.mark.parametrize(
    "router", [{}, {"enable_snat": False}, {"floating_ips": ()}, {"gateway": None, "floating_ips": ()}]
)
def test_nft_prints_the_rules_as_the_plan_writes_them(router: dict[str, object], unique: str) -> None:
    run("ip", "netns", "add", unique)
    try:
        for table in wire(cloud_with(**router))["network1"]["sections"]["nft"]:
            run("ip", "netns", "exec", unique, "nft", "flush", "ruleset")  # the namespace stands for several
            check_spelling(table, ["ip", "netns", "exec", unique, "nft"])
    finally:
        subprocess.run(["ip", "netns", "del", unique], check=True)


def check_spelling(table: Mapping[str, Any], nft: list[str]) -> None:
    """Load a table where ``nft`` runs, and compare its listing with the record."""
    family = table.get("family", "ip")
    run(*nft, "-f", "-", text=nft_text(table))
    listed = run(*nft, "list", "table", family, "headworks")
    chains = {
        name: [line.strip() for line in body.splitlines() if line.strip()]
        for name, body in re.findall(r"chain (\w+) \{\n(.*?)\n\t\}", listed, re.DOTALL)
    }
    assert chains == {chain["name"]: [chain["hook"], *chain["rules"]] for chain in table["chains"]}
    maps = {nft_map.name: (nft_map.type, nft_map.elements) for nft_map in parse_table(listed)[0]}
    assert maps == {
        nft_map["name"]: (nft_map["type"], nft_map.get("elements", {})) for nft_map in table.get("maps", ())
    }
