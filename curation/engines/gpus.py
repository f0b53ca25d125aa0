"""Which GPUs the engines of a group get. Must not know of engines."""

from __future__ import annotations

from uniqa.errors import UsageError


def share_out(asked: str, each: int = 1, there: int | None = None) -> list[str | None]:
    """One value of ``CUDA_VISIBLE_DEVICES`` per engine.

    Args:
        asked: ``all``, a number of GPUs, or their indices with commas.
        each: GPUs per engine (tensor parallelism).
        there: GPUs of this machine; asked of torch when None.

    Returns:
        As many entries as there will be engines. Without any GPU, a number means that many
        engines on the CPU, and their entries are None.

    Raises:
        UsageError: no such GPUs, or a number that `each` does not divide.
    """
    if there is None:
        import torch

        there = torch.cuda.device_count()
    chosen = _indices(asked, there)
    if not there:
        return [None] * len(chosen)
    if len(chosen) % each or not chosen:
        raise UsageError(
            f"{len(chosen)} GPUs cannot be shared out by {each} per engine",
            "Change --gpus or tensor_parallel",
        )
    return [",".join(chosen[first : first + each]) for first in range(0, len(chosen), each)]


def _indices(asked: str, there: int) -> list[str]:
    if asked == "all":
        if not there:
            raise UsageError("--gpus all: this machine has no GPU", "Name a number of CPU engines")
        return [str(index) for index in range(there)]
    parts = [part.strip() for part in asked.split(",")]
    if not all(part.isdigit() for part in parts):
        raise UsageError(f"--gpus cannot be '{asked}'", "Give all, a number, or indices like 0,2")
    if len(parts) == 1:
        number = int(parts[0])
        if number < 1 or (there and number > there):
            raise UsageError(f"--gpus {asked}: this machine has {there} GPUs")
        return [str(index) for index in range(number)]
    if not there:
        raise UsageError(
            f"--gpus {asked}: this machine has no GPU", "Give one number: of engines on the CPU"
        )
    if len(set(parts)) < len(parts):
        raise UsageError(f"--gpus {asked} names a GPU twice")
    for part in parts:
        if int(part) >= there:
            raise UsageError(f"--gpus {asked}: this machine has no GPU {part}")
    return parts
