"""A guest's XML: what is built means what was asked, and small changes keep what libvirt or an operator added."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from dataclasses import replace

import pytest
from headworks.node.compute import domain_xml
from headworks.state.domains import Domain, Nic

NIC = Nic(tap="tap0d1c2b3a-44", mac="fa:16:3e:00:00:01", mtu=1458, offload=False)
DOMAIN = Domain(
    name="6f1f5a3e-58f1-5d42-a2a1-55f4f4f1a001",
    domain="instance-00000001",
    title="vm1",
    vcpus=1,
    memory_mb=64,
    disk="/var/lib/headworks/instances/6f1f5a3e-58f1-5d42-a2a1-55f4f4f1a001/disk",
    nics=(NIC,),
    cloud="lab",
)


def test_a_built_domain_reads_back_as_the_same_record() -> None:
    assert domain_xml.parse(domain_xml.build(DOMAIN), "running") == DOMAIN


def test_libvirts_kibibytes_mean_the_same_memory() -> None:
    text = domain_xml.build(DOMAIN).replace('<memory unit="MiB">64<', '<memory unit="KiB">65536<')
    assert domain_xml.parse(text, "running").memory_mb == 64


def test_offloads_are_off_on_the_userspace_datapath_only() -> None:
    assert domain_xml.build_nic(NIC).find("driver/host").get("csum") == "off"
    assert domain_xml.build_nic(replace(NIC, offload=True)).find("driver") is None


def test_the_tap_is_not_managed_by_libvirt() -> None:
    assert domain_xml.build_nic(NIC).find("target").attrib == {"dev": "tap0d1c2b3a-44", "managed": "no"}


def test_console_log_lies_beside_the_disk() -> None:
    log = ET.fromstring(domain_xml.build(DOMAIN)).find("devices/serial/log")
    assert log.get("file") == DOMAIN.disk.replace("/disk", "/console.log")


def test_changing_memory_keeps_what_else_is_in_the_definition() -> None:
    text = domain_xml.build(DOMAIN).replace("<devices>", "<devices><watchdog model='i6300esb'/>")
    changed = domain_xml.with_scalars(text, replace(DOMAIN, memory_mb=128, vcpus=2, title="web1"))
    assert ET.fromstring(changed).find("devices/watchdog") is not None
    assert domain_xml.parse(changed, "running") == replace(DOMAIN, memory_mb=128, vcpus=2, title="web1")


def test_a_nic_is_found_by_its_tap_or_named_as_missing() -> None:
    text = domain_xml.build(DOMAIN)
    assert NIC.mac in domain_xml.find_nic(text, NIC.tap)
    with pytest.raises(KeyError):
        domain_xml.find_nic(text, "tapelsewhere")


def test_markup_in_a_title_stays_text() -> None:
    hostile = replace(DOMAIN, title="</title><devices>")
    assert domain_xml.parse(domain_xml.build(hostile), "running").title == "</title><devices>"
