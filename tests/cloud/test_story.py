"""The life of a cloud on a lab of its own, told in order: each test begins where the one before it ended.

site.yml is run as a person runs it, on inventories that grow and shrink; what is asserted is the state of the nodes,
seen with the nodes' own tools. Nodes that fail are in ``test_story_faults.py``, which goes on where this file ends.
"""

from __future__ import annotations

import os
import re
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import foreign
import pytest
import snapshots
from cloud_lab import FLOATING_IP, HERE, INVENTORIES, NODES, STATE, WORLD, CloudLab, eventually
from guest_ping import GuestPing

SECOND_RUN_S = 20.0  # on a machine of 2 cores that has nothing else to do
REFUSED = sorted((INVENTORIES / "refused").glob("*.yml"))

Remembered = dict[str, Any]


# --- the first run ---------------------------------------------------------------------------------------------------


def test_a_check_of_nodes_that_have_nothing_yet_works_and_changes_nothing(
    lab: CloudLab, remembered: Remembered
) -> None:
    foreign.place(lab)
    untouched = snapshots.take(lab, NODES)
    check = lab.site("--check", "--diff").must_be_well()
    assert {node for node, *_ in check.changes()} == set(NODES)
    snapshots.must_be_the_same(lab, untouched)
    remembered["checked"] = check.changes()


def test_the_first_run_makes_what_the_check_foretold(lab: CloudLab, remembered: Remembered) -> None:
    run = lab.site().must_be_well()
    assert run.changes() == remembered["checked"]
    foreign.intrude(lab)
    remembered["foreign"] = foreign.seen(lab)


def test_a_second_run_changes_nothing_and_is_quick(
    lab: CloudLab, record_property: Callable[[str, object], None], capsys: pytest.CaptureFixture[str]
) -> None:
    run = lab.site().must_be_well()
    waiting = max(1.0, os.getloadavg()[0] / (os.cpu_count() or 1))  # processes that want each processor
    with capsys.disabled():
        print(f"\nsecond run: {run.seconds:.1f} s, with {waiting:.1f} processes for each processor")
    record_property("second run, seconds", run.seconds)
    assert run.changed_counts() == dict.fromkeys(NODES, 0)
    assert run.changes() == []
    assert run.plan() == []
    assert run.seconds < SECOND_RUN_S * waiting


def test_guests_boot(lab: CloudLab, remembered: Remembered, ping: GuestPing) -> None:
    lab.learn()
    lab.wait_for_guests("vm1", "vm2")
    assert lab.address("vm2") == ping.address
    ping.start()
    remembered["two guests"] = snapshots.take(lab, NODES)
    assert remembered["two guests"]["compute1"]["domains"]["instance-00000001"]["state"] == "running"


@pytest.mark.parametrize("inventory", REFUSED, ids=lambda path: path.stem)
def test_bad_inventories_are_refused_with_key_value_and_rule(lab: CloudLab, inventory: Path) -> None:
    header = b"QFI\xfb" + struct.pack(">IQIIQ", 3, 0, 0, 16, 2 << 30) + bytes(512)
    (STATE / "huge.qcow2").write_bytes(header)
    run = lab.site("-i", str(inventory))
    assert run.rc != 0
    expected = re.findall(r"^# refused: (.+)$", inventory.read_text(), re.MULTILINE)
    assert expected
    said = "\n".join(str(one.get("msg")) for one in run.results)
    assert [line for line in expected if line not in said] == [], said
    assert run.changed_tasks() == []
    assert "no node was touched" in run.output


def test_what_was_refused_touched_no_node(lab: CloudLab, remembered: Remembered) -> None:
    snapshots.must_be_the_same(lab, remembered["two guests"])


# --- a network and a guest more --------------------------------------------------------------------------------------


def test_check_and_diff_list_exactly_what_the_run_then_changes(lab: CloudLab) -> None:
    lab.layers = ("base", "internal2")
    check = lab.site("--check", "--diff").must_be_well()
    run = lab.site("--diff").must_be_well()
    assert len(run.changes()) > 30
    assert check.changes() == run.changes()
    assert check.changed_tasks() == run.changed_tasks()
    assert (
        check.plan()
        == run.plan()
        == [
            "+ network internal2 (vxlan 1, 10.22.22.0/24)",
            "~ router r1 interfaces: +internal2",
            next(line for line in run.plan() if line.startswith("+ instance vm3 ")),
        ]
    )
    for result in [*check.results, *run.results]:
        if result.get("changes"):
            headers = [one["after_header"] for one in result["diff"]]
            assert headers == [f"{one['kind']} {one['name']}" for one in result["changes"]]
    lab.learn()


def test_nothing_was_lost_meanwhile(ping: GuestPing) -> None:
    assert ping.must_have_lost_nothing() > 20


# --- what guests can do, and cannot ----------------------------------------------------------------------------------


@pytest.fixture(scope="session")
def world(lab: CloudLab) -> str:
    """URL of a server behind the external network that tells everyone the address it sees."""
    program = (HERE.parents[1] / "playbooks/files/whoami.py").read_text()
    outside = lab.node("outside1")
    unit = "systemd-run --unit=cloud-test-world --collect --property=RuntimeMaxSec=1800 python3 -c %s %s %s"
    outside.run_expect([0], unit, program, *WORLD)
    return f"http://{WORLD[0]}:{WORLD[1]}/"


def test_guests_get_name_key_and_user_data_from_the_metadata_service(lab: CloudLab) -> None:
    lab.wait_for_guests("vm3")
    for name in ("vm1", "vm2", "vm3"):
        guest = lab.guest(name)  # which the keypair's key has let in
        assert guest.check_output("hostname") == name
        assert guest.check_output("cat /var/user-data-ran") == f"user data of {name}"
        assert (
            guest.check_output("timeout 20 wget -q -O - http://169.254.169.254/latest/meta-data/local-hostname") == name
        )
        instance = lab.summary["instances"][name]
        console = lab.node(instance["node"]).file(f"/var/lib/headworks/instances/{instance['id']}/console.log")
        assert "ssh keys: 1" in console.content_string


def test_every_guest_has_its_address_by_a_lease_of_dnsmasq(lab: CloudLab) -> None:
    for name, network in (("vm1", "internal"), ("vm2", "internal"), ("vm3", "internal2")):
        nic = lab.summary["instances"][name]["nics"][0]
        leases = lab.node("network1").file(lab.summary["networks"][network]["leases"]).content_string
        assert re.search(rf"^\d+ {nic['mac']} {nic['addresses'][0]} {name} ", leases, re.MULTILINE)
        assert f"inet {nic['addresses'][0]}/24" in lab.guest(name).check_output("ip address show eth0")


@pytest.mark.parametrize(
    ("guest", "target"),
    [("vm1", "vm2"), ("vm2", "vm1"), ("vm1", "vm3"), ("vm3", "vm1")],
    ids=[
        "vm1 by the tunnel to vm2",
        "vm2 by the tunnel to vm1",
        "vm1 by the router to vm3",
        "vm3 by the router to vm1",
    ],
)
def test_guests_ping_each_other(lab: CloudLab, guest: str, target: str) -> None:
    assert lab.loses_nothing(guest, target)


def test_the_outside_sees_the_floating_ip_or_the_router(lab: CloudLab, world: str) -> None:
    fetch = f"timeout 20 wget -q -O - {world}"
    assert lab.guest("vm1").check_output(fetch) == FLOATING_IP
    for guest in ("vm2", "vm3"):
        assert lab.guest(guest).check_output(fetch) == lab.summary["routers"]["r1"]["external_ips"][0]


def test_ssh_from_outside_to_the_floating_ip_is_vm1(lab: CloudLab) -> None:
    assert lab.guest_from_outside(FLOATING_IP).check_output("hostname") == "vm1"


def test_a_guest_cannot_read_the_metadata_of_another(lab: CloudLab) -> None:
    vm1 = lab.summary["instances"]["vm1"]
    lies = " ".join(
        f"--header '{name}: {value}'"
        for name, value in (
            ("X-Forwarded-For", vm1["nics"][0]["addresses"][0]),
            ("X-Real-IP", vm1["nics"][0]["addresses"][0]),
            ("X-Instance-ID", vm1["id"]),
            ("X-Tenant-ID", "admin"),
        )
    )
    url = "http://169.254.169.254"
    vm2 = lab.guest("vm2")
    assert vm2.check_output(f"timeout 20 wget -q -O - {lies} {url}/latest/meta-data/local-hostname") == "vm2"
    assert "user data of vm2" in vm2.check_output(
        f"cat /var/user-data-ran; timeout 20 wget -q -O - {lies} {url}/latest/user-data"
    )


# --- a node more -----------------------------------------------------------------------------------------------------


def expected_on_the_others(lab: CloudLab) -> dict[str, list[tuple[str, str, str]]]:
    """What compute3 with vm4 means for the other nodes: a tunnel to it, the way to vm4, vm4's lease and metadata."""
    nic = lab.summary["instances"]["vm4"]["nics"][0]
    address = nic["addresses"][0]
    network = lab.summary["networks"]["internal"]["id"]
    tunnel = "gre-" + "".join(f"{int(part):02x}" for part in lab.summary["nodes"]["compute3"]["tunnel_ip"].split("."))
    for_all = [
        ("flow", f"br-tun table=0,priority=1,in_port={{{tunnel}}}", "add"),
        ("flow", f"br-tun table=20,priority=2,dl_vlan=N,dl_dst={nic['mac']}", "add"),
        ("flow", f"br-tun table=21,priority=1,arp,dl_vlan=N,arp_tpa={address},arp_op=1", "add"),
        ("flow", "br-tun table=22,priority=1,dl_vlan=N", "change"),
        ("ovs_port", tunnel, "add"),
    ]
    network_node = [("dhcp", network, "change"), ("metadata", f"{network}/{address}", "add")]
    return {
        "controller1": [],
        "network1": sorted([*for_all, *network_node]),
        "compute1": for_all,
        "compute2": for_all,
    }


def test_a_bare_node_joins_and_the_others_change_only_for_it(
    lab: CloudLab, ping: GuestPing, remembered: Remembered
) -> None:
    lab.layers = ("base", "internal2", "spare", "vm4")
    check = lab.site("--check", "--diff").must_be_well()
    run = lab.site().must_be_well()
    assert check.changes() == run.changes()
    lab.learn()
    assert lab.summary["instances"]["vm4"]["node"] == "compute3"
    changed: dict[str, list[tuple[str, str, str]]] = {node: [] for node in NODES}
    for node, kind, name, verb in run.changes():
        if node != "compute3":
            changed[node].append((kind, re.sub(r"dl_vlan=\d+", "dl_vlan=N", name), verb))
    assert changed == expected_on_the_others(lab)
    ping.must_have_lost_nothing()


def test_the_new_node_has_only_the_tunnels_it_needs(lab: CloudLab) -> None:
    ports = lab.node("compute3").check_output("ovs-vsctl list-ports br-tun").split()
    assert sorted(ports) == ["gre-0a62000b", "gre-0a620015", "gre-0a620016", "patch-int"]


def test_the_new_nodes_guest_talks(lab: CloudLab) -> None:
    lab.wait_for_guests("vm4")
    assert lab.loses_nothing("vm4", "vm2")
    assert lab.loses_nothing("vm4", "vm3")


# --- less again ------------------------------------------------------------------------------------------------------


def test_a_network_and_guests_that_are_taken_out_leave_no_trace(
    lab: CloudLab, ping: GuestPing, remembered: Remembered
) -> None:
    lab.layers = ("base", "spare")
    check = lab.site("--check").must_be_well()
    run = lab.site().must_be_well()
    assert check.changes() == run.changes()
    assert "- network internal2" in "\n".join(run.plan())
    ping.must_have_lost_nothing()
    snapshots.must_be_the_same(lab, remembered["two guests"])
    left = lab.snapshot("compute3")
    assert left["domains"] == {}
    assert [path for path in left["files"] if "/instances/" in path] == []
    assert left["ovs"]["ports"] == {"br-int": ["patch-tun"], "br-phy": ["eth1"], "br-tun": ["patch-int"]}


def test_foreign_things_are_as_they_were(lab: CloudLab, remembered: Remembered) -> None:
    assert foreign.seen(lab) == remembered["foreign"]


def test_a_node_that_leaves_the_inventory_changes_nothing_on_the_others(
    lab: CloudLab, ping: GuestPing, remembered: Remembered
) -> None:
    lab.layers = ("base",)
    run = lab.site().must_be_well()
    assert run.changes() == []
    ping.must_have_lost_nothing()
    ping.stop()
    eventually(lambda: lab.guest("vm1").run("pidof ping").rc != 0, "the ping has ended")
