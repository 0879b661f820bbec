"""Settings that the models accept but that headworks does not act on yet: each is warned of or refused.

A change that implements such a setting also removes its line here.
"""

from __future__ import annotations

from collections.abc import Collection

from .context import Check


def check_pending(check: Check) -> None:
    """Warn of settings that have no effect yet; refuse those whose replacement by another would be wrong."""
    cloud = check.cloud
    for key, values in check.available.items():
        value = getattr(cloud, key.removeprefix("cloud_"))
        if value not in values:
            check.refuse(key, value, f"is not available yet; use {' or '.join(values)}")
    if cloud.firewall_driver != "none":
        check.warnings.append(
            f"cloud_firewall_driver: {cloud.firewall_driver!r}: nothing is filtered yet: whoever reaches the address "
            "of a guest reaches all its ports; with none, which is the same today, this warning goes away"
        )
    pending: dict[str, Collection[str]] = {
        "cloud_security_groups": cloud.security_groups,
        "cloud_qos_policies": cloud.qos_policies,
        "cloud_volumes": cloud.volumes,
        "cloud_load_balancers": cloud.load_balancers,
        "cloud_projects": cloud.projects,
        "cloud_routers.*.ha": [name for name, router in cloud.routers.items() if router.ha],
        "cloud_networks.*.host_gateway": [name for name, network in cloud.networks.items() if network.host_gateway],
        "cloud_networks.*.subnets (IPv6: addresses and routes only, neither router advertisements nor DHCPv6)": [
            f"{name}.{space.name}" for name, spaces in check.spaces.items() for space in spaces if space.version == 6
        ],
        "instance_config_drive": [
            name for name, instance in check.inventory.instances.items() if instance.config_drive
        ],
    }
    for key, names in pending.items():
        if names:
            shown = ", ".join(sorted(names)[:5]) + (", …" if len(names) > 5 else "")
            check.warnings.append(f"{key}: {shown}: is checked, but not acted on yet")
