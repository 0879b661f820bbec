"""The complete node state documents: their sections, plain data that decodes to the records, equal for equal clouds."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
from clouds import make_instance, make_network, make_port, provider_cloud, s1_cloud
from headworks.plan.cloud import OWNER_INSTANCE, Cloud
from headworks.state.codec import decode, encode
from headworks.state.dhcp import DhcpNetwork
from headworks.state.disks import Disk
from headworks.state.document import SECTIONS, VERSION
from headworks.state.domains import Domain
from headworks.state.images import BaseImage
from headworks.state.l3 import NamespaceConfig
from headworks.state.links import Link
from headworks.state.metadata import InstanceMetadata, MetadataProxy
from headworks.state.namespaces import Namespace
from headworks.state.nft import NftTable
from headworks.state.openflow import Flow
from headworks.state.ovs import OvsBridge, OvsPort
from headworks.state.retention import Retention
from headworks.state.underlay import NicAttachment
from headworks.wiring.documents import wire, wire_node
from headworks.wiring.errors import WiringError
from headworks.wiring.node_view import Index

RECORDS = {
    "netns": Namespace,
    "links": Link,
    "ovs_bridges": OvsBridge,
    "ovs_ports": OvsPort,
    "underlay": NicAttachment,
    "flows": Flow,
    "l3": NamespaceConfig,
    "nft": NftTable,
    "dhcp": DhcpNetwork,
    "metadata_proxies": MetadataProxy,
    "metadata": InstanceMetadata,
    "images": BaseImage,
    "retention": Retention,
    "disks": Disk,
    "domains": Domain,
}
CLOUDS = [s1_cloud(), s1_cloud("system", "vxlan"), provider_cloud()]


def test_every_node_has_a_document_with_every_section() -> None:
    documents = wire(s1_cloud())
    assert list(documents) == ["compute1", "compute2", "controller1", "network1"]
    for name, document in documents.items():
        assert (document["version"], document["cloud"], document["node"]) == (VERSION, "lab", name)
        assert tuple(document["sections"]) == SECTIONS


@pytest.mark.parametrize("cloud", CLOUDS)
def test_documents_are_json_that_the_records_read_back_unchanged(cloud: Cloud) -> None:
    for document in wire(cloud).values():
        assert json.loads(json.dumps(document)) == document
        for section, records in document["sections"].items():
            assert [encode(decode(RECORDS[section], record)) for record in records] == records


@pytest.mark.parametrize("cloud", CLOUDS)
def test_names_are_unique_within_a_section(cloud: Cloud) -> None:
    for document in wire(cloud).values():
        for section, records in document["sections"].items():
            names = [
                (record["name"] if "name" in record else decode(RECORDS[section], record).name, record.get("family"))
                for record in records
            ]
            assert len(names) == len(set(names))


def test_a_node_that_is_only_a_controller_gets_empty_sections() -> None:
    assert not any(wire(s1_cloud())["controller1"]["sections"].values())


def test_the_order_of_declarations_does_not_change_a_document() -> None:
    cloud = s1_cloud()
    turned = replace(
        cloud,
        nodes=dict(reversed(list(cloud.nodes.items()))),
        networks=dict(reversed(list(cloud.networks.items()))),
        instances=dict(reversed(list(cloud.instances.items()))),
        dhcp_ports=dict(reversed(list(cloud.dhcp_ports.items()))),
    )
    assert json.dumps(wire(turned)) == json.dumps(wire(cloud))


def test_one_node_can_be_wired_alone() -> None:
    assert wire_node(Index.of(s1_cloud()), "compute2") == wire(s1_cloud())["compute2"]


def test_a_network_on_another_node_does_not_change_a_document() -> None:
    cloud = s1_cloud()
    vlans = {**cloud.nodes["compute2"].local_vlans, "third": 7}
    third = make_network("third", "gre", "10.30.0.0/24", "10.30.0.1", segmentation_id=9)
    guest = make_instance("vm9", 0x99, "compute2", make_port("third", "10.30.0.3", "compute2", OWNER_INSTANCE, "vm9"))
    more = replace(
        cloud,
        nodes={**cloud.nodes, "compute2": replace(cloud.nodes["compute2"], local_vlans=vlans)},
        networks={**cloud.networks, "third": third},
        instances={**cloud.instances, "vm9": guest},
    )
    before, after = wire(cloud), wire(more)
    assert {name for name in before if before[name] != after[name]} == {"compute2"}


def test_port_on_a_node_without_a_vlan_for_its_network_is_an_error_that_names_both() -> None:
    cloud = s1_cloud()
    node = replace(cloud.nodes["compute1"], local_vlans={})
    with pytest.raises(WiringError, match=r"compute1.*internal"):
        wire(replace(cloud, nodes={**cloud.nodes, "compute1": node}))
