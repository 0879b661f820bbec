"""The flows of the sample clouds are those in ``golden/``, and their number grows only as expected.

``pytest --update-golden`` is deliberately missing: a change of the data path is written into the files by hand.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from clouds import make_instance, make_port, provider_cloud, s1_cloud, tap_of
from headworks.plan.cloud import OWNER_INSTANCE, Cloud
from states import Sections, sections

GOLDEN = Path(__file__).parent / "golden"


def lines(found: Sections) -> list[str]:
    """Return a line per flow, as ovs-ofctl prints it, with names of ports; sorted by bridge, table and priority."""
    flows = sorted(found["flows"], key=lambda flow: (flow["bridge"], flow["table"], -flow["priority"], flow["match"]))
    return [
        f"{flow['bridge']} table={flow['table']},priority={flow['priority']}"
        f"{',' + flow['match'] if flow['match'] else ''} actions={flow['actions']}"
        for flow in flows
    ]


@pytest.mark.parametrize(
    ("name", "cloud", "node"),
    [
        ("s1_compute2", s1_cloud(), "compute2"),
        ("s1_network1", s1_cloud(), "network1"),
        ("provider_all1", provider_cloud(), "all1"),
    ],
)
def test_flows_are_those_of_the_golden_file(name: str, cloud: Cloud, node: str) -> None:
    assert lines(sections(cloud, node)) == (GOLDEN / f"{name}.flows").read_text().splitlines()


def flows_for(port: str, found: Sections) -> list[str]:
    """Return the flows whose text has the name of the port."""
    return [line for line in lines(found) if f"{{{port}}}" in line]


def test_a_guest_port_has_ten_flows(s1: Callable[[str], Sections]) -> None:
    port = make_port("internal", "10.18.0.3", "compute1", OWNER_INSTANCE, "vm1")
    assert len(flows_for(tap_of(port), s1("compute1"))) == 10


def test_a_port_without_port_security_has_no_spoof_guards() -> None:
    cloud = s1_cloud()
    port = replace(cloud.instances["vm1"].ports[0], port_security=False)
    vm1 = replace(cloud.instances["vm1"], ports=(port,))
    found = sections(replace(cloud, instances={**cloud.instances, "vm1": vm1}), "compute1")
    assert [line for line in lines(found) if f"in_port={{{tap_of(port)}}}" in line] == []
    assert any(line.startswith("br-int table=61") for line in flows_for(tap_of(port), found)), "it may serve DHCP"


def test_an_allowed_pair_with_its_own_mac_is_allowed_with_this_mac_only() -> None:
    cloud = s1_cloud()
    pair = ("02:00:00:00:00:09", "10.18.0.9/32")
    port = replace(cloud.instances["vm1"].ports[0], allowed_pairs=(pair,))
    vm1 = replace(cloud.instances["vm1"], ports=(port,))
    found = flows_for(tap_of(port), sections(replace(cloud, instances={**cloud.instances, "vm1": vm1}), "compute1"))
    about = [line for line in found if "nw_src=10.18.0.9" in line or "arp_spa=10.18.0.9" in line]
    assert len(about) == 2
    assert all("dl_src=02:00:00:00:00:09" in line and port.mac not in line for line in about)


def with_pairs(*pairs: tuple[str, str]) -> Sections:
    """The sections of compute2 of S1, where vm2 has allowed pairs."""
    cloud = s1_cloud()
    port = replace(cloud.instances["vm2"].ports[0], allowed_pairs=pairs)
    vm2 = replace(cloud.instances["vm2"], ports=(port,))
    return sections(replace(cloud, instances={**cloud.instances, "vm2": vm2}), "compute2")


def test_pairs_that_contain_no_address_of_another_port_add_no_flow_for_other_ports() -> None:
    plain, own, free = (
        [line for line in lines(with_pairs(*pairs)) if "reg6=" in line.partition(" actions=")[0]]
        for pairs in ((), (("", "10.18.0.4/32"),), (("", "10.18.0.96/28"),))
    )
    assert plain == own == free


def test_a_pair_with_addresses_of_other_ports_adds_two_flows_for_each_of_them() -> None:
    plain, wide = (lines(with_pairs(*pairs)) for pairs in ((), (("", "10.18.0.0/24"),)))
    assert len(wide) == len(plain) + 3 + 2 * 3, "vm1, the router and the DHCP server; three flows are the pair's own"
    network2 = [line for line in wide if "reg6=0x2" in line.partition(" actions=")[0] and "table=24" in line]
    assert network2 == [], "another network may have the same addresses"


def test_a_pair_with_the_mac_of_another_port_of_the_network_is_left_out() -> None:
    vm1 = s1_cloud().instances["vm1"].ports[0]
    assert lines(with_pairs((vm1.mac, "10.18.0.200/32"))) == lines(with_pairs())
    assert lines(with_pairs(("fa:16:3e:16:16:03", "10.18.0.200/32"))) != lines(with_pairs()), "of another network"


@pytest.mark.parametrize(("kind", "table"), [("gre", 3), ("vxlan", 4), ("geneve", 6)])
def test_each_tunnel_type_has_its_table(kind: str, table: int) -> None:
    found = lines(sections(s1_cloud(kind=kind), "compute1"))
    assert f"br-tun table=0,priority=1,in_port={{{kind}-0a000120}} actions=resubmit(,{table})" in found
    assert (
        f"br-tun table={table},priority=1,tun_id=0x2 actions=push_vlan:0x8100,set_field:4097->vlan_vid,resubmit(,10)"
        in found
    )


def tunnel_flows(cloud: Cloud, node: str, tunnel_id: int) -> list[tuple[str, bool]]:
    """Return (tunnel port or "", whether packets are accepted) for each flow of a tunnel id, by priority."""
    found = []
    for line in lines(sections(cloud, node)):
        match, _, actions = line.partition(" actions=")
        if f",tun_id={tunnel_id:#x}" in match:
            found.append((match.partition("in_port=")[2], actions != "drop"))
    return found


def test_a_tunnel_id_is_accepted_from_nodes_of_the_network_by_the_shorter_list() -> None:
    cloud = s1_cloud()
    assert tunnel_flows(cloud, "compute2", 2) == [("", True)], "all tunnels lead to nodes of the network"
    assert tunnel_flows(cloud, "compute2", 3) == [("{gre-0a000115}", True)]
    nodes = dict(cloud.nodes)
    ports = []
    for number in range(4):
        nodes[f"compute{5 + number}"] = replace(
            nodes["compute1"],
            name=f"compute{5 + number}",
            management_ip=f"10.0.0.{50 + number}",
            tunnel_ip=f"10.0.1.{50 + number}",
        )
        ports.append(
            make_port("internal2", f"10.22.22.{50 + number}", f"compute{5 + number}", OWNER_INSTANCE, f"many{number}")
        )
    more = {
        f"many{number}": make_instance(f"many{number}", 0x50 + number, ports[number].nodes[0], ports[number])
        for number in range(4)
    }
    cloud = replace(cloud, nodes=nodes, instances={**cloud.instances, **more})
    assert tunnel_flows(cloud, "compute2", 3) == [("{gre-0a00011f}", False), ("", True)]
    assert len(tunnel_flows(cloud, "compute2", 2)) == 2


def underlay(cloud: Cloud, bridge: str) -> list[str]:
    """Return the flows of ``bridge`` on network1 for tunnel packets, shortened."""
    found = [line for line in lines(sections(cloud, "network1")) if line.startswith(f"{bridge} table=0,priority=1")]
    return [line.removeprefix(f"{bridge} table=0,priority=") for line in found]


def test_a_userspace_node_accepts_tunnel_packets_only_on_the_bridge_of_the_tunnel_nic() -> None:
    cloud = s1_cloud("netdev", "vxlan")
    drop = "10,udp,nw_dst=10.0.1.21,tp_dst=4789 actions=drop"
    accept = [f"11,udp,nw_src=10.0.1.{peer},nw_dst=10.0.1.21,tp_dst=4789 actions=NORMAL" for peer in (31, 32)]
    assert underlay(cloud, "br-phy") == [*accept, drop]
    assert underlay(cloud, "br-ex") == [drop]
    shared = replace(cloud.nodes["network1"], tunnel_interface="eth2")
    found = underlay(replace(cloud, nodes={**cloud.nodes, "network1": shared}), "br-ex")
    assert found == ["12,udp,in_port={phy-br-ex},nw_dst=10.0.1.21,tp_dst=4789 actions=drop", *accept, drop]
    assert underlay(s1_cloud("system", "vxlan"), "br-ex") == [], "nftables does it"


def test_br_tun_has_no_arp_or_unicast_flows_for_local_ports(s1: Callable[[str], Sections]) -> None:
    found = "\n".join(line for line in lines(s1("compute1")) if line.startswith("br-tun"))
    assert "fa:16:3e:12:00:04" in found
    assert "fa:16:3e:12:00:03" not in found, "vm1 is on compute1 itself"


def test_one_more_remote_guest_adds_its_two_entries_and_changes_nothing_else() -> None:
    cloud = s1_cloud()
    port = make_port("internal", "10.18.0.77", "compute2", OWNER_INSTANCE, "vm77")
    more = replace(cloud, instances={**cloud.instances, "vm77": make_instance("vm77", 0x77, "compute2", port)})
    before, after = (set(lines(sections(state, "compute1"))) for state in (cloud, more))
    assert before < after
    assert sorted(line.split(",priority")[0] for line in after - before) == ["br-tun table=20", "br-tun table=21"]


def test_flow_names_are_unique_even_if_an_allowed_pair_repeats_the_address() -> None:
    cloud = s1_cloud()
    port = replace(cloud.instances["vm1"].ports[0], allowed_pairs=(("", "10.18.0.3/32"),))
    vm1 = replace(cloud.instances["vm1"], ports=(port,))
    found = sections(replace(cloud, instances={**cloud.instances, "vm1": vm1}), "compute1")
    assert len(flows_for(tap_of(port), found)) == 10
