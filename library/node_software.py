#!/usr/bin/python
"""Ansible module: the packages and services of a node, in one call."""

from __future__ import annotations

DOCUMENTATION = r"""
module: node_software
short_description: Packages and services of a node, in one call
description:
  - Installs missing Debian packages in one transaction, starts and enables services, removes libvirt's own networks.
  - Unlike M(ansible.builtin.apt) it needs nothing but Python on the node, also in check mode, and costs a few
    milliseconds when there is nothing to do.
options:
  packages:
    description: Names of Debian packages that are installed. Recommended packages are not installed with them.
    type: list
    elements: str
    default: []
  masked_units:
    description:
      - Units by package. They are masked before the package is installed, so that they never start by themselves.
      - Where the package is there already, its units are left alone, for then somebody else uses them.
    type: dict
    default: {}
  services:
    description: systemd units that are active and start at boot.
    type: list
    elements: str
    default: []
  absent_libvirt_networks:
    description: Networks of libvirt that are destroyed and undefined.
    type: list
    elements: str
    default: []
attributes:
  check_mode: {support: full, description: Lists exactly the changes that a real run makes, also on a bare node.}
  diff_mode: {support: full}
author: headworks
"""

EXAMPLES = r"""
- name: A network node
  node_software:
    packages: [openvswitch-switch, haproxy]
    masked_units:
      haproxy: [haproxy.service]
    services: [openvswitch-switch.service]

- name: No stock network
  node_software:
    absent_libvirt_networks: [default]
"""

RETURN = r"""
changes:
  description: What was (in check mode, would be) done.
  returned: always
  type: list
  elements: dict
  sample: [{kind: package, name: haproxy, verb: add}]
notes:
  description: What a person should know besides.
  returned: always
  type: list
  elements: str
"""

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.headworks.engine.converge import ConvergeError
from ansible.module_utils.headworks.modules.items import fail, succeed
from ansible.module_utils.headworks.node.host.software import Package, ensure


def main() -> None:
    """Ansible's entry."""
    names = {"type": "list", "elements": "str", "default": []}
    module = AnsibleModule(
        argument_spec={
            "packages": names,
            "masked_units": {"type": "dict", "default": {}},
            "services": names,
            "absent_libvirt_networks": names,
        },
        supports_check_mode=True,
    )
    mask = module.params["masked_units"]
    packages = [Package(name, tuple(mask.get(name, ()))) for name in module.params["packages"]]
    try:
        result = ensure(
            packages, module.params["services"], module.params["absent_libvirt_networks"], check=module.check_mode
        )
    except ConvergeError as error:
        fail(module, error)
    succeed(module, result)


if __name__ == "__main__":
    main()
