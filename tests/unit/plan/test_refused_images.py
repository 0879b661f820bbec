"""Invalid images are refused with a message that names key, value and rule."""

from __future__ import annotations

import pytest
from headworks.model.errors import PlanError
from headworks.plan.resolve import resolve
from inventories import SHA, facts_of, s1
from refusals import Change, Cloud, all_of, in_cloud, in_vm, messages_about

ONE_MESSAGE = {
    # Images
    "image with path and url": (
        in_cloud("images|nano|url", "https://example.org/nano.qcow2"),
        ": an image has exactly one of path and url",
    ),
    "image without path and url": (
        in_cloud("images|two", {"checksum": SHA}),
        "an image has exactly one of path and url",
    ),
    "image over ftp": (
        in_cloud("images|two", {"url": "ftp://example.org/x", "checksum": SHA}),
        "cloud_images.two.url: 'ftp://example.org/x': must be a URL that begins with https://, http:// or file://",
    ),
    "image without checksum": (in_cloud("images|two", {"url": "https://example.org/x"}), "must have a checksum"),
    "image with a short checksum": (in_cloud("images|nano|checksum", "sha256:abcd"), "must be sha256:<64 hex digits>"),
}


@pytest.mark.parametrize(("change", "expected"), ONE_MESSAGE.values(), ids=ONE_MESSAGE.keys())
def test_an_invalid_image_is_refused(change: Change, expected: str) -> None:
    messages = messages_about(change)
    assert len(messages) == 1, messages
    assert expected in messages[0]


def test_a_checksum_that_does_not_match_is_refused_with_both_digests() -> None:
    actual = "sha256:" + "cd" * 32
    messages = messages_about(
        lambda _: None, image_facts={"nano": {"checksum": actual, "virtual_size": 1, "format": "qcow2"}}
    )
    assert messages == [
        f"cloud_images.nano.checksum: '{SHA}': does not match the file, whose checksum is {actual}",
    ]


def test_an_image_of_another_format_is_refused() -> None:
    facts = {"nano": {"checksum": SHA, "virtual_size": 1, "format": "raw"}}
    messages = messages_about(lambda _: None, image_facts=facts)
    assert messages == ["cloud_images.nano.format: 'qcow2': does not match the file, whose format is raw"]


def test_an_image_whose_virtual_size_exceeds_the_flavors_disk_is_refused() -> None:
    def change(inventory: Cloud) -> None:
        in_cloud("flavors|m1.small", {"vcpus": 1, "ram_mb": 64, "disk_gb": 2})(inventory)
        in_vm("vm2", "flavor", "m1.small")(inventory)

    image = {"checksum": SHA, "format": "qcow2"}
    messages = messages_about(change, image_facts={"nano": {**image, "virtual_size": (2 << 30) + 1}})
    assert messages == [
        "instances.vm2.instance_image: 'nano': its virtual size is 2 GB, which exceeds the disk of "
        "flavor m1.small, 2 GB"
    ]
    assert messages_about(change, image_facts={"nano": {**image, "virtual_size": 2 << 30}}) == []


def test_a_flavor_smaller_than_the_images_minimum_is_refused() -> None:
    assert len(messages_about(in_cloud("images|nano|min_ram_mb", 128))) == 3
    assert len(messages_about(in_cloud("images|nano|min_disk_gb", 5))) == 0  # disk_gb 0: the disk has the image's size
    messages = messages_about(all_of(in_cloud("images|nano|min_disk_gb", 5), in_cloud("flavors|m1.nano|disk_gb", 4)))
    assert messages[0] == "instances.vm1.instance_image: 'nano': needs a disk of 5 GB; flavor m1.nano has 4"


def test_an_image_whose_file_is_on_the_control_node_needs_no_checksum_in_the_inventory() -> None:
    inventory = s1()
    inventory["cloud"]["cloud_images"]["nano"] = {"path": "/srv/nano.qcow2"}
    with pytest.raises(PlanError, match=r"cloud_images\.nano\.checksum: None: is required"):
        resolve(inventory, None, facts_of(inventory))
    cloud = resolve(inventory, None, facts_of(inventory), {"nano": {"checksum": SHA}}).cloud
    assert cloud.instances["vm1"].image.checksum == SHA
