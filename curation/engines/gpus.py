"""Which GPUs the engines of a group get. Must not know of engines."""

from __future__ import annotations

import os

from uniqa.errors import UsageError


def share_out(
    asked: str, each: int = 1, there: int | None = None, visible: str | None = None
) -> list[str | None]:
    """One value of ``CUDA_VISIBLE_DEVICES`` per engine.

    Args:
        asked: ``all``, a number of GPUs, or their indices with commas (``3,`` is GPU 3 alone), as
            this process counts those that it may see.
        each: GPUs per engine (tensor parallelism), at least 1.
        there: GPUs that this process may see; asked of torch when None, and `visible` with it.
        visible: this process's own ``CUDA_VISIBLE_DEVICES``: indices or UUIDs; None if it has none.

    Returns:
        As many entries as there will be engines. Without any GPU, a number means that many
        engines on the CPU, and their entries are None.

    Raises:
        UsageError: no such GPUs, or a number that `each` does not divide.
    """
    if there is None:
        import torch

        there, visible = torch.cuda.device_count(), os.environ.get("CUDA_VISIBLE_DEVICES")
    chosen = _indices(asked, there)
    if not there:
        return [None] * len(chosen)
    if len(chosen) % each or not chosen:
        raise UsageError(
            f"{len(chosen)} GPUs cannot be shared out by {each} per engine",
            "Change --gpus or tensor_parallel",
        )
    names = _names(there, visible)
    chosen = [names[int(index)] for index in chosen]
    return [",".join(chosen[first : first + each]) for first in range(0, len(chosen), each)]


def _names(there: int, visible: str | None) -> list[str]:
    """What the GPUs are called that this process may see: a child sees by these names, not ours."""
    told = [name.strip() for name in (visible or "").split(",")]
    # What stands behind an entry that names no GPU is not seen either.
    return told[:there] if visible else [str(index) for index in range(there)]


def _indices(asked: str, there: int) -> list[str]:
    if asked == "all":
        if not there:
            raise UsageError("--gpus all: this machine has no GPU", "Name a number of CPU engines")
        return [str(index) for index in range(there)]
    asked = asked.strip()
    parts = [part.strip() for part in asked.removesuffix(",").split(",")]
    if not all(part.isdecimal() for part in parts):
        raise UsageError(f"--gpus cannot be '{asked}'", "Give all, a number, or indices like 0,2")
    if "," not in asked:
        number = int(parts[0])
        if number < 1 or (there and number > there):
            raise UsageError(
                f"--gpus {asked}: this machine has {there} GPUs",
                f"GPU {number} alone is --gpus {number}," if number < there else "",
            )
        return [str(index) for index in range(number)]
    if not there:
        raise UsageError(
            f"--gpus {asked}: this machine has no GPU", "Give one number: of engines on the CPU"
        )
    if len({int(part) for part in parts}) < len(parts):
        raise UsageError(f"--gpus {asked} names a GPU twice")
    for part in parts:
        if int(part) >= there:
            raise UsageError(f"--gpus {asked}: this machine has no GPU {part}")
    return parts
