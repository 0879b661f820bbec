"""The life of a cloud in its own lab. The order counts: each test begins with the state that the test before it left.

The tests run site.yml as a person does, with inventories that grow and shrink, and examine the nodes with the nodes'
own tools. What does not belong here: failing nodes (``test_story_faults.py``, which continues where this file ends).
"""

from __future__ import annotations

import json
import os
import re
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import foreign
import pytest
import snapshots
from cloud_lab import FLOATING_IP, HERE, INVENTORIES, NODES, STATE, WORLD, CloudLab
from guest_ping import GuestPing
from real_nodes import eventually

SECOND_RUN_S = 20.0  # on an idle machine with 2 cores
REFUSED = sorted((INVENTORIES / "refused").glob("*.yml"))

Recorded = dict[str, Any]


# --- the first run ---------------------------------------------------------------------------------------------------


def test_check_mode_on_bare_nodes_succeeds_and_changes_nothing(
    lab: CloudLab, recorded: Recorded
) -> None:
    foreign.place(lab)
    untouched = snapshots.take(lab, NODES)
    check = lab.site("--check", "--diff").must_succeed()
    assert {node for node, *_ in check.changes()} == set(NODES)
    snapshots.must_be_unchanged(lab, untouched)
    recorded["checked"] = check.changes()


def test_the_first_run_makes_exactly_the_changes_of_check_mode(lab: CloudLab, recorded: Recorded) -> None:
    run = lab.site().must_succeed()
    assert run.changes() == recorded["checked"]
    foreign.intrude(lab)
    recorded["foreign"] = foreign.state(lab)


def test_a_second_run_changes_nothing_and_is_quick(
    lab: CloudLab, record_property: Callable[[str, object], None], capsys: pytest.CaptureFixture[str]
) -> None:
    run = lab.site().must_succeed()
    waiting = max(1.0, os.getloadavg()[0] / (os.cpu_count() or 1))  # runnable processes for each processor
    with capsys.disabled():
        print(f"\nsecond run: {run.seconds:.1f} s, with {waiting:.1f} processes for each processor")
    record_property("second run, seconds", run.seconds)
    assert run.changed_counts() == dict.fromkeys(NODES, 0)
    assert run.changes() == []
    assert run.plan() == []
    assert run.seconds < SECOND_RUN_S * waiting


def test_guests_boot(lab: CloudLab, recorded: Recorded, ping: GuestPing) -> None:
    lab.read_summary()
    lab.wait_for_guests("vm1", "vm2")
    assert lab.address("vm2") == ping.address
    ping.start()
    recorded["two guests"] = snapshots.take(lab, NODES)
    assert recorded["two guests"]["compute1"]["domains"]["instance-00000001"]["state"] == "running"


@pytest.mark.parametrize("inventory", REFUSED, ids=lambda path: path.stem)
def test_invalid_inventories_are_refused_with_key_value_and_rule(lab: CloudLab, inventory: Path) -> None:
    header = b"QFI\xfb" + struct.pack(">IQIIQ", 3, 0, 0, 16, 2 << 30) + bytes(512)
    (STATE / "huge.qcow2").write_bytes(header)
    run = lab.site("-i", str(inventory))
    assert run.rc != 0
    expected = re.findall(r"^# refused: (.+)$", inventory.read_text(), re.MULTILINE)
    assert expected
    messages = "\n".join(str(result.get("msg")) for result in run.results)
    assert [line for line in expected if line not in messages] == [], messages
    assert run.changed_tasks() == []
    assert "no node was touched" in run.output


def test_the_refused_inventories_changed_no_node(lab: CloudLab, recorded: Recorded) -> None:
    snapshots.must_be_unchanged(lab, recorded["two guests"])


# --- a network and a guest are added ---------------------------------------------------------------------------------


def test_check_and_diff_list_exactly_what_the_run_then_changes(lab: CloudLab) -> None:
    lab.layers = ("base", "internal2")
    check = lab.site("--check", "--diff").must_succeed()
    run = lab.site("--diff").must_succeed()
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
            headers = [difference["after_header"] for difference in result["diff"]]
            assert headers == [f"{change['kind']} {change['name']}" for change in result["changes"]]
    lab.read_summary()


def test_the_running_ping_has_lost_no_packet(ping: GuestPing) -> None:
    assert ping.must_have_lost_no_packet() > 20


# --- what guests can and cannot do -----------------------------------------------------------------------------------


@pytest.fixture(scope="session")
def world(lab: CloudLab) -> str:
    """The URL of a server behind the external network that answers with the client's address."""
    program = (HERE.parents[1] / "playbooks/files/whoami.py").read_text()
    outside = lab.node("outside1")
    unit = "systemd-run --unit=cloud-test-world --collect --property=RuntimeMaxSec=1800 python3 -c %s %s %s"
    outside.run_expect([0], unit, program, *WORLD)
    return f"http://{WORLD[0]}:{WORLD[1]}/"


def test_guests_get_name_key_and_user_data_from_the_metadata_service(lab: CloudLab) -> None:
    lab.wait_for_guests("vm3")
    for name in ("vm1", "vm2", "vm3"):
        guest = lab.guest(name)  # logs in with the keypair's key
        assert guest.check_output("hostname") == name
        assert guest.check_output("cat /var/user-data-ran") == f"user data of {name}"
        assert (
            guest.check_output("timeout 20 wget -q -O - http://169.254.169.254/latest/meta-data/local-hostname") == name
        )
        instance = lab.summary["instances"][name]
        console = lab.node(instance["node"]).file(f"/var/lib/headworks/instances/{instance['id']}/console.log")
        assert "ssh keys: 1" in console.content_string


def test_dnsmasq_has_leased_every_guest_its_address(lab: CloudLab) -> None:
    for name, network in (("vm1", "internal"), ("vm2", "internal"), ("vm3", "internal2")):
        nic = lab.summary["instances"][name]["nics"][0]
        leases = lab.node("network1").file(lab.summary["networks"][network]["leases"]).content_string
        assert re.search(rf"^\d+ {nic['mac']} {nic['addresses'][0]} {name} ", leases, re.MULTILINE)
        assert f"inet {nic['addresses'][0]}/24" in lab.guest(name).check_output("ip address show eth0")


@pytest.mark.parametrize(
    ("guest", "target"),
    [("vm1", "vm2"), ("vm2", "vm1"), ("vm1", "vm3"), ("vm3", "vm1")],
    ids=[
        "vm1 to vm2 through the tunnel",
        "vm2 to vm1 through the tunnel",
        "vm1 to vm3 through the router",
        "vm3 to vm1 through the router",
    ],
)
def test_guests_ping_each_other(lab: CloudLab, guest: str, target: str) -> None:
    assert lab.pings_without_loss(guest, target)


def test_the_outside_sees_a_guest_as_its_floating_ip_or_as_the_router(lab: CloudLab, world: str) -> None:
    fetch = f"timeout 20 wget -q -O - {world}"
    assert lab.guest("vm1").check_output(fetch) == FLOATING_IP
    for guest in ("vm2", "vm3"):
        assert lab.guest(guest).check_output(fetch) == lab.summary["routers"]["r1"]["external_ips"][0]


def test_ssh_from_outside_to_the_floating_ip_reaches_vm1(lab: CloudLab) -> None:
    assert lab.guest_from_outside(FLOATING_IP).check_output("hostname") == "vm1"


def test_a_guest_cannot_read_the_metadata_of_another(lab: CloudLab) -> None:
    vm1 = lab.summary["instances"]["vm1"]
    forged = " ".join(
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
    assert vm2.check_output(f"timeout 20 wget -q -O - {forged} {url}/latest/meta-data/local-hostname") == "vm2"
    assert "user data of vm2" in vm2.check_output(
        f"cat /var/user-data-ran; timeout 20 wget -q -O - {forged} {url}/latest/user-data"
    )


# --- a node is added -------------------------------------------------------------------------------------------------


def expected_changes_of_other_nodes(lab: CloudLab) -> dict[str, list[tuple[str, str, str]]]:
    """The changes that compute3 and vm4 cause on the other nodes: a tunnel and its guard, flows to vm4, vm4's lease and
    metadata."""
    nic = lab.summary["instances"]["vm4"]["nics"][0]
    address = nic["addresses"][0]
    network = lab.summary["networks"]["internal"]["id"]
    tunnel_ips = {node: entry["tunnel_ip"] for node, entry in lab.summary["nodes"].items()}
    new = tunnel_ips["compute3"]
    tunnel = "gre-" + "".join(f"{int(part):02x}" for part in new.split("."))
    for_all = [
        ("flow", f"br-tun table=0,priority=1,in_port={{{tunnel}}}", "add"),
        ("flow", f"br-tun table=20,priority=2,dl_vlan=N,dl_dst={nic['mac']}", "add"),
        ("flow", f"br-tun table=21,priority=1,arp,dl_vlan=N,arp_tpa={address},arp_op=1", "add"),
        ("flow", "br-tun table=22,priority=1,dl_vlan=N", "change"),
        ("ovs_port", tunnel, "add"),
    ]
    network_node = [
        ("dhcp", network, "change"),
        ("metadata", f"{network}/{address}", "add"),
        ("nft", f"qdhcp-{network}", "change"),
    ]

    def guard(node: str) -> tuple[str, str, str]:
        match = f"ip,nw_src={new},nw_dst={tunnel_ips[node]},nw_proto=47"
        return ("flow", f"br-phy table=0,priority=11,{match}", "add")

    return {
        "controller1": [],
        "network1": sorted([guard("network1"), *for_all, *network_node]),
        "compute1": [guard("compute1"), *for_all],
        "compute2": [guard("compute2"), *for_all],
    }


def test_a_bare_node_joins_and_the_others_get_only_the_changes_for_it(
    lab: CloudLab, ping: GuestPing, recorded: Recorded
) -> None:
    lab.layers = ("base", "internal2", "spare", "vm4")
    check = lab.site("--check", "--diff").must_succeed()
    run = lab.site().must_succeed()
    assert check.changes() == run.changes()
    lab.read_summary()
    assert lab.summary["instances"]["vm4"]["node"] == "compute3"
    changed: dict[str, list[tuple[str, str, str]]] = {node: [] for node in NODES}
    for node, kind, name, verb in run.changes():
        if node != "compute3":
            changed[node].append((kind, re.sub(r"dl_vlan=\d+", "dl_vlan=N", name), verb))
    assert changed == expected_changes_of_other_nodes(lab)
    ping.must_have_lost_no_packet()


def test_the_new_node_has_only_the_tunnels_it_needs(lab: CloudLab) -> None:
    ports = lab.node("compute3").check_output("ovs-vsctl list-ports br-tun").split()
    assert sorted(ports) == ["gre-0a62000b", "gre-0a620015", "gre-0a620016", "patch-int"]


def test_the_guest_of_the_new_node_reaches_the_other_guests(lab: CloudLab) -> None:
    lab.wait_for_guests("vm4")
    assert lab.pings_without_loss("vm4", "vm2")
    assert lab.pings_without_loss("vm4", "vm3")


# --- network, guests and node are removed ----------------------------------------------------------------------------


def test_a_removed_network_and_removed_guests_leave_no_trace(
    lab: CloudLab, ping: GuestPing, recorded: Recorded
) -> None:
    lab.layers = ("base", "spare")
    check = lab.site("--check").must_succeed()
    run = lab.site().must_succeed()
    assert check.changes() == run.changes()
    assert "- network internal2" in "\n".join(run.plan())
    ping.must_have_lost_no_packet()
    snapshots.must_be_unchanged(lab, recorded["two guests"], allowed=snapshots.is_of_a_removed_guest)
    for node, name in (("compute1", "vm3"), ("compute3", "vm4")):
        if lab.summary["instances"][name]["node"] == node:
            uuid = lab.summary["instances"][name]["id"]
            kept = lab.node(node).check_output(f"ls /var/lib/headworks/removed/{uuid}.*").split()
            assert {"disk", "console.log", "domain.xml"} <= set(kept)
    left = lab.snapshot("compute3")
    assert left["domains"] == {}
    assert [path for path in left["files"] if "/instances/" in path] == []
    assert left["ovs"]["ports"] == {"br-int": ["patch-tun"], "br-phy": ["eth1"], "br-tun": ["patch-int"]}


def test_foreign_objects_are_unchanged(lab: CloudLab, recorded: Recorded) -> None:
    assert foreign.state(lab) == recorded["foreign"]


def test_lost_allocations_are_rebuilt_and_the_plan_names_all_changes(lab: CloudLab, ping: GuestPing) -> None:
    """``site`` compares the plan of each run with its changes."""
    file = STATE / "allocations.yml"
    before = json.loads(file.read_text())["cloud_allocations"]
    for path in (file, file.with_name("allocations.yml.prev")):
        path.unlink()
    run = lab.site().must_succeed()
    assert "is missing; the allocations (serial" in run.output
    assert run.changes() == []
    after = json.loads(file.read_text())["cloud_allocations"]
    parts = ("lineage", "networks", "routers", "instances", "vlans")
    assert {part: after[part] for part in parts} == {part: before[part] for part in parts}
    assert lab.site().must_succeed().changed_tasks() == []
    ping.must_have_lost_no_packet()


def test_a_node_that_leaves_the_inventory_changes_nothing_on_the_others(
    lab: CloudLab, ping: GuestPing, recorded: Recorded
) -> None:
    lab.layers = ("base",)
    run = lab.site().must_succeed()
    assert run.changes() == []
    ping.must_have_lost_no_packet()
    ping.stop()
    eventually(lambda: lab.guest("vm1").run("pidof ping").rc != 0, "the ping has ended")
