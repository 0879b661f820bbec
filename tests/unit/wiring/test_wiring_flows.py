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
    assert flows_for(tap_of(port), found) == []


def test_an_allowed_pair_with_its_own_mac_is_allowed_with_this_mac_only() -> None:
    cloud = s1_cloud()
    pair = ("02:00:00:00:00:09", "10.18.0.9/32")
    port = replace(cloud.instances["vm1"].ports[0], allowed_pairs=(pair,))
    vm1 = replace(cloud.instances["vm1"], ports=(port,))
    found = flows_for(tap_of(port), sections(replace(cloud, instances={**cloud.instances, "vm1": vm1}), "compute1"))
    about = [line for line in found if "nw_src=10.18.0.9" in line or "arp_spa=10.18.0.9" in line]
    assert len(about) == 2
    assert all("dl_src=02:00:00:00:00:09" in line and port.mac not in line for line in about)


@pytest.mark.parametrize(("kind", "table"), [("gre", 3), ("vxlan", 4), ("geneve", 6)])
def test_each_tunnel_type_has_its_table(kind: str, table: int) -> None:
    found = lines(sections(s1_cloud(kind=kind), "compute1"))
    assert f"br-tun table=0,priority=1,in_port={{{kind}-0a000120}} actions=resubmit(,{table})" in found
    assert (
        f"br-tun table={table},priority=1,tun_id=0x2 actions=push_vlan:0x8100,set_field:4097->vlan_vid,resubmit(,10)"
        in found
    )


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
