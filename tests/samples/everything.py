"""An inventory that sets every documented variable."""

from __future__ import annotations

import copy
from typing import Any

from inventories import KEY, SHA

CLOUD = {
    "cloud_name": "lab",
    "cloud_l2_mechanism": "openvswitch",
    "cloud_firewall_driver": "openvswitch",
    "cloud_vlan_ranges": {"physnet1": ["2000:4094"]},
    "cloud_tunnel_id_range": "1:16777215",
    "cloud_dhcp_agents_per_network": 1,
    "cloud_allocations_file": "group_vars/all/allocations.yml",
    "cloud_allocations": {"version": 1},
    "cloud_networks": {
        "internal": {"type": "gre", "subnets": {"internal": {"cidr": "10.18.0.0/24"}}},
        "ext": {
            "type": "flat",
            "physical_network": "physnet1",
            "external": True,
            "subnets": {
                "ext": {
                    "cidr": "172.16.0.0/16",
                    "gateway_ip": "172.16.0.1",
                    "enable_dhcp": False,
                    "allocation_pools": [{"start": "172.16.19.1", "end": "172.16.19.254"}],
                }
            },
        },
        "rich": {
            "segmentation_id": 77,
            "mtu": 1400,
            "shared": True,
            "project": "demo",
            "port_security": False,
            "dns_domain": "example.org.",
            "qos_policy": "gold",
            "host_gateway": False,
            "subnets": {
                "four": {
                    "cidr": "10.30.0.0/24",
                    "gateway_ip": None,
                    "dns_nameservers": ["192.0.2.53"],
                    "host_routes": [{"destination": "192.0.2.0/24", "nexthop": "10.30.0.9"}],
                },
                "six": {"cidr": "2001:db8::/64", "ip_version": 6, "ipv6_mode": "slaac"},
            },
        },
    },
    "cloud_routers": {
        "r1": {
            "external_network": "ext",
            "external_ip": None,
            "enable_snat": True,
            "interfaces": ["internal"],
            "routes": [],
            "ha": False,
        }
    },
    "cloud_floating_ips": {"172.16.19.232": {"network": "ext", "instance": "vm1", "fixed_network": "internal"}},
    "cloud_security_groups": {
        "web": {
            "rules": [
                {"direction": "ingress", "protocol": "tcp", "ports": 80, "remote_cidr": "0.0.0.0/0"},
                {"protocol": "tcp", "ports": "8000:8080", "remote_group": "web"},
                {"protocol": "icmp", "icmp_type": 8},
                {"direction": "egress", "protocol": 47},
            ]
        }
    },
    "cloud_qos_policies": {"gold": {"egress_kbps": 10000, "ingress_kbps": 10000, "dscp": 26}},
    "cloud_flavors": {"m1.nano": {"vcpus": 1, "ram_mb": 64, "disk_gb": 0}},
    "cloud_images": {
        "nano": {
            "path": "/srv/nano.qcow2",
            "checksum": SHA,
            "format": "qcow2",
            "min_disk_gb": 0,
            "properties": {"os": 1},
        },
        "far": {"url": "https://example.org/far.qcow2", "checksum": "SHA512:" + "AB" * 64},
    },
    "cloud_keypairs": {"ops": KEY},
    "cloud_volumes": {"data1": {"size_gb": 1}},
    "cloud_affinity_groups": {"g": {"policy": "soft-anti-affinity"}},
    "cloud_load_balancers": {
        "lb": {
            "network": "internal",
            "listeners": {
                "web": {"protocol": "HTTP", "port": 80, "pool": {"members": [{"instance": "vm1", "port": 80}]}}
            },
        }
    },
    "cloud_projects": {"demo": {"quota": {"instances": 10, "vcpus": 20, "ram_mb": 51200, "floating_ips": 10}}},
}
VM1 = {
    "instance_flavor": "m1.nano",
    "instance_image": "nano",
    "instance_networks": [
        {
            "network": "internal",
            "subnet": "internal",
            "address": "10.18.0.10",
            "mac": "fa:16:3e:00:00:01",
            "security_groups": ["web"],
            "qos_policy": "gold",
            "allowed_address_pairs": [{"ip_address": "10.18.0.11"}],
            "port_security": True,
        },
        "rich",
    ],
    "instance_security_groups": ["default", "web"],
    "instance_keypair": "ops",
    "instance_user_data": "#!/bin/sh\n",
    "instance_metadata": {"role": "web"},
    "instance_config_drive": True,
    "instance_volumes": ["data1"],
    "instance_project": "demo",
    "instance_state": "running",
    "instance_host": "compute1",
    "instance_availability_zone": "nova",
    "instance_affinity_group": "g",
    "ansible_host": "10.18.0.10",
    "something_of_the_operators_own": 1,
}
COMPUTE1 = {
    "node_tunnel_ip": "10.92.0.21",
    "node_bridge_mappings": {"physnet1": {"bridge": "br-ex", "interface": "eth2"}},
    "node_datapath_type": "system",
    "node_virt_type": "auto",
    "node_rollback_seconds": 60,
    "node_availability_zone": "nova",
    "node_enabled": True,
    "node_cpu_allocation_ratio": 4.0,
    "node_ram_allocation_ratio": 1.0,
    "node_reserved_ram_mb": 512,
    "ansible_host": "10.92.0.21",
}


def everything() -> dict[str, Any]:
    """The inventory, with a node and an instance. The caller may change the result."""
    return copy.deepcopy(
        {
            "cloud": CLOUD,
            "nodes": {"compute1": {"groups": ["controller", "network", "compute", "web"], "vars": COMPUTE1}},
            "instances": {"vm1": {"groups": ["web"], "vars": VM1}},
        }
    )
