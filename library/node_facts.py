#!/usr/bin/python
# The facts that the plan needs of a node, in one call; read-only. What is read: module_utils/headworks/node/facts.py.
"""Ansible module: facts of a node for the plan."""

from __future__ import annotations

DOCUMENTATION = r"""
module: node_facts
short_description: Facts of a node that a headworks plan needs
description:
  - Reads processors, memory, disk, KVM and network cards of a node in one call of a few milliseconds.
  - Tells what the node lacks of the software that is asked for, so that a play can skip what is done.
  - What headworks itself made (taps, veth pairs, bridges) is left out; a card that was moved into a bridge is reported
    with its addresses still its own.
options:
  packages:
    description:
      - Names of packages; those that are not installed are returned in RV(facts.packages_missing).
      - Needs O(package_query).
    type: list
    elements: str
  package_query:
    description:
      - The command, as a list of words, that tells which packages are installed; the names are added to it.
      - It prints C(<name> installed) for each package that is installed. Other lines and its exit code have no meaning.
    type: list
    elements: str
  services:
    description: systemd units; those that are not active and enabled are returned in RV(facts.services_down).
    type: list
    elements: str
    default: []
  units:
    description: systemd units; those that do not exist are returned in RV(facts.units_unknown).
    type: list
    elements: str
    default: []
  libvirt_networks:
    description: Networks that libvirt should not have; those it has are returned in RV(facts.libvirt_networks_present).
    type: list
    elements: str
    default: []
  files:
    description: Paths whose SHA-256 is returned in RV(facts.files).
    type: list
    elements: path
    default: []
author: headworks
attributes:
  check_mode: {support: full, description: The module only reads.}
"""

EXAMPLES = r"""
- name: Read what the plan must know
  node_facts:
    packages: [openvswitch-switch, nftables]
    package_query: [dpkg-query, --show, '--showformat=${Package} ${db:Status-Status}\\n']
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
    vcpus: {description: Processors., type: int, sample: 8}
    ram_mb: {description: Memory in MiB., type: int, sample: 24000}
    disk_gb: {description: Size in GiB of the filesystem that holds the instances., type: int, sample: 250}
    kvm: {description: Whether KVM can be used., type: bool}
    nics:
      description: Network cards by name, each with C(mac), C(mtu), C(addresses) and the C(bridge) it is in.
      type: dict
    packages_missing: {description: Which of O(packages) are not installed., type: list, elements: str}
    services_down: {description: Which of O(services) are not active and enabled., type: list, elements: str}
    units_unknown: {description: Which of O(units) do not exist., type: list, elements: str}
    libvirt_networks_present: {description: Which of O(libvirt_networks) exist., type: list, elements: str}
    files: {description: SHA-256 in hex by path; empty for a file that does not exist., type: dict}
"""

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.headworks.node.host.facts import gather
from ansible.module_utils.headworks.node.host.survey import survey
from ansible.module_utils.headworks.system.process import ToolError


def main() -> None:
    """Entry point."""
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
        facts = gather() | survey(**asked)
    except ToolError as error:
        module.fail_json(msg=f"node_facts: {error}")
    module.exit_json(changed=False, facts=facts)


if __name__ == "__main__":
    main()
