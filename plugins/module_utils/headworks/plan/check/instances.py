"""Checks of instances, images and flavors: every name must exist, and an image must fit its instance's flavor."""

from __future__ import annotations

from ...model.compute import InstanceModel, NicModel
from ..security_groups import DEFAULT_GROUP
from .context import Check


def check_instances(check: Check) -> None:
    """Check all images, instances with their NICs, and attached volumes."""
    _images(check)
    groups = {*check.cloud.security_groups, DEFAULT_GROUP}
    zones = {check.inventory.nodes[node].model.availability_zone for node in check.nodes_with("compute")}
    macs: dict[str, str] = {}
    for name, instance in check.inventory.instances.items():
        key = f"instances.{name}.instance_"
        _references(check, key, instance, groups, zones)
        _host(check, name, instance)
        _fits(check, key, instance)
        for index, nic in enumerate(instance.networks):
            _nic(check, f"{key}networks.{index}", nic, groups, macs)
    _volumes(check)


def _images(check: Check) -> None:
    for name, image in check.cloud.images.items():
        key, facts = f"cloud_images.{name}", check.images.get(name)
        if image.checksum is None and not (facts and facts.checksum):
            check.refuse(f"{key}.checksum", None, "is required when the control node does not have the file")
        if facts is None:
            continue
        declared, actual = image.checksum or "", facts.checksum
        if declared != actual and declared.partition(":")[0] == actual.partition(":")[0]:
            check.refuse(f"{key}.checksum", declared, f"does not match the file, whose checksum is {actual}")
        if facts.format and facts.format != image.format:
            check.refuse(f"{key}.format", image.format, f"does not match the file, whose format is {facts.format}")


def _references(check: Check, key: str, instance: InstanceModel, groups: set[str], zones: set[str]) -> None:
    cloud = check.cloud
    check.exists(f"{key}flavor", instance.flavor, "flavor", cloud.flavors)
    check.exists(f"{key}image", instance.image, "image", cloud.images)
    check.exists(f"{key}keypair", instance.keypair, "keypair", cloud.keypairs)
    check.exists(f"{key}project", instance.project, "project", cloud.projects)
    check.exists(f"{key}affinity_group", instance.affinity_group, "affinity group", cloud.affinity_groups)
    check.exists(f"{key}availability_zone", instance.availability_zone, "availability zone", zones)
    for index, group in enumerate(instance.security_groups):
        check.exists(f"{key}security_groups.{index}", group, "security group", groups)


def _host(check: Check, name: str, instance: InstanceModel) -> None:
    key, host = f"instances.{name}.instance_host", instance.host
    if host is None or not check.exists(key, host, "compute node", check.nodes_with("compute")):
        return
    before = check.before.instances.get(name)
    if before and before.node != host and before.node in check.nodes_with("compute"):
        check.refuse(
            key, host,
            f"instance {name} is on {before.node}, and moving it would lose its disk; "
            "to recreate it on another node, first run with instance_state: absent",
        )


def _fits(check: Check, key: str, instance: InstanceModel) -> None:
    flavor, image = check.cloud.flavors.get(instance.flavor), check.cloud.images.get(instance.image)
    if flavor is None or image is None:
        return
    where = f"flavor {instance.flavor}"
    if image.min_ram_mb > flavor.ram_mb:
        rule = f"needs {image.min_ram_mb} MB of memory; {where} has {flavor.ram_mb}"
        check.refuse(f"{key}image", instance.image, rule)
    if flavor.disk_gb == 0:
        return  # the disk gets the image's own size
    facts = check.images.get(instance.image)
    if image.min_disk_gb > flavor.disk_gb:
        rule = f"needs a disk of {image.min_disk_gb} GB; {where} has {flavor.disk_gb}"
        check.refuse(f"{key}image", instance.image, rule)
    elif facts and facts.virtual_size_bytes > flavor.disk_gb << 30:
        size = facts.virtual_size_bytes / (1 << 30)
        check.refuse(
            f"{key}image", instance.image,
            f"its virtual size is {size:.4g} GB, which exceeds the disk of {where}, {flavor.disk_gb} GB",
        )


def _nic(check: Check, key: str, nic: NicModel, groups: set[str], macs: dict[str, str]) -> None:
    check.exists(f"{key}.qos_policy", nic.qos_policy, "QoS policy", check.cloud.qos_policies)
    for index, group in enumerate(nic.security_groups or ()):
        check.exists(f"{key}.security_groups.{index}", group, "security group", groups)
    if nic.mac is not None:
        if nic.mac in macs:
            check.refuse(f"{key}.mac", nic.mac, f"is also the MAC of {macs[nic.mac]}; a MAC address must be unique")
        macs.setdefault(nic.mac, key)
    if not check.exists(f"{key}.network", nic.network, "network", check.cloud.networks):
        return
    subnets = check.cloud.networks[nic.network].subnets
    if nic.subnet is not None and nic.subnet not in subnets:
        check.problems.unknown(f"{key}.subnet", nic.subnet, "subnet", subnets, f" in network {nic.network}")


def _volumes(check: Check) -> None:
    holders: dict[str, str] = {}
    for name, instance in check.inventory.instances.items():
        for index, volume in enumerate(instance.volumes):
            key = f"instances.{name}.instance_volumes.{index}"
            check.exists(key, volume, "volume", check.cloud.volumes)
            if volume in holders:
                rule = f"is already attached to {holders[volume]}; a volume can be attached to one instance at a time"
                check.refuse(key, volume, rule)
            holders.setdefault(volume, name)
