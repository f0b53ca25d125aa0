"""Cue rows: prompts in five levels per cue, and the zero-shot score read from them.

The rule is UniQA's (arXiv 2406.01069, section 3.4): a softmax over the five level prompts of a cue,
the expected level value, and the mean over cues. Must not know what an embedding was made from.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from uniqa.errors import UsageError, nearest

if TYPE_CHECKING:
    import torch

LEVEL_VALUES = (0.2, 0.4, 0.6, 0.8, 1.0)
"""What bad … perfect are worth before anything is learned."""

_OVERALL = ("bad image", "poor image", "fair image", "good image", "perfect image")
_QUALITY = (
    "extremely low-quality image",
    "low-quality image",
    "medium-quality image",
    "high-quality image",
    "extremely high-quality image",
)

CUES: dict[str, dict[str, tuple[str, ...]]] = {
    "quality": {
        "overall": _OVERALL,
        "quality": _QUALITY,
        "sharpness": (
            "extremely blurry image",
            "blurry image",
            "slightly soft image",
            "sharp image",
            "extremely sharp image",
        ),
        "noise": (
            "extremely noisy image",
            "noisy image",
            "slightly grainy image",
            "noise-free image",
            "extremely noise-free image",
        ),
    },
    "aesthetic": {
        "overall": _OVERALL,
        "quality": _QUALITY,
        "beauty": (
            "extremely ugly image",
            "ugly image",
            "ordinary image",
            "beautiful image",
            "extremely beautiful image",
        ),
        "composition": (
            "extremely cluttered composition",
            "careless composition",
            "plain composition",
            "pleasing composition",
            "masterful composition",
        ),
    },
}
"""Task → cue → five prompts, worst first; no wording stands twice in a row."""


def cue_names(task: str) -> list[str]:
    """The names of a task's cues, in the order of every cue array.

    Raises:
        UsageError: no such task.
    """
    if task not in CUES:
        raise UsageError(f"no task '{task}'", nearest(task, CUES))
    return list(CUES[task])


def cue_prompts(task: str) -> list[str]:
    """All prompts of a task, cue after cue, worst level first: cues × 5 texts."""
    return [prompt for cue in cue_names(task) for prompt in CUES[task][cue]]


def cue_scores(
    image: torch.Tensor, text: torch.Tensor, scale: torch.Tensor, values: torch.Tensor
) -> torch.Tensor:
    """Expected level value of each photo under each cue.

    Args:
        image: unit-length image embeddings, (…, n, d).
        text: unit-length prompt embeddings, (cues, 5, d).
        scale: the contrastive temperature's inverse, exp(logit_scale).
        values: what the five levels are worth, (…, 5).

    Returns:
        (…, n, cues), inside the range of `values`; their mean over cues is the score.
    """
    flat = image @ text.flatten(0, 1).T
    shares = (scale * flat).unflatten(-1, text.shape[:2]).softmax(-1)
    expected: torch.Tensor = (shares * values[..., None, None, :]).sum(-1)
    return expected
