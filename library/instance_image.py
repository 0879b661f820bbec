#!/usr/bin/python
# Base images in a node's cache. The work is done in module_utils/headworks/node/images.py.
"""Ansible module: base images in the node's cache."""

from __future__ import annotations

DOCUMENTATION = r"""
module: instance_image
short_description: Base images in a node's image cache
description:
  - Fetches images and keeps them under C(/var/lib/headworks/images/_base/), named by their digest. An image is only
    put there when its checksum is right; a file that is there is not fetched again.
  - Takes one image, or a list of them under O(images).
options:
  image:
    description: Name of the image, for messages.
    type: str
  url:
    description: Where to fetch it. C(https), C(http) or C(file).
    type: str
  checksum:
    description: C(sha256:) or C(sha512:) and the hex digest. It also names the file.
    type: str
  format:
    description: Format of the image (default C(qcow2)).
    type: str
    choices: [qcow2, raw]
  ca:
    description: PEM file that vouches for the store (default the system's certificates).
    type: path
  images:
    description: Several images in one call, each with the options above.
    type: list
    elements: dict
    suboptions:
      image: {description: Name of the image., type: str}
      url: {description: Where to fetch it., type: str}
      checksum: {description: Algorithm and digest., type: str, required: true}
      format: {description: Format., type: str, choices: [qcow2, raw]}
      ca: {description: PEM file., type: path}
      state: {description: Whether it should be in the cache., type: str, choices: [present, absent]}
  state:
    description: Whether the image should be in the cache (default C(present)).
    type: str
    choices: [present, absent]
attributes:
  check_mode: {support: full, description: Lists what would be fetched or removed.}
  diff_mode: {support: full, description: Shows the records before and after.}
author: headworks
"""

EXAMPLES = r"""
- name: Have the image before the first guest needs it
  instance_image:
    image: nano
    url: https://controller1:9292/images/9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08
    checksum: sha256:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08
    ca: /etc/headworks/ca.pem
"""

RETURN = r"""
changes:
  description: What was (or would be) fetched or removed, by digest.
  returned: always
  type: list
  elements: dict
  sample: [{"kind": "image", "name": "9f86d0…", "verb": "add"}]
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
    """Entry point."""
    module = item_module("images", OPTIONS, key="checksum")
    present: dict[str, BaseImage] = {}
    absent: dict[str, BaseImage] = {}
    for item in items(module, "images"):
        algorithm, _, digest = item["checksum"].partition(":")
        if algorithm not in {"sha256", "sha512"} or not digest.isalnum():
            module.fail_json(msg=f"checksum: {item['checksum']!r}: write sha256:<hex digest> or sha512:<hex digest>")
        if item["state"] == "present" and "url" not in item:
            module.fail_json(msg=f"url: missing for {item['checksum']}: a wanted image has to come from somewhere")
        fields = {key: value for key, value in item.items() if key != "state"}
        record = BaseImage(**{"image": digest[:12], "url": "", **fields, "name": digest.lower()})
        (present if item["state"] == "present" else absent)[record.name] = record
    finish(module, [(ImageSubsystem(), present, absent)])


if __name__ == "__main__":
    main()
