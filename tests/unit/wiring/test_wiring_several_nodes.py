"""A port on several nodes: each of these nodes gets its records, and the other nodes send to each of them."""

from __future__ import annotations

from dataclasses import replace

import pytest
from clouds import identity, s1_cloud
from headworks.plan.cloud import Cloud, Port
from states import Sections, sections

ROUTER = identity("port internal 10.18.0.1")
ROUTER_MAC = "fa:16:3e:12:00:01"
GUEST_MAC = "fa:16:3e:12:00:03"
TO = {"network1": "gre-0a000115", "network2": "gre-0a000116", "compute1": "gre-0a00011f", "compute2": "gre-0a000120"}


def two_network_nodes() -> Cloud:
    """Return S1 with its router and the router's ports on network1 and on network2."""
    cloud = s1_cloud()
    second = replace(cloud.nodes["network1"], name="network2", management_ip="10.0.0.22", tunnel_ip="10.0.1.22")
    router, both = cloud.routers["r1"], ("network1", "network2")
    assert router.gateway is not None
    router = replace(
        router,
        nodes=both,
        gateway=replace(router.gateway, nodes=both),
        interfaces=tuple(replace(port, nodes=both) for port in router.interfaces),
    )
    return replace(cloud, nodes={**cloud.nodes, "network2": second}, routers={"r1": router})


def migrating_guest() -> Cloud:
    """Return S1 during the migration of vm1 from compute1 to compute2. Both nodes have its port."""
    cloud = s1_cloud()
    vm1 = cloud.instances["vm1"]
    port: Port = replace(vm1.ports[0], nodes=("compute1", "compute2"))
    return replace(cloud, instances={**cloud.instances, "vm1": replace(vm1, ports=(port,))})


def flow(found: Sections, table: int, *words: str) -> list[str]:
    """Return the actions of a br-tun table's flows whose match contains all words."""
    flows = [flow for flow in found["flows"] if (flow["bridge"], flow["table"]) == ("br-tun", table)]
    return [flow["actions"] for flow in flows if all(word in flow["match"] for word in words)]


@pytest.mark.parametrize("node", ["network1", "network2"])
def test_each_node_of_the_router_has_its_namespace_its_links_and_its_ports(node: str) -> None:
    found = sections(two_network_nodes(), node)
    assert f"qrouter-{identity('router r1')}" in {namespace["name"] for namespace in found["netns"]}
    links = {link["name"]: link for link in found["links"]}
    assert links[f"tap{ROUTER[:11]}"]["peer"] == f"qr-{ROUTER[:11]}"
    assert f"tap{ROUTER[:11]}" in {port["name"] for port in found["ovs_ports"]}


def test_unicast_and_floods_go_to_every_node_of_a_port() -> None:
    found = sections(two_network_nodes(), "compute1")
    encapsulate = "pop_vlan,set_field:0x2->tun_id"
    both = f"output:{{{TO['network1']}}},output:{{{TO['network2']}}}"
    assert flow(found, 20, f"dl_dst={ROUTER_MAC}") == [f"{encapsulate},{both}"]
    assert flow(found, 22, "dl_vlan=1") == [f"{encapsulate},output:{{{TO['compute2']}}},{both}"]
    assert {TO["network1"], TO["network2"]} <= {port["name"] for port in found["ovs_ports"]}


def test_arp_for_the_port_is_answered_on_nodes_that_do_not_have_it() -> None:
    cloud = two_network_nodes()
    assert len(flow(sections(cloud, "compute1"), 21, "arp_tpa=10.18.0.1,")) == 1
    for node in ("network1", "network2"):
        assert flow(sections(cloud, node), 21, "arp_tpa=10.18.0.1,") == []


@pytest.mark.parametrize(("node", "other"), [("network1", "network2"), ("network2", "network1")])
def test_node_that_has_the_port_sends_to_the_other_nodes_that_have_it(node: str, other: str) -> None:
    (actions,) = flow(sections(two_network_nodes(), node), 20, f"dl_dst={ROUTER_MAC}")
    assert actions.endswith(f"->tun_id,output:{{{TO[other]}}}")


def test_migrating_guest_has_its_tap_on_both_nodes_and_is_defined_only_on_its_own_node() -> None:
    cloud = migrating_guest()
    tap = f"tap{identity('port internal 10.18.0.3')[:11]}"
    for node in ("compute1", "compute2"):
        found = sections(cloud, node)
        assert tap in {link["name"] for link in found["links"]}
        assert any(f"in_port={{{tap}}}" in flow["match"] for flow in found["flows"]), (
            "the node has its spoof guards, too"
        )
    assert "vm1" not in {domain["title"] for domain in sections(cloud, "compute2")["domains"]}
    (actions,) = flow(sections(cloud, "network1"), 20, f"dl_dst={GUEST_MAC}")
    assert actions.endswith(f"output:{{{TO['compute1']}}},output:{{{TO['compute2']}}}")
