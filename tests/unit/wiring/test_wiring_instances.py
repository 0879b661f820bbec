"""Guests of a compute node."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from clouds import DIGEST, identity, s1_cloud
from states import Sections, sections


def test_guest_is_defined_with_its_names_its_disk_and_its_taps(s1: Callable[[str], Sections]) -> None:
    port = identity("port internal 10.18.0.3")
    home = f"/var/lib/headworks/instances/{identity('instance vm1')}"
    assert s1("compute1")["domains"] == [
        {
            "name": identity("instance vm1"),
            "domain": "instance-0000001e",
            "title": "vm1",
            "vcpus": 1,
            "memory_mb": 64,
            "disks": [{"path": f"{home}/disk", "target": "vda"}],
            "nics": [{"tap": f"tap{port[:11]}", "mac": "fa:16:3e:12:00:03", "mtu": 1458, "offload": False}],
            "cloud": "lab",
            "console_log": f"{home}/console.log",
        }
    ]


def test_offloads_stay_on_with_the_kernel_datapath() -> None:
    (guest,) = sections(s1_cloud("system"), "compute1")["domains"]
    assert "offload" not in guest["nics"][0]


def test_wanted_state_is_carried_through(s1: Callable[[str], Sections]) -> None:
    assert {domain["title"]: domain.get("state", "running") for domain in s1("compute2")["domains"]} == {
        "vm2": "running",
        "vm3": "stopped",
    }


def test_each_base_image_is_fetched_once(s1: Callable[[str], Sections]) -> None:
    assert s1("compute2")["images"] == [
        {
            "name": DIGEST,
            "image": "nano",
            "url": f"https://10.0.0.11:8443/images/{DIGEST}",
            "checksum": f"sha256:{DIGEST}",
        }
    ]


def test_disk_is_an_overlay_on_the_base_image(s1: Callable[[str], Sections]) -> None:
    assert s1("compute1")["disks"] == [{"name": identity("instance vm1"), "title": "vm1", "base": DIGEST}]


def test_a_protected_guest_is_protected_in_its_disk_and_its_domain() -> None:
    cloud = s1_cloud()
    protected = replace(cloud.instances["vm1"], protected=True)
    found = sections(replace(cloud, instances={**cloud.instances, "vm1": protected}), "compute1")
    assert [disk["protected"] for disk in found["disks"]] == [True]
    assert [domain["protected"] for domain in found["domains"]] == [True]


def test_compute_nodes_keep_what_is_left_of_removed_guests() -> None:
    cloud = replace(s1_cloud(), reclaim_after_days=3)
    assert sections(cloud, "compute1")["retention"] == [{"name": "removed", "days": 3}]
    assert sections(cloud, "network1")["retention"] == []
