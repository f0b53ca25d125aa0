"""Keeps the heap of a long chunked pass from growing.

glibc learns to serve ever larger blocks from its heap, where small results that stay (embeddings,
generator states) hold the holes of large ones apart: memory then grows with the number of chunks,
though nothing is kept. With a fixed bound, large blocks go back to the system one by one.
"""

from __future__ import annotations

import contextlib
import ctypes

_M_MMAP_THRESHOLD = -3

LARGE = 2**20
"""Bytes from which on a block is the system's own."""


def return_large_blocks() -> None:
    """Fix the bound for this process; does nothing where the C library is not glibc."""
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL("libc.so.6").mallopt(_M_MMAP_THRESHOLD, LARGE)
