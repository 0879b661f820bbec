"""Run nft's language in the current namespace.

libnftables runs it within this process, in a millisecond; the ``nft`` command uses the same library. Where the library
cannot be loaded, the command runs it. What does not belong here: particular tables and rules (``node/nft``,
``node/underlay``).
"""

from __future__ import annotations

import ctypes
from functools import cache

from .process import ToolError, has_tool, run

_STATELESS = 1 << 2  # NFT_CTX_OUTPUT_STATELESS: no counters in listings, as ``nft -s``


def available() -> bool:
    """Whether this node has libnftables or the ``nft`` command."""
    return _library() is not None or has_tool("nft")


def nft(text: str) -> str:
    """Run ``text`` as one transaction and return the output (of ``list …``, without counters).

    :raises ToolError: nft refused the text. Then nothing is changed.
    """
    library = _library()
    if library is None:
        return run(["nft", "-s", "-f", "-"], stdin=text)
    context = library.nft_ctx_new(0)  # opens its socket here, so the context belongs to the current namespace
    try:
        library.nft_ctx_buffer_output(context)
        library.nft_ctx_buffer_error(context)
        library.nft_ctx_output_set_flags(context, _STATELESS)
        if library.nft_run_cmd_from_buffer(context, text.encode()) != 0:
            raise ToolError(f"nft: {library.nft_ctx_get_error_buffer(context).decode().strip()}")
        return str(library.nft_ctx_get_output_buffer(context).decode())
    finally:
        library.nft_ctx_free(context)


@cache
def _library() -> ctypes.CDLL | None:
    try:
        library = ctypes.CDLL("libnftables.so.1")
    except OSError:
        return None
    library.nft_ctx_new.argtypes = [ctypes.c_uint32]
    library.nft_ctx_new.restype = ctypes.c_void_p
    library.nft_run_cmd_from_buffer.argtypes = [ctypes.c_void_p, ctypes.c_char_p]
    library.nft_ctx_output_set_flags.argtypes = [ctypes.c_void_p, ctypes.c_uint]
    for name in ("nft_ctx_get_output_buffer", "nft_ctx_get_error_buffer"):
        getattr(library, name).argtypes = [ctypes.c_void_p]
        getattr(library, name).restype = ctypes.c_char_p
    for name in ("nft_ctx_buffer_output", "nft_ctx_buffer_error", "nft_ctx_free"):
        getattr(library, name).argtypes = [ctypes.c_void_p]
    return library
