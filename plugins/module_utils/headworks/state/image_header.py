"""The header of an image file: its format and virtual size, and whether the image takes data from other files.

The control node looks at files that it copies, controllers and compute nodes at files that they fetch. The header is
parsed here because the control node may not have qemu-img, and because qemu-img would open the other files. Pure: the
callers read the file.
"""

from __future__ import annotations

import struct

HEADER_BYTES = 104
QCOW2_MAGIC = b"QFI\xfb"
# Bit 2 of the incompatible features: the data is in another file.
EXTERNAL_DATA = 1 << 2


def parse_header(start: bytes, file_bytes: int) -> tuple[str, int]:
    """Return the format and the virtual size in bytes of an image; every format except qcow2 counts as raw.

    :param start: the first ``HEADER_BYTES`` of the file.
    :param file_bytes: the size of the file.
    :raises ValueError: the image takes its data from another file. A guest's owner could use that to read files of the
        node.
    """
    if start[:4] != QCOW2_MAGIC or len(start) < 72:
        return "raw", file_bytes
    version, backing = struct.unpack(">IQ", start[4:16])
    (size,) = struct.unpack(">Q", start[24:32])
    if backing:
        raise ValueError("has a backing file; an image must have none (qemu-img convert writes a copy without)")
    if version >= 3 and len(start) >= 80 and struct.unpack(">Q", start[72:80])[0] & EXTERNAL_DATA:
        raise ValueError("has an external data file; an image must have none")
    return "qcow2", size
