#!/usr/bin/python
"""Ansible module: the facts of a node that a plan needs. The work is done in headworks/node/host/ and in
headworks/engine/holdings.py."""

from __future__ import annotations

DOCUMENTATION = r"""
module: node_facts
short_description: Read the facts of a node that a plan needs
version_added: "0.1.0"
description:
  - Reads processors, memory, disk, KVM and network cards of a node in one call of a few milliseconds.
  - Returns which of the given packages and services the node lacks, so that a play can skip what is done.
  - Returns what the node holds of a cloud (guests, also removed ones that it keeps, routers, networks), and which plan
    it applied last. libvirt is asked only on a node with guests.
  - Devices that headworks made (taps, veth pairs, bridges) are not returned. A network card that was moved into a
    bridge is returned with the addresses that were moved to the bridge.
options:
  packages:
    description:
      - Names of packages. RV(facts.packages_missing) lists those that are not installed. Requires O(package_query).
    type: list
    elements: str
  package_query:
    description:
      - The command that prints which packages are installed, as a list of words. The names of the packages are
        appended.
      - For each installed package it prints a line C(NAME installed). Other lines and its exit code are ignored.
    type: list
    elements: str
  services:
    description: systemd units. RV(facts.services_down) lists those that are not active and enabled.
    type: list
    elements: str
    default: []
  units:
    description: systemd units. RV(facts.units_unknown) lists those that do not exist.
    type: list
    elements: str
    default: []
  libvirt_networks:
    description: Networks that libvirt should not have. RV(facts.libvirt_networks_present) lists those that exist.
    type: list
    elements: str
    default: []
  files:
    description: Paths of files. RV(facts.files) has their SHA-256.
    type: list
    elements: path
    default: []
attributes:
  check_mode: {support: full, description: The module only reads.}
author: headworks
"""

EXAMPLES = r"""
- name: Read the facts of a node
  node_facts:
    packages: [openvswitch-switch, nftables]
    package_query: [dpkg-query, --show, '--showformat=${Package} ${db:Status-Status}\n']
    services: [openvswitch-switch.service]
  register: facts
"""

RETURN = r"""
facts:
  description: The facts.
  returned: always
  type: dict
  contains:
    hostname: {description: The node's own name., type: str, sample: compute1}
    distribution: {description: Distribution and version., type: str, sample: debian-12}
    vcpus: {description: Number of processors., type: int, sample: 8}
    ram_mb: {description: Memory in MiB., type: int, sample: 24000}
    disk_gb: {description: Size in GiB of the filesystem of the instances., type: int, sample: 250}
    removed_gb: {description: How much of it the files of removed instances occupy., type: int, sample: 3}
    holdings:
      description:
        - What the node holds. C(cloud), C(node), C(lineage), C(serial), C(digest) and C(allocations) are those of the
          node state that it applied last.
        - C(instances) is UUID to a dict with C(name), C(cloud), C(domain) (libvirt's name), C(state), C(disk_bytes),
          C(virtual_bytes), C(created) and C(protected). C(state) is V(running), V(paused), V(stopped), V(suspended),
          V(undefined) (libvirt does not have it) or V(removed). A removed instance also has C(removed) and C(until),
          in seconds since 1970, and its C(allocation).
        - C(routers) and C(networks) have the ids of the cloud's namespaces. C(damaged) is a list of texts about torn
          files. C(removed_bytes) is what removed instances occupy.
      type: dict
    kvm: {description: Whether KVM can be used., type: bool}
    kernel:
      description:
        - C(release), C(modules) (which modules of the kernel datapath the kernel has or can load), and C(limits),
          numbers by sysctl.
      type: dict
    nics:
      description:
        - Network cards by name, each with C(mac), C(permanent_mac), C(mtu), C(addresses), the C(bridge) of Open vSwitch
          or the C(master) that it is in, its C(kind), its C(lower) device and its C(manager).
      type: dict
    packages_missing: {description: Which of O(packages) are not installed., type: list, elements: str}
    services_down: {description: Which of O(services) are not active and enabled., type: list, elements: str}
    units_unknown: {description: Which of O(units) do not exist., type: list, elements: str}
    libvirt_networks_present: {description: Which of O(libvirt_networks) exist., type: list, elements: str}
    files: {description: SHA-256 in hex by path; empty for a file that does not exist., type: dict}
"""

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.headworks.engine.holdings import holdings
from ansible.module_utils.headworks.node.host.facts import gather
from ansible.module_utils.headworks.node.host.survey import survey
from ansible.module_utils.headworks.system.process import ToolError

GIB = 1 << 30


def main() -> None:
    """Run the module."""
    names = {"type": "list", "elements": "str"}
    module = AnsibleModule(
        argument_spec={
            "packages": names,
            "package_query": names,
            "services": {**names, "default": []},
            "units": {**names, "default": []},
            "libvirt_networks": {**names, "default": []},
            "files": {"type": "list", "elements": "path", "default": []},
        },
        required_by={"packages": ["package_query"]},
        supports_check_mode=True,
    )
    asked = {name: value or [] for name, value in module.params.items()}
    try:
        held = holdings()
        facts = gather() | survey(**asked) | {"holdings": held, "removed_gb": round(held["removed_bytes"] / GIB)}
    except ToolError as error:
        module.fail_json(msg=f"node_facts: {error}")
    module.exit_json(changed=False, facts=facts)


if __name__ == "__main__":
    main()
