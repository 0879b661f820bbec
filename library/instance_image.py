#!/usr/bin/python
"""Ansible module: base images in a node's cache. The work is done in headworks/node/compute/base_images.py."""

from __future__ import annotations

DOCUMENTATION = r"""
module: instance_image
short_description: Base images in a node's image cache
version_added: "0.1.0"
description:
  - Downloads images to C(/var/lib/headworks/images/_base/). The files are named by their digest.
  - An image gets into the cache only if its checksum is right. An image that is in the cache is not downloaded again.
options:
  checksum:
    description:
      - C(sha256:HEX) or C(sha512:HEX). The hex digits are the file's name. Required, unless O(images) is given.
    type: str
  image: &image
    description: Name of the image, for messages. If omitted, the beginning of its digest.
    type: str
  url: &url
    description:
      - From where the image is downloaded; C(https), C(http) or C(file). Required, unless O(state=absent).
      - A proxy of the environment is used, unless O(ca) is given.
    type: str
  format: &format
    description:
      - Format of the image. If omitted, V(qcow2).
      - An image in format V(qcow2) must have neither a backing file nor an external data file.
    type: str
    choices: [qcow2, raw]
  ca: &ca
    description:
      - Path of a PEM file with the certificate of the authority that the store's certificate must come from. If
        omitted, the system's certificates are used.
    type: path
  state: &state
    description: V(present) downloads the image, V(absent) removes it from the cache. If omitted, V(present).
    type: str
    choices: [present, absent]
  images:
    description: Several images in one call. An option at the top applies to every image that does not set it.
    type: list
    elements: dict
    suboptions:
      checksum:
        description: C(sha256:HEX) or C(sha512:HEX). The hex digits are the file's name.
        type: str
        required: true
      image: *image
      url: *url
      format: *format
      ca: *ca
      state: *state
attributes:
  check_mode: {support: full}
  diff_mode: {support: full, description: Shows the records before and after the change.}
author: headworks
"""

EXAMPLES = r"""
- name: Download the image before the first guest needs it
  instance_image:
    image: nano
    url: https://controller1:9292/images/9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08
    checksum: sha256:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08
    ca: /etc/headworks/ca.pem
"""

RETURN = r"""
changes:
  description: The images downloaded or removed, by digest; in check mode, those that a run would download or remove.
  returned: always
  type: list
  elements: dict
  sample: [{kind: image, name: 9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08, verb: add}]
notes:
  description: Messages for the operator.
  returned: always
  type: list
  elements: str
"""

from ansible.module_utils.headworks.modules.items import finish, item_module, items
from ansible.module_utils.headworks.node.compute.base_images import ImageSubsystem
from ansible.module_utils.headworks.state.images import BaseImage

OPTIONS = {
    "image": {"type": "str"},
    "url": {"type": "str"},
    "checksum": {"type": "str"},
    "format": {"type": "str", "choices": ["qcow2", "raw"]},
    "ca": {"type": "path"},
}


def main() -> None:
    """Run the module."""
    module = item_module("images", OPTIONS, key="checksum")
    present: dict[str, BaseImage] = {}
    absent: dict[str, BaseImage] = {}
    for item in items(module, "images"):
        algorithm, _, digest = item["checksum"].partition(":")
        if algorithm not in {"sha256", "sha512"} or not digest.isalnum():
            module.fail_json(msg=f"checksum: {item['checksum']!r}: must be sha256:HEX or sha512:HEX")
        if item["state"] == "present" and "url" not in item:
            module.fail_json(msg=f"url: is required for {item['checksum']}")
        fields = {key: value for key, value in item.items() if key != "state"}
        record = BaseImage(**{"image": digest[:12], "url": "", **fields, "name": digest.lower()})
        (present if item["state"] == "present" else absent)[record.name] = record
    finish(module, [(ImageSubsystem(), present, absent)])


if __name__ == "__main__":
    main()
