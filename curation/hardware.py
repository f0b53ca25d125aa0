"""What this machine's processor does well. Must not know what it is asked for."""

from __future__ import annotations

import os
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
