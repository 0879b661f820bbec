#!/usr/bin/python
"""Ansible module: the image store of a controller."""

from __future__ import annotations

DOCUMENTATION = r"""
module: image_store
short_description: An image store over HTTPS
description:
  - Serves image files, named by the digest of their content, at C(https://HOST:PORT/images/DIGEST).
  - Makes a certificate authority for the store once, and a certificate of it, which is renewed 30 days before it ends.
  - Images with a C(url) are fetched by the store itself and held against their checksum. The others are copied into
    RV(directory) by whoever has them; RV(missing) tells which those are.
  - Images that are not listed any more are removed from the store.
options:
  names:
    description: Addresses and host names under which nodes reach the store; the certificate is for these.
    type: list
    elements: str
    required: true
  port:
    description: TCP port.
    type: int
    default: 9292
  images:
    description: The images that the store has.
    type: list
    elements: dict
    default: []
    suboptions:
      name:
        description: Name of the image in the inventory, for messages.
        type: str
        required: true
      checksum:
        description: Checksum of the file, C(sha256:HEX) or C(sha512:HEX). The hex digits are its name in the store.
        type: str
        required: true
      url:
        description: Where the store fetches it. Empty for an image that is copied.
        type: str
        default: ''
attributes:
  check_mode: {support: full}
  diff_mode: {support: full}
author: headworks
"""

EXAMPLES = r"""
- name: A store with one image
  image_store:
    names: [192.0.2.10]
    images:
      - name: nano
        checksum: sha256:4d5ba1d4a1a1a6f8c2c1d9c2e7a0bd8b2b1f0f1f5f8b7c1b2f3a4d5e6f708192
  register: store
"""

RETURN = r"""
ca:
  description: Certificate of the store's authority, PEM; empty in check mode before there is a store.
  returned: always
  type: str
directory:
  description: Directory of the images.
  returned: always
  type: str
missing:
  description: Digests of listed images that the store does not have and cannot fetch.
  returned: always
  type: list
  elements: str
changes:
  description: What was (in check mode, would be) done.
  returned: always
  type: list
  elements: dict
"""

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.headworks.controller.image_store import (
    STORE,
    UNIT,
    ImageServer,
    ImageServerSubsystem,
    StoredImageSubsystem,
    authority,
    stored,
)
from ansible.module_utils.headworks.engine.converge import ConvergeError
from ansible.module_utils.headworks.engine.doors import converge_steps
from ansible.module_utils.headworks.modules.items import fail, succeed
from ansible.module_utils.headworks.state.images import BaseImage

IMAGE = {
    "name": {"type": "str", "required": True},
    "checksum": {"type": "str", "required": True},
    "url": {"type": "str", "default": ""},
}


def main() -> None:
    """Ansible's entry."""
    module = AnsibleModule(
        argument_spec={
            "names": {"type": "list", "elements": "str", "required": True},
            "port": {"type": "int", "default": 9292},
            "images": {"type": "list", "elements": "dict", "default": [], "options": IMAGE},
        },
        supports_check_mode=True,
    )
    names = tuple(sorted(set(module.params["names"])))
    server = ImageServer(UNIT, port=module.params["port"], names=names)
    listed = {one["checksum"].partition(":")[2]: one for one in module.params["images"]}
    there = stored()
    images = {
        digest: BaseImage(name=digest, image=one["name"], url=one["url"], checksum=one["checksum"])
        for digest, one in listed.items()
        if one["url"] or digest in there
    }
    steps = [(ImageServerSubsystem(), {UNIT: server}), (StoredImageSubsystem(owner="store"), images)]
    try:
        result = converge_steps(steps, check=module.check_mode)
    except ConvergeError as error:
        fail(module, error)
    missing = sorted(set(listed) - set(images))
    succeed(module, result, ca=authority(), directory=str(STORE / "images"), missing=missing)


if __name__ == "__main__":
    main()
