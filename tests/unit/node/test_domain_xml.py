"""A guest's XML: it has the meaning of its record, and changes keep what libvirt or an operator added."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from dataclasses import replace

import pytest
from headworks.node.compute import domain_xml
from headworks.node.compute.domain_edit import with_desired
from headworks.node.compute.domains import DomainSubsystem
from headworks.node.subsystem import Cause, Change, Reading
from headworks.state.domains import Domain, DomainDisk, Nic
from headworks.state.links import Link

NIC = Nic(tap="tap0d1c2b3a-44", mac="fa:16:3e:00:00:01", mtu=1458, offload=False)
HOME = "/var/lib/headworks/instances/6f1f5a3e-58f1-5d42-a2a1-55f4f4f1a001"
ROOT = DomainDisk(f"{HOME}/disk", "vda")
DATA = DomainDisk("/srv/data.raw", "vdb", "scsi", "raw")
DOMAIN = Domain(
    name="6f1f5a3e-58f1-5d42-a2a1-55f4f4f1a001",
    domain="instance-00000001",
    title="vm1",
    vcpus=1,
    memory_mb=64,
    disks=(ROOT,),
    nics=(NIC,),
    cloud="lab",
    console_log=f"{HOME}/console.log",
)
# The XML of DOMAIN as versions before the list of disks built it. Nodes have guests that such a version defined.
BUILT_EARLIER = (
    '<domain xmlns:headworks="https://headworks.invalid/xmlns/instance/1" type="qemu"><name>instance-00000001</name>'
    "<uuid>6f1f5a3e-58f1-5d42-a2a1-55f4f4f1a001</uuid><title>vm1</title>"
    '<metadata><headworks:instance cloud="lab" /></metadata><memory unit="MiB">64</memory><vcpu>1</vcpu>'
    '<os><type>hvm</type><boot dev="hd" /></os><features><acpi /><apic /></features>'
    '<clock offset="utc" /><on_poweroff>destroy</on_poweroff><on_reboot>restart</on_reboot>'
    '<on_crash>destroy</on_crash><devices><disk type="file" device="disk">'
    f'<driver name="qemu" type="qcow2" discard="unmap" /><source file="{HOME}/disk" />'
    '<target dev="vda" bus="virtio" /></disk><interface type="ethernet"><mac address="fa:16:3e:00:00:01" />'
    '<target dev="tap0d1c2b3a-44" managed="no" /><model type="virtio" /><mtu size="1458" /><driver name="qemu">'
    '<host csum="off" gso="off" tso4="off" tso6="off" ecn="off" ufo="off" />'
    '<guest csum="off" tso4="off" tso6="off" ecn="off" ufo="off" /></driver></interface>'
    f'<serial type="pty"><log file="{HOME}/console.log" append="off" /><target port="0" /></serial>'
    '<rng model="virtio"><backend model="random">/dev/urandom</backend></rng>'
    '<video><model type="none" /></video></devices></domain>'
)


def same(desired: Domain, actual: Domain) -> bool:
    """Return whether the engine changes nothing on a guest."""
    return DomainSubsystem("lab").same(desired, actual)


def test_parsing_the_built_xml_gives_the_same_record() -> None:
    assert domain_xml.parse(domain_xml.build(DOMAIN), "running") == DOMAIN


def test_memory_in_kibibytes_is_converted() -> None:
    text = domain_xml.build(DOMAIN).replace('<memory unit="MiB">64<', '<memory unit="KiB">65536<')
    assert domain_xml.parse(text, "running").memory_mb == 64


def test_nic_offloads_are_off_only_if_the_record_says_so() -> None:
    assert domain_xml.build_nic(NIC).find("driver/host").get("csum") == "off"
    assert domain_xml.build_nic(replace(NIC, offload=True)).find("driver") is None


def test_the_tap_is_not_managed_by_libvirt() -> None:
    assert domain_xml.build_nic(NIC).find("target").attrib == {"dev": "tap0d1c2b3a-44", "managed": "no"}


def test_the_console_log_is_the_file_in_the_record() -> None:
    log = ET.fromstring(domain_xml.build(DOMAIN)).find("devices/serial/log")
    assert log.get("file") == f"{HOME}/console.log"
    assert ET.fromstring(domain_xml.build(replace(DOMAIN, console_log=""))).find("devices/serial/log") is None


def test_the_xml_of_a_guest_with_one_disk_equals_that_of_earlier_versions() -> None:
    assert domain_xml.build(DOMAIN) == BUILT_EARLIER


def test_a_guest_that_an_earlier_version_defined_is_not_changed() -> None:
    actual = domain_xml.parse(BUILT_EARLIER, "running")
    assert actual == DOMAIN
    assert same(DOMAIN, actual)


def test_a_second_disk_has_its_own_device_bus_and_format() -> None:
    domain = replace(DOMAIN, disks=(ROOT, DATA))
    text = domain_xml.build(domain)
    assert domain_xml.parse(text, "running") == domain
    first, second = ET.fromstring(text).findall("devices/disk")
    assert first.find("target").attrib == {"dev": "vda", "bus": "virtio"}
    assert second.find("target").attrib == {"dev": "vdb", "bus": "scsi"}
    assert second.find("driver").get("type") == "raw"


def test_a_disk_is_added_to_an_existing_definition_and_removed_from_it() -> None:
    both = replace(DOMAIN, disks=(ROOT, DATA))
    more = with_desired(BUILT_EARLIER, both)
    assert domain_xml.parse(more, "running") == both
    assert domain_xml.parse(with_desired(more, DOMAIN), "running") == DOMAIN
    assert "/srv/data.raw" not in with_desired(more, DOMAIN)


def test_a_disk_in_another_file_is_no_difference_and_keeps_its_file_and_address() -> None:
    address = '<address type="pci" slot="0x07" />'
    text = BUILT_EARLIER.replace("</disk>", f"{address}</disk>").replace(f"{HOME}/disk", f"{HOME}/disk.snap1")
    assert same(DOMAIN, domain_xml.parse(text, "running"))
    changed = with_desired(text, replace(DOMAIN, memory_mb=128))
    assert domain_xml.parse(changed, "running").disks[0].path == f"{HOME}/disk.snap1"
    assert address in changed


def test_a_disk_that_an_operator_attached_is_not_a_difference_and_stays() -> None:
    theirs = '<disk type="file" device="disk"><source file="/srv/theirs" /><target dev="vdz" bus="virtio" /></disk>'
    text = BUILT_EARLIER.replace("</disk>", f"</disk>{theirs}")
    assert same(DOMAIN, domain_xml.parse(text, "running"))
    for desired in (DOMAIN, replace(DOMAIN, disks=(ROOT, DATA)), replace(DOMAIN, title="web1")):
        assert "/srv/theirs" in with_desired(text, desired)


def test_only_the_devices_of_disks_are_compared() -> None:
    actual = domain_xml.parse(BUILT_EARLIER, "running")
    assert same(replace(DOMAIN, disks=(replace(ROOT, bus="sata", format="raw"),)), actual)
    assert same(replace(DOMAIN, disks=(replace(ROOT, path="/srv/disk"),)), actual)
    assert not same(replace(DOMAIN, disks=(ROOT, DATA)), actual)
    both = replace(DOMAIN, disks=(ROOT, DATA))
    assert same(both, replace(both, disks=(DATA, ROOT)))
    assert not same(DOMAIN, both)


def test_the_console_log_of_an_existing_guest_is_not_compared() -> None:
    assert same(DOMAIN, replace(DOMAIN, console_log=""))


def test_a_guest_without_a_mark_gets_the_mark_of_the_cloud() -> None:
    for text in (BUILT_EARLIER.replace("headworks:instance", "headworks:other"), BUILT_EARLIER.replace('"lab"', '""')):
        assert domain_xml.parse(text, "running").cloud == ""
        assert domain_xml.parse(with_desired(text, DOMAIN), "running").cloud == "lab"


def test_a_guest_keeps_its_cloud_or_lack_of_a_mark_when_a_module_changes_it() -> None:
    without_cloud = replace(DOMAIN, cloud="", title="web1")
    assert domain_xml.parse(with_desired(BUILT_EARLIER, without_cloud), "running").cloud == "lab"
    foreign = BUILT_EARLIER.replace('<headworks:instance cloud="lab" />', "")
    assert "headworks:instance" not in with_desired(foreign, without_cloud)


def test_a_change_of_memory_keeps_other_devices_in_the_definition() -> None:
    text = domain_xml.build(DOMAIN).replace("<devices>", "<devices><watchdog model='i6300esb'/>")
    changed = with_desired(text, replace(DOMAIN, memory_mb=128, vcpus=2, title="web1"))
    assert ET.fromstring(changed).find("devices/watchdog") is not None
    assert domain_xml.parse(changed, "running") == replace(DOMAIN, memory_mb=128, vcpus=2, title="web1")


def test_a_nic_is_found_by_its_tap() -> None:
    text = domain_xml.build(DOMAIN)
    assert NIC.mac in (domain_xml.find_nic(text, NIC.tap) or "")
    assert domain_xml.find_nic(text, "tapelsewhere") is None


THEIR_NIC = "<interface type='network'><source network='default'/><mac address='52:54:00:00:00:01'/></interface>"


def test_a_nic_on_a_network_of_libvirt_is_not_a_difference_and_stays() -> None:
    text = BUILT_EARLIER.replace("</devices>", f"{THEIR_NIC}</devices>")
    assert same(DOMAIN, domain_xml.parse(text, "running"))
    assert "52:54:00:00:00:01" in with_desired(text, replace(DOMAIN, nics=()))


def test_a_nic_is_added_changed_in_place_and_removed() -> None:
    address = '<address type="pci" slot="0x03" />'
    text = BUILT_EARLIER.replace("</interface>", f"{address}</interface>")
    for nic in (replace(NIC, mtu=1400), replace(NIC, mac="fa:16:3e:00:00:09"), replace(NIC, offload=True)):
        changed = replace(DOMAIN, nics=(nic, replace(NIC, tap="tapffffffff-ff")))
        edited = with_desired(text, changed)
        assert domain_xml.parse(edited, "running") == changed
        assert address in edited
        assert with_desired(edited, DOMAIN).count("<interface") == 1
        assert domain_xml.parse(with_desired(edited, DOMAIN), "running") == DOMAIN
    assert "<interface" not in with_desired(text, replace(DOMAIN, nics=()))


def test_the_mark_says_whether_the_guest_is_protected() -> None:
    protected = replace(DOMAIN, protected=True)
    text = with_desired(BUILT_EARLIER, protected)
    assert domain_xml.parse(text, "running") == protected
    assert domain_xml.parse(domain_xml.build(protected), "running") == protected
    assert domain_xml.parse(with_desired(text, DOMAIN), "running") == DOMAIN
    assert not same(DOMAIN, protected)


def test_without_a_word_on_the_protection_it_stays_as_it_is() -> None:
    silent, protected = replace(DOMAIN, protected=None), replace(DOMAIN, protected=True)
    assert same(silent, protected)
    assert same(silent, DOMAIN)
    assert domain_xml.parse(with_desired(domain_xml.build(protected), silent), "running").protected is True


def live(text: str, **changes: object) -> Domain:
    """Return DOMAIN as it is read while it runs with the live XML ``text``."""
    found = domain_xml.parse_live(text, {nic.tap for nic in DOMAIN.nics}, {disk.target for disk in DOMAIN.disks})
    return replace(DOMAIN, live=replace(found, **changes))


def test_a_running_guest_without_a_desired_nic_or_with_a_dead_one_differs() -> None:
    assert same(DOMAIN, live(BUILT_EARLIER))
    assert not same(DOMAIN, live(with_desired(BUILT_EARLIER, replace(DOMAIN, nics=()))))
    assert not same(DOMAIN, live(BUILT_EARLIER, dead=(NIC.tap,)))
    assert same(replace(DOMAIN, state="paused"), replace(live(BUILT_EARLIER, dead=(NIC.tap,)), state="paused"))


def test_a_nic_that_an_operator_switched_off_is_known_by_its_link() -> None:
    assert domain_xml.switched_off_nics(BUILT_EARLIER) == frozenset()
    down = BUILT_EARLIER.replace("</interface>", "<link state='down'/></interface>")
    assert domain_xml.switched_off_nics(down) == {NIC.tap}


@pytest.mark.parametrize(("kind", "undone"), [("tap", False), ("bridge", True)])
def test_a_tap_that_an_earlier_change_recreates_makes_its_running_guest_a_change(kind: str, undone: bool) -> None:
    change = Change("link", NIC.tap, Link(NIC.tap, kind), Link(NIC.tap, "tap", mtu=1400))
    subsystem, expected = DomainSubsystem("lab"), {DOMAIN.name: Cause.DEVICE_RECREATED} if undone else {}
    desired = {DOMAIN.name: DOMAIN}
    assert subsystem.undone_by([change], desired, Reading({DOMAIN.name: live(BUILT_EARLIER)})).causes == expected
    assert subsystem.undone_by([change], desired, Reading({DOMAIN.name: DOMAIN})).causes == {}


def test_a_nic_that_a_running_guest_did_not_release_differs_and_one_attached_by_hand_does_not() -> None:
    ours = replace(DOMAIN, nics=(NIC, replace(NIC, tap="tapffffffff-ff")))
    theirs = replace(DOMAIN, nics=(NIC, replace(NIC, tap="tap-by-hand")))
    assert not same(DOMAIN, live(with_desired(BUILT_EARLIER, ours)))
    assert same(DOMAIN, live(with_desired(BUILT_EARLIER, theirs)))
    assert same(DOMAIN, live(BUILT_EARLIER.replace("</devices>", f"{THEIR_NIC}</devices>")))


def test_a_disk_that_a_running_guest_did_not_release_differs_and_one_attached_by_hand_does_not() -> None:
    both = with_desired(BUILT_EARLIER, replace(DOMAIN, disks=(ROOT, DATA)))
    assert not same(DOMAIN, live(both))
    assert same(DOMAIN, live(both.replace(' disks="vda vdb"', "")))


def test_a_running_guest_with_another_mtu_or_size_than_its_definition_is_no_difference() -> None:
    bigger = replace(DOMAIN, vcpus=4, memory_mb=512, nics=(replace(NIC, mtu=1400),))
    assert same(DOMAIN, live(with_desired(BUILT_EARLIER, bigger)))


def test_markup_in_a_title_is_escaped() -> None:
    hostile = replace(DOMAIN, title="</title><devices>")
    assert domain_xml.parse(domain_xml.build(hostile), "running").title == "</title><devices>"
