"""What may be written in an inventory but is not acted on yet: said aloud, so that nobody relies on it.

Whoever makes one of these work takes its line out of here.
"""

from __future__ import annotations

from collections.abc import Collection

from .context import Check


def check(it: Check) -> None:
    """Warnings, and refusals where doing something else instead would be wrong."""
    cloud = it.cloud
    if cloud.l2_mechanism != "openvswitch":
        it.bad("cloud_l2_mechanism", cloud.l2_mechanism, "is not available yet; use openvswitch")
    if cloud.firewall_driver == "iptables_hybrid":
        it.bad("cloud_firewall_driver", cloud.firewall_driver, "is not available yet; use openvswitch")
    waiting: dict[str, Collection[str]] = {
        "cloud_security_groups": cloud.security_groups,
        "cloud_qos_policies": cloud.qos_policies,
        "cloud_volumes": cloud.volumes,
        "cloud_load_balancers": cloud.load_balancers,
        "cloud_projects": cloud.projects,
        "cloud_routers.*.ha": [name for name, router in cloud.routers.items() if router.ha],
        "cloud_networks.*.host_gateway": [name for name, network in cloud.networks.items() if network.host_gateway],
        "cloud_networks.*.subnets (IPv6: addresses and routes only, neither router advertisements nor DHCPv6)": [
            f"{name}.{space.name}" for name, spaces in it.spaces.items() for space in spaces if space.version == 6
        ],
        "instance_config_drive": [name for name, one in it.inventory.instances.items() if one.config_drive],
    }
    for key, names in waiting.items():
        if names:
            shown = ", ".join(sorted(names)[:5]) + (", …" if len(names) > 5 else "")
            it.warnings.append(f"{key}: {shown}: is checked, but not acted on yet")
