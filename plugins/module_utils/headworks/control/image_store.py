"""Which images the image store must hold, and on which controller the store is.

What does not belong here: the store itself, which is in ``controller/``.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..plan.identity import natural


def store_images(
    images: Mapping[str, Mapping[str, Any]], facts: Mapping[str, Mapping[str, Any]]
) -> list[dict[str, str]]:
    """``[{"name", "checksum", "url", "format"}]`` of every declared image, sorted. ``url`` is "" for a file on the
    control node, ``format`` is the declared format.

    :param facts: facts of the images with a path (see ``images.py``). Their checksum is used if none is declared.
    """
    return [
        {
            "name": name,
            "checksum": str(image.get("checksum") or facts.get(name, {}).get("checksum", "")).lower(),
            "url": str(image.get("url") or ""),
            "format": str(image.get("format") or "qcow2"),
        }
        for name, image in sorted(images.items())
    ]


def image_files(facts: Mapping[str, Mapping[str, Any]]) -> dict[str, str]:
    """Digest → path, of the images whose file is on the control node."""
    return {str(image["checksum"]).partition(":")[2]: str(image["path"]) for image in facts.values()}


def store_node(nodes: Mapping[str, Mapping[str, Any]]) -> str:
    """The controller that nodes fetch images from, or "" without a controller."""
    controllers = [name for name, node in nodes.items() if "controller" in node["groups"]]
    return min(controllers, key=natural, default="")
