"""Which images the controller's store has to have, and which controller that is."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..plan.identity import natural


def store_images(
    images: Mapping[str, Mapping[str, Any]], facts: Mapping[str, Mapping[str, Any]]
) -> list[dict[str, str]]:
    """``[{"name", "checksum", "url"}]`` for every declared image, sorted; ``url`` is "" for one that is a file here.

    :param facts: of the images with a path, see ``images.py``; their checksum counts where none is declared.
    """
    return [
        {
            "name": name,
            "checksum": str(image.get("checksum") or facts.get(name, {}).get("checksum", "")).lower(),
            "url": str(image.get("url") or ""),
        }
        for name, image in sorted(images.items())
    ]


def image_files(facts: Mapping[str, Mapping[str, Any]]) -> dict[str, str]:
    """Digest → path on the control node, of the images that are files here."""
    return {str(one["checksum"]).partition(":")[2]: str(one["path"]) for one in facts.values()}


def store_node(nodes: Mapping[str, Mapping[str, Any]]) -> str:
    """The controller that nodes fetch from, or "" without one."""
    controllers = [name for name, node in nodes.items() if "controller" in node["groups"]]
    return min(controllers, key=natural, default="")
