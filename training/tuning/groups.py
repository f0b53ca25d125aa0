"""Parameter groups: which learning rate and decay each parameter has.

Layer-wise decay (BEiT, arXiv 2106.08254): lower layers, which hold what all photos and texts
share, learn slower. Only matrices decay; biases, gains, the temperature and the bias do not.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

import torch

_LAYER = re.compile(r"\.(?:layers?|_blocks)\.(\d+)\.")
_BOTTOM = re.compile(r"embeddings|_conv_stem|pre_layrnorm|net\._bn0")
_TOWER = re.compile(r"(?:^|\.)(vision_model|text_model|net)\.")


def layer_of(name: str) -> int | None:
    """The layer of a parameter counted from the input: 0 for embeddings; None for what is on top.

    What is on top is everything after the last layer, and what stands outside the towers.
    """
    found = _LAYER.search(name)
    if found:
        return int(found[1]) + 1
    return 0 if _BOTTOM.search(name) else None


def tower_of(name: str) -> str:
    """The tower that a parameter belongs to; empty for what stands outside."""
    found = _TOWER.search(name)
    return found[1] if found else ""


def rate_shares(names: Iterable[str], layer_decay: float) -> dict[str, float]:
    """Per parameter the share of the learning rate: decay^(layers above it, the top counted).

    Raises:
        ValueError: a decay outside (0, 1].
    """
    if not 0 < layer_decay <= 1:
        raise ValueError(f"layer-wise decay lies in (0, 1], not {layer_decay}")
    names = list(names)
    tops: dict[str, int] = {}
    for name in names:
        tower, layer = tower_of(name), layer_of(name)
        tops[tower] = max(tops.get(tower, 0), (layer or 0) + 1)
    return {
        name: 1.0
        if (layer := layer_of(name)) is None
        else layer_decay ** (tops[tower_of(name)] - layer)
        for name in names
    }


def parameter_groups(
    named: Iterable[tuple[str, torch.nn.Parameter]],
    *,
    lr: float,
    weight_decay: float,
    layer_decay: float = 1.0,
    factors: dict[str, float] | None = None,
) -> list[dict[str, Any]]:
    """AdamW's groups over the parameters that learn, in a fixed order.

    Each has `peak`, its rate at the top of the schedule, and `names`.

    Args:
        named: names and parameters; those that do not require a gradient are left out.
        lr: the rate of the top layers.
        weight_decay: of matrices.
        layer_decay: in (0, 1]; 1 gives every layer the same rate.
        factors: beginning of a name → multiplier of its rate.
    """
    named = [(name, value) for name, value in named if value.requires_grad]
    shares = rate_shares([name for name, _ in named], layer_decay)
    groups: dict[tuple[float, float], dict[str, Any]] = {}
    for name, value in named:
        factor = next((f for start, f in (factors or {}).items() if name.startswith(start)), 1.0)
        peak = lr * shares[name] * factor
        decay = weight_decay if value.ndim > 1 else 0.0
        group = groups.setdefault(
            (peak, decay),
            {"params": [], "names": [], "lr": peak, "peak": peak, "weight_decay": decay},
        )
        group["params"].append(value)
        group["names"].append(name)
    return list(groups.values())
