#!/usr/bin/python
"""Ansible module: a controller's image store. The work is done in headworks/controller/image_store.py."""

from __future__ import annotations

DOCUMENTATION = r"""
module: image_store
short_description: An image store over HTTPS
version_added: "0.1.0"
description:
  - Serves image files at C(https://HOST:PORT/images/DIGEST), named by the digest of their content.
  - Makes a certificate authority for the store once. The store's own certificate is renewed 30 days before it expires.
  - The store itself fetches the images that have a C(url) and verifies their checksums. The playbook copies the other
    images into RV(directory); RV(missing) lists which of them are not there.
  - Removes images that are not listed from the store. An image whose content is damaged is fetched or copied again.
options:
  names:
    description: Addresses and host names by which nodes reach the store. The certificate is valid for these.
    type: list
    elements: str
    required: true
  port:
    description: TCP port of the store.
    type: int
    default: 9292
  images:
    description: The images in the store.
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
        description:
          - From where the store fetches the image. Empty for an image that the playbook copies.
          - A proxy of the environment is used.
        type: str
        default: ""
      format:
        description:
          - Format of the image.
          - A V(qcow2) image that is fetched must have neither a backing file nor an external data file.
        type: str
        choices: [qcow2, raw]
        default: qcow2
attributes:
  check_mode: {support: full}
  diff_mode: {support: full}
author: headworks
"""

EXAMPLES = r"""
- name: Run a store with one image
  image_store:
    names: [192.0.2.10]
    images:
      - name: nano
        checksum: sha256:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08
  register: store
"""

RETURN = r"""
ca:
  description: Certificate of the store's authority in PEM format. Empty in check mode if there is no store yet.
  returned: always
  type: str
directory:
  description: Directory of the image files.
  returned: always
  type: str
missing:
  description: Digests of the listed images that the store does not have and cannot fetch.
  returned: always
  type: list
  elements: str
changes:
  description: The changes made, in order; in check mode, the changes that a run would make.
  returned: always
  type: list
  elements: dict
notes:
  description: Messages for the operator.
  returned: always
  type: list
  elements: str
"""

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.headworks.controller.image_store import (
    UNIT,
    ImageServer,
    ImageServerSubsystem,
    authority,
)
from ansible.module_utils.headworks.controller.stored_images import STORE, StoredImageSubsystem, stored
from ansible.module_utils.headworks.engine.converge import ConvergeError
from ansible.module_utils.headworks.engine.doors import LockError, converge_steps
from ansible.module_utils.headworks.modules.items import fail, succeed
from ansible.module_utils.headworks.state.images import BaseImage

IMAGE = {
    "name": {"type": "str", "required": True},
    "checksum": {"type": "str", "required": True},
    "url": {"type": "str", "default": ""},
    "format": {"type": "str", "choices": ["qcow2", "raw"], "default": "qcow2"},
}


def main() -> None:
    """Run the module."""
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
    listed = {image["checksum"].partition(":")[2]: image for image in module.params["images"]}
    images = {
        digest: BaseImage(digest, image["name"], image["url"], image["checksum"], image["format"])
        for digest, image in listed.items()
    }
    steps = [(ImageServerSubsystem(), {UNIT: server}), (StoredImageSubsystem(owner="store"), images)]
    try:
        result = converge_steps(steps, check=module.check_mode)
    except ConvergeError as error:
        fail(module, error)
    except LockError as error:
        module.fail_json(msg=str(error))
    missing = sorted({digest for digest, image in images.items() if not image.url} - stored())
    succeed(module, result, ca=authority(), directory=str(STORE / "images"), missing=missing)


if __name__ == "__main__":
    main()
