"""The registries of firewall drivers, mechanisms and port owners, tested with invented entries."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import get_args

import pytest
from clouds import s1_cloud, tap_of
from headworks.control.summary import summarize
from headworks.model.cloud import CloudModel
from headworks.plan.cloud import OWNER_INSTANCE, Cloud, Port
from headworks.state.links import Link
from headworks.state.nft import NftChain, NftTable
from headworks.state.openflow import Flow
from headworks.wiring import documents
from headworks.wiring.documents import AVAILABLE
from headworks.wiring.errors import WiringError
from headworks.wiring.firewall.interface import Pipeline, Stage
from headworks.wiring.firewall.registry import FIREWALLS
from headworks.wiring.firewall.unfiltered import Unfiltered
from headworks.wiring.mechanism.interface import Sections
from headworks.wiring.mechanism.registry import MECHANISMS
from headworks.wiring.metadata_tree import MetadataTree
from headworks.wiring.node_view import NodeView
from states import sections

OUT1, OUT2, IN1 = Stage("rules_out", 72), Stage("track_out", 71), Stage("rules_in", 82)
VM1 = s1_cloud().instances["vm1"].ports[0]


class FlowFirewall(Unfiltered):
    """A driver that filters by flows: two stages for packets from a guest, a stage for packets to it."""

    name = "made up"
    from_guest: Sequence[Stage] = (OUT2, OUT1)
    to_guest: Sequence[Stage] = (IN1,)

    def flows(self, view: NodeView, pipeline: Pipeline) -> list[Flow]:
        """Return a flow per stage that sends all packets to the next stage."""
        return [Flow(pipeline.bridge, stage.table, 0, "", pipeline.after(stage)) for stage in (OUT2, OUT1, IN1)]


class BridgeFirewall(Unfiltered):
    """A driver that puts a bridge of its own between the guest and the switch."""

    name = "made up"

    def switch_device(self, port: Port) -> str:
        """Return the bridge's uplink."""
        return f"qvo{port.id[:11]}"

    def links(self, port: Port, mtu: int, master: str) -> list[Link]:
        """Return the tap, its bridge, and the pair that connects the bridge to the switch."""
        bridge = f"qbr{port.id[:11]}"
        return [
            Link(bridge, "bridge", mtu),
            Link(self.guest_device(port), "tap", mtu, master=bridge),
            Link(self.switch_device(port), "veth", mtu, peer=f"qvb{port.id[:11]}", master=master),
        ]

    def nft_tables(self, view: NodeView) -> list[NftTable]:
        """Return a table, on every node."""
        return [NftTable("", "bridge", chains=(NftChain("guests"),))]


class Bridges:
    """A mechanism of Linux bridges alone."""

    name = "made up"
    vif_type = "bridge"

    def master(self, view: NodeView, port: Port) -> str:
        """Return the bridge of the port's network."""
        return f"brq-{port.network}"

    def sections(self, view: NodeView) -> Sections:
        """Return a bridge for each network, and None for the section of the NICs."""
        return {"links": [Link(f"brq-{network.name}", "bridge") for network in view.networks], "underlay": None}


def with_driver(monkeypatch: pytest.MonkeyPatch, driver: Unfiltered) -> Cloud:
    """Return S1 with an invented firewall driver."""
    monkeypatch.setitem(FIREWALLS, "made up", driver)
    return replace(s1_cloud(), firewall_driver="made up")


def actions(cloud: Cloud, node: str, table: int, words: str = "") -> set[str]:
    """Return the actions of a br-int table's flows whose match contains ``words``."""
    flows = [flow for flow in sections(cloud, node)["flows"] if (flow["bridge"], flow["table"]) == ("br-int", table)]
    return {flow["actions"] for flow in flows if words in flow["match"]}


def test_the_present_drivers_add_no_stage_and_no_flow() -> None:
    """No driver enforces security groups. If a driver starts to, replace this test by tests of its flows."""
    for driver in FIREWALLS.values():
        assert (tuple(driver.from_guest), tuple(driver.to_guest)) == ((), ())
    assert sections(replace(s1_cloud(), firewall_driver="none"), "compute1") == sections(s1_cloud(), "compute1")


def test_packets_that_pass_the_spoof_guards_go_through_the_drivers_stages(monkeypatch: pytest.MonkeyPatch) -> None:
    cloud = with_driver(monkeypatch, FlowFirewall())
    into, beyond = "resubmit(,71)", "resubmit(,58)"
    tap = f"in_port={{{tap_of(VM1)}}}"
    assert actions(cloud, "compute1", 26, f"ip,{tap}") == {into}
    assert actions(cloud, "compute1", 26, "tp_src=68") == {into}, "DHCP discovery is filtered as well"
    assert actions(cloud, "compute1", 24, "arp_spa=10.18.0.3") == {into}
    assert actions(cloud, "compute1", 24, f"icmp6,{tap}") == {"resubmit(,25)"}, "between guards nothing changes"
    assert actions(cloud, "compute1", 71) == {"resubmit(,72)"}
    assert actions(cloud, "compute1", 72) == {beyond}


def test_packets_that_no_guarded_guest_sends_skip_the_stages_from_guests(monkeypatch: pytest.MonkeyPatch) -> None:
    cloud = with_driver(monkeypatch, FlowFirewall())
    flows = sections(cloud, "network1")["flows"]
    sorting = {flow["match"]: flow["actions"] for flow in flows if (flow["bridge"], flow["table"]) == ("br-int", 0)}
    assert sorting[""] == "resubmit(,58)"
    assert sorting["in_port={int-br-ex},vlan_tci=0x0000/0x1fff"].endswith(",resubmit(,58)")


def test_all_packets_go_through_the_stages_to_guests_before_they_are_switched(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    discovery = "resubmit(,61)"  # to DHCP servers, which no driver protects
    assert actions(s1_cloud(), "compute1", 60) == {"NORMAL", discovery}
    cloud = with_driver(monkeypatch, FlowFirewall())
    assert actions(cloud, "compute1", 60) == {"resubmit(,82)", discovery}
    assert actions(cloud, "compute1", 82) == {"NORMAL"}


@pytest.mark.parametrize(
    ("stage", "taken"), [(Stage("mine", 25), "table 25"), (Stage("mine", 23), "table 23"), (Stage("sort", 70), "sort")]
)
def test_driver_whose_table_or_stage_name_is_in_use_is_refused(
    monkeypatch: pytest.MonkeyPatch, stage: Stage, taken: str
) -> None:
    driver = FlowFirewall()
    driver.to_guest = (stage,)
    with pytest.raises(WiringError, match=f"cloud_firewall_driver: 'made up': {taken}: must belong to one stage only"):
        sections(with_driver(monkeypatch, driver), "compute1")


def test_guest_device_and_switch_device_can_differ(monkeypatch: pytest.MonkeyPatch) -> None:
    cloud = with_driver(monkeypatch, BridgeFirewall())
    found, guest, switch = sections(cloud, "compute1"), tap_of(VM1), f"qvo{VM1.id[:11]}"
    assert [link["name"] for link in found["links"]] == [f"qbr{VM1.id[:11]}", guest, switch]
    access = [port["name"] for port in found["ovs_ports"] if "external_ids" in port]
    assert access == [switch]
    text = " ".join(flow["match"] for flow in found["flows"])
    assert f"{{{switch}}}" in text
    assert f"{{{guest}}}" not in text
    assert [nic["tap"] for nic in found["domains"][0]["nics"]] == [guest]
    assert guest in MetadataTree(cloud).files(cloud.instances["vm1"])["openstack/latest/network_data.json"]
    assert summarize(cloud)["instances"]["vm1"]["nics"][0]["tap"] == guest
    assert "bridge" in {table["family"] for table in found["nft"]}


def test_router_and_dhcp_ports_do_not_use_the_firewall_driver(monkeypatch: pytest.MonkeyPatch) -> None:
    before, after = (sections(cloud, "network1") for cloud in (s1_cloud(), with_driver(monkeypatch, BridgeFirewall())))
    assert {section for section in before if before[section] != after[section]} == {"nft"}


def test_another_mechanism_returns_its_own_sections(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(MECHANISMS, "made up", Bridges())
    cloud = replace(s1_cloud(), l2_mechanism="made up")
    found = sections(cloud, "compute1")
    assert found["links"] == [
        {"name": tap_of(VM1), "kind": "tap", "mtu": 1458, "master": "brq-internal"},
        {"name": "brq-internal", "kind": "bridge"},
    ]
    assert not any(found[section] for section in ("ovs_bridges", "ovs_ports", "flows", "nft"))
    assert "underlay" not in found
    assert {link.get("master") for link in sections(cloud, "network1")["links"] if link["kind"] == "veth"} == {
        "brq-ext",
        "brq-internal",
        "brq-internal2",
    }
    data = MetadataTree(cloud).files(cloud.instances["vm1"])["openstack/latest/network_data.json"]
    assert '"type": "bridge"' in data


@pytest.mark.parametrize(
    ("field", "known"), [("l2_mechanism", "openvswitch"), ("firewall_driver", "none, openvswitch")]
)
def test_unknown_driver_is_an_error_that_names_the_key_the_value_and_the_rule(field: str, known: str) -> None:
    cloud = replace(s1_cloud(), **{field: "pigeons"})
    with pytest.raises(WiringError, match=f"^cloud_{field}: 'pigeons': must be one of {known}$"):
        documents.wire(cloud)


def test_registries_have_only_what_the_model_knows() -> None:
    registries = {"cloud_l2_mechanism": MECHANISMS, "cloud_firewall_driver": FIREWALLS}
    assert {key: set(names) for key, names in AVAILABLE.items()} == {
        key: set(known) for key, known in registries.items()
    }
    for key, registry in registries.items():
        assert set(registry) <= set(get_args(CloudModel.model_fields[key.removeprefix("cloud_")].annotation))
        assert all(driver.name == name for name, driver in registry.items())


def test_unknown_owner_of_a_port_is_an_error_that_names_the_port_and_the_owner() -> None:
    cloud = s1_cloud()
    odd = replace(VM1, owner="network:pigeon")
    vm1 = replace(cloud.instances["vm1"], ports=(odd,))
    with pytest.raises(WiringError, match=rf"port {odd.id} of vm1 .*'network:pigeon'.*{OWNER_INSTANCE}"):
        documents.wire(replace(cloud, instances={**cloud.instances, "vm1": vm1}))


def test_only_the_mechanisms_own_package_names_its_bridges_and_flows() -> None:
    home = Path(documents.__file__).parent
    files = [path for path in home.rglob("*.py") if not path.is_relative_to(home / "mechanism/openvswitch")]
    assert len(files) > 15
    words = re.compile(r"br-(int|tun|phy)|open ?vswitch|\bovs|OvsPort", re.IGNORECASE)
    flows = re.compile(r"\bflows?\b|OpenFlow", re.IGNORECASE)
    for path in files:
        text, room = path.read_text(), path.relative_to(home).parts[0]
        if path.name != "registry.py" and path.name != "openvswitch.py":
            assert not words.search(text), path
        if room != "firewall":  # a driver may filter by flows
            assert not flows.search(text), path
