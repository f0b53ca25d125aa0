"""Checkpoints of a run: what `--resume` goes on from.

`OUT/checkpoint/step-N/` holds safetensors (weights that learn, the optimizer's moments, the
average) and `state.json` (step, settings, manifest, start, records so far). A checkpoint is written
beside and renamed, older ones go afterwards: whenever a run is killed after its first, a whole one
is there. Beside them lies what else a run under way writes, so that a model that it is to replace
stays whole. Must not know how training works.
"""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

from uniqa.errors import InputError, UsageError

FOLDER = "checkpoint"
_STATE = "state.json"
_METRICS = "metrics.jsonl"
_PART = ".part-"

Tensors = dict[str, torch.Tensor]


@dataclass
class Checkpoint:
    """Everything that the steps still to come depend on."""

    step: int
    """Steps done."""
    about: dict[str, Any]
    """What must be the same to go on: settings, manifest, start, versions of the format."""
    weights: Tensors
    optimizer: Tensors
    average: Tensors = field(default_factory=dict)
    facts: dict[str, Any] = field(default_factory=dict)
    """Records so far, broken photos, updates of the average."""


def find(out: Path) -> Path | None:
    """The newest whole checkpoint below a model directory."""
    steps = [p for p in (out / FOLDER).glob("step-*") if (p / _STATE).is_file()]
    return max(steps, key=lambda path: path.name, default=None)


def metrics_file(out: Path) -> Path:
    """Where a run under way writes its metrics; the finished model has them as its own."""
    return out / FOLDER / _METRICS


def not_reached(out: Path) -> bool:
    """Whether a run began below this directory and ended before its first checkpoint.

    False too where something else lies among its files: that is not a run's to be replaced.
    """
    folder = out / FOLDER
    return folder.is_dir() and all(
        path.name == _METRICS or path.name.startswith(_PART) for path in folder.iterdir()
    )


def write(out: Path, checkpoint: Checkpoint) -> None:
    """Write a checkpoint whole, then remove older ones."""
    from safetensors.torch import save_file

    folder = out / FOLDER
    folder.mkdir(parents=True, exist_ok=True)
    place = folder / f"step-{checkpoint.step:09d}"
    scratch = Path(tempfile.mkdtemp(dir=folder, prefix=_PART))
    try:
        for name in ("weights", "optimizer", "average"):
            tensors: Tensors = getattr(checkpoint, name)
            plain = {key: one.detach().cpu().contiguous() for key, one in tensors.items()}
            save_file(plain, scratch / f"{name}.safetensors")
            _sync(scratch / f"{name}.safetensors")
        state = {"step": checkpoint.step, "about": checkpoint.about, "facts": checkpoint.facts}
        (scratch / _STATE).write_text(json.dumps(state, indent=1, sort_keys=True), encoding="utf-8")
        _sync(scratch / _STATE)
        if place.exists():
            shutil.rmtree(place)
        scratch.replace(place)
    except BaseException:
        shutil.rmtree(scratch, ignore_errors=True)
        raise
    for other in folder.iterdir():
        if other not in (place, metrics_file(out)):
            shutil.rmtree(other, ignore_errors=True)


def read(path: Path) -> Checkpoint:
    """Read a checkpoint.

    Raises:
        InputError: damaged.
    """
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        state = json.loads((path / _STATE).read_text(encoding="utf-8"))
        tensors = {
            name: load_file(path / f"{name}.safetensors")
            for name in ("weights", "optimizer", "average")
        }
        return Checkpoint(state["step"], state["about"], **tensors, facts=state["facts"])
    except (OSError, ValueError, KeyError, SafetensorError) as error:
        raise InputError(
            f"the checkpoint {path} cannot be read ({error})", "Start anew with --overwrite"
        ) from error


def check_same(found: Mapping[str, Any], wanted: Mapping[str, Any], out: Path) -> None:
    """Refuse to go on with other settings, another manifest or another start.

    Raises:
        UsageError: naming the first difference.
    """
    there, here = _flat(found), _flat(json.loads(json.dumps(wanted)))
    for name in sorted(there.keys() | here.keys()):
        if there.get(name) != here.get(name):
            raise UsageError(
                f"{out} has a checkpoint with {name} {there.get(name)}, here it is "
                f"{here.get(name)}",
                "Go on with the same settings, name another --out, or --overwrite to start anew",
            )


def remove(out: Path) -> None:
    """Remove all checkpoints below a model directory."""
    shutil.rmtree(out / FOLDER, ignore_errors=True)


def optimizer_tensors(optimizer: torch.optim.Optimizer) -> Tensors:
    """AdamW's moments and counts as ``NAME/moment``; groups must carry `names`."""
    out: Tensors = {}
    for group in optimizer.param_groups:
        for name, parameter in zip(group["names"], group["params"], strict=True):
            for kind, value in optimizer.state.get(parameter, {}).items():
                out[f"{name}/{kind}"] = torch.as_tensor(value)
    return out


def restore_optimizer(optimizer: torch.optim.Optimizer, tensors: Tensors) -> None:
    """The inverse of `optimizer_tensors`."""
    by_name: dict[str, Tensors] = {}
    for key, value in tensors.items():
        name, _, kind = key.rpartition("/")
        by_name.setdefault(name, {})[kind] = value
    for group in optimizer.param_groups:
        for name, parameter in zip(group["names"], group["params"], strict=True):
            if name in by_name:
                # Moments need their parameter's memory format: fused steps go by position.
                optimizer.state[parameter] = {
                    # Fused steps want their count on the parameter's device too.
                    kind: value.to(parameter.device, copy=True)
                    if value.shape != parameter.shape
                    else torch.empty_like(parameter).copy_(value)
                    for kind, value in by_name[name].items()
                }


def _flat(value: Mapping[str, Any], before: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for key, one in value.items():
        flat |= _flat(one, f"{before}{key} ") if isinstance(one, dict) else {f"{before}{key}": one}
    return flat


def _sync(path: Path) -> None:
    with path.open("rb") as file:
        os.fsync(file.fileno())
