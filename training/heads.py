"""Learned heads as tensors and facts, for the model directory.

Every method has one way into a file and back; what is not a tensor is JSON. Must not know how
heads are learned or where files lie.
"""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

import numpy as np
import torch

from training.adapter import Adapter
from training.cue_adapter import CueAdapter
from training.fused import Fused, Recipe, Term
from training.ridge import Ridge

Learned = Ridge | Adapter | CueAdapter | Fused

_KINDS = {
    "ridge": Ridge,
    "adapter": Adapter,
    "cues": CueAdapter,
    "fused": Fused,
    "lora": CueAdapter,
}

KNOWN = tuple(_KINDS)
"""Methods whose heads can be read."""


def pack(learned: Learned) -> tuple[dict[str, torch.Tensor], dict[str, Any]]:
    """Tensors by name, and JSON-ready facts."""
    if isinstance(learned, Fused):
        return _pack_fused(learned)
    if isinstance(learned, Ridge):
        arrays = {name: getattr(learned, name) for name in ("mean", "std", "weights")}
        facts = {n: getattr(learned, n) for n in ("bias", "alpha", "choice", "left_out_rmse")}
        return {name: torch.from_numpy(array) for name, array in arrays.items()}, facts
    return dict(vars(learned)), {}


def unpack(method: str, tensors: dict[str, torch.Tensor], facts: dict[str, Any]) -> Learned:
    """The head that was packed.

    Raises:
        KeyError: a tensor, a fact or the method is missing.
        TypeError, ValueError: one of another shape or type.
    """
    kind = _KINDS[method]
    if kind is Fused:
        return _unpack_fused(tensors, facts)
    if kind is Ridge:
        return Ridge(
            mean=tensors["mean"].numpy(),
            std=tensors["std"].numpy(),
            weights=tensors["weights"].numpy(),
            bias=float(facts["bias"]),
            alpha=float(facts["alpha"]),
            choice=str(facts["choice"]),
            left_out_rmse=float(facts["left_out_rmse"]),
        )
    if kind is Adapter:
        return Adapter(**{name: tensors[name] for name in Adapter.__dataclass_fields__})
    return CueAdapter(**{name: tensors[name] for name in CueAdapter.__dataclass_fields__})


def _pack_fused(learned: Fused) -> tuple[dict[str, torch.Tensor], dict[str, Any]]:
    tensors = {
        "mean": torch.from_numpy(learned.mean),
        "landmarks": torch.from_numpy(learned.landmarks),
        "duals": torch.from_numpy(np.stack([term.dual for term in learned.terms])),
    }
    terms = []
    for term in learned.terms:
        told = asdict(term)
        del told["dual"]
        terms.append(told)
    ranges = {name: list(ends) for name, ends in learned.ranges.items()}
    return tensors, {"ranges": ranges, "terms": terms, "left_out_rmse": learned.left_out_rmse}


def _unpack_fused(tensors: dict[str, torch.Tensor], facts: dict[str, Any]) -> Fused:
    terms = []
    for told, dual in zip(facts["terms"], tensors["duals"].numpy(), strict=True):
        recipe = told["recipe"]
        weights = tuple((str(block), float(share)) for block, share in recipe["weights"])
        numbers = {n: float(told[n]) for n in ("width", "bias", "alpha", "left_out_rmse", "share")}
        named = Recipe(str(recipe["name"]), weights, bool(recipe["curved"]))
        terms.append(Term(recipe=named, dual=dual, **numbers))
    ranges = {str(name): (int(a), int(b)) for name, (a, b) in facts["ranges"].items()}
    mean, landmarks = tensors["mean"].numpy(), tensors["landmarks"].numpy()
    return Fused(ranges, mean, landmarks, tuple(terms))
