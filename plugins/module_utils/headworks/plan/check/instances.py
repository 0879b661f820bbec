"""Checks of instances, and of images and flavors together: what they refer to, and whether it fits."""

from __future__ import annotations

from ...model.compute import InstanceModel, NicModel
from .context import Check

GROUP_DEFAULT = "default"


def check(it: Check) -> None:
    """All of them."""
    _images(it)
    groups = {*it.cloud.security_groups, GROUP_DEFAULT}
    zones = {it.inventory.nodes[one].model.availability_zone for one in it.nodes_with("compute")}
    macs: dict[str, str] = {}
    for name, instance in it.inventory.instances.items():
        key = f"instances.{name}.instance_"
        _references(it, key, instance, groups, zones)
        _host(it, name, instance)
        _fits(it, key, instance)
        for index, nic in enumerate(instance.networks):
            _nic(it, f"{key}networks.{index}", nic, groups, macs)
    _volumes(it)


def _images(it: Check) -> None:
    for name, image in it.cloud.images.items():
        key, facts = f"cloud_images.{name}", it.images.get(name)
        if image.checksum is None and not (facts and facts.checksum):
            it.bad(f"{key}.checksum", None, "is required where the file is not at hand to compute it from")
        if facts is None:
            continue
        wanted, there = image.checksum or "", facts.checksum
        if wanted != there and wanted.partition(":")[0] == there.partition(":")[0]:
            it.bad(f"{key}.checksum", wanted, f"does not match the file, whose checksum is {there}")
        if facts.format and facts.format != image.format:
            it.bad(f"{key}.format", image.format, f"does not match the file, whose format is {facts.format}")


def _references(it: Check, key: str, instance: InstanceModel, groups: set[str], zones: set[str]) -> None:
    cloud = it.cloud
    it.known(f"{key}flavor", instance.flavor, "flavor", cloud.flavors)
    it.known(f"{key}image", instance.image, "image", cloud.images)
    it.known(f"{key}keypair", instance.keypair, "keypair", cloud.keypairs)
    it.known(f"{key}project", instance.project, "project", cloud.projects)
    it.known(f"{key}affinity_group", instance.affinity_group, "affinity group", cloud.affinity_groups)
    it.known(f"{key}availability_zone", instance.availability_zone, "availability zone", zones)
    for index, group in enumerate(instance.security_groups):
        it.known(f"{key}security_groups.{index}", group, "security group", groups)


def _host(it: Check, name: str, instance: InstanceModel) -> None:
    key, host = f"instances.{name}.instance_host", instance.host
    if host is None or not it.known(key, host, "compute node", it.nodes_with("compute")):
        return
    before = it.before.instances.get(name)
    if before and before.node != host and before.node in it.nodes_with("compute"):
        it.bad(
            key, host,
            f"{name} lives on {before.node}, and moving it would lose its disk; "
            "set it absent and run first if that is what you want",
        )


def _fits(it: Check, key: str, instance: InstanceModel) -> None:
    flavor, image = it.cloud.flavors.get(instance.flavor), it.cloud.images.get(instance.image)
    if flavor is None or image is None:
        return
    where = f"flavor {instance.flavor}"
    if image.min_ram_mb > flavor.ram_mb:
        it.bad(f"{key}image", instance.image, f"needs {image.min_ram_mb} MB of memory; {where} has {flavor.ram_mb}")
    if flavor.disk_gb == 0:
        return  # the image's own size
    facts = it.images.get(instance.image)
    if image.min_disk_gb > flavor.disk_gb:
        it.bad(f"{key}image", instance.image, f"needs a disk of {image.min_disk_gb} GB; {where} has {flavor.disk_gb}")
    elif facts and facts.virtual_size_bytes > flavor.disk_gb << 30:
        size = facts.virtual_size_bytes / (1 << 30)
        it.bad(
            f"{key}image", instance.image,
            f"its virtual size is {size:.4g} GB, which exceeds the disk of {where}, {flavor.disk_gb} GB",
        )


def _nic(it: Check, key: str, nic: NicModel, groups: set[str], macs: dict[str, str]) -> None:
    it.known(f"{key}.qos_policy", nic.qos_policy, "QoS policy", it.cloud.qos_policies)
    for index, group in enumerate(nic.security_groups or ()):
        it.known(f"{key}.security_groups.{index}", group, "security group", groups)
    if nic.mac is not None:
        if nic.mac in macs:
            it.bad(f"{key}.mac", nic.mac, f"is also that of {macs[nic.mac]}; a MAC address must be unique")
        macs.setdefault(nic.mac, key)
    if not it.known(f"{key}.network", nic.network, "network", it.cloud.networks):
        return
    subnets = it.cloud.networks[nic.network].subnets
    if nic.subnet is not None and nic.subnet not in subnets:
        it.problems.unknown(f"{key}.subnet", nic.subnet, "subnet", subnets, f" in network {nic.network}")


def _volumes(it: Check) -> None:
    holders: dict[str, str] = {}
    for name, instance in it.inventory.instances.items():
        for index, volume in enumerate(instance.volumes):
            key = f"instances.{name}.instance_volumes.{index}"
            it.known(key, volume, "volume", it.cloud.volumes)
            if volume in holders:
                it.bad(key, volume, f"is already attached to {holders[volume]}; a volume has one instance at a time")
            holders.setdefault(volume, name)
