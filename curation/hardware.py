"""What this machine's processor does well, and threads for it. Must not know what is computed."""

from __future__ import annotations

import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import cache


@cache
def fast_bfloat16() -> bool:
    """Whether the CPU multiplies bfloat16 in hardware (AVX-512 BF16, AMX or ARM's BF16).

    Without it, bfloat16 is emulated and slower than float32.
    """
    import torch

    asked = ("_is_avx512_bf16_supported", "_is_amx_tile_supported", "_is_arm_bf16_supported")
    return any(bool(getattr(torch.cpu, name, bool)()) for name in asked)


def cores() -> int:
    """CPU cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


@contextmanager
def workers() -> Iterator[ThreadPoolExecutor]:
    """One thread per core, each of which computes alone.

    Many small products side by side are faster than each of them split among the cores, and do not
    wait for one another when other processes take a core away.
    """
    import torch
    from threadpoolctl import threadpool_limits

    threads = torch.get_num_threads()
    with (
        threadpool_limits(1),
        ThreadPoolExecutor(cores(), initializer=torch.set_num_threads, initargs=(1,)) as pool,
    ):
        try:
            yield pool
        finally:
            torch.set_num_threads(threads)
