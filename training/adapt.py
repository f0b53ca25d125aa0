"""Heads learned from a few ratings, and the choice among them inside those ratings.

`ridge` on the image tower's features, `adapter` as UniQA has it, `cues` from the zero-shot score
on, `fused` on all that is known of a photo; `auto` takes `fused` unless folds of the labels, which
no group straddles, clearly speak for another. Must not know test photos exist.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from training.adapter import fit_adapters
from training.config import AdaptConfig
from training.cue_adapter import fit_cue_adapter
from training.cues import cue_names
from training.data import make_folds
from training.fused import Fused, fit_fused
from training.heads import Learned
from training.panels import Panel
from training.recipes import recipes_for
from training.ridge import Ridge, check_scores, fit_ridge
from training.views import Views

LEARNED = ("ridge", "adapter", "cues", "fused")
"""From the simplest to the one that knows most; ties go to the simpler."""

STANDARD = "fused"
"""What `auto` takes unless the labels clearly speak against it."""

FEW = 10
"""Below this many labels folds tell nothing; `auto` is ridge."""

Scores = NDArray[np.float64]


@dataclass(frozen=True)
class Choice:
    """A method, why it was taken, and every candidate's error on folds of the labels."""

    method: str
    why: str
    errors: dict[str, float]


def fit_head(
    method: str,
    views: Views,
    scores: Scores,
    groups: Sequence[str],
    config: AdaptConfig,
    panel: Panel | None = None,
) -> Learned:
    """Learn one method's head from all the photos given; `panel` tells who rated them.

    Raises:
        InputError: fewer than two photos, or all rated the same.
    """
    check_scores(scores)
    if method == "ridge":
        return fit_ridge(views.features, scores, groups, views.candidates())
    if method == "fused":
        recipes = recipes_for(views.task, views.families)
        return fit_fused(views.together, scores, groups, views.ranges, recipes, config.seed)
    if method == "cues":
        folds = make_folds(groups, config.seed) if len(scores) >= FEW else []
        return fit_cue_adapter(
            views.embeddings,
            scores,
            folds,
            views.prompts,
            views.scale,
            seed=config.seed,
            panel=panel,
        )[0]
    if method != "adapter":
        raise ValueError(f"'{method}' is not learned on features")
    everything = [list(range(len(scores)))]
    return fit_adapters(views.embeddings, scores, everything, views.prompts, views.scale, config)[0]


def predict(head: Learned, views: Views) -> Scores:
    """(n,) unified scores, clipped to 0–1."""
    if isinstance(head, Ridge):
        raw = head.predict(views.features)
    elif isinstance(head, Fused):
        raw = head.predict(views.together)
    else:
        raw = head.predict(views.embeddings, views.prompts, views.scale)
    clipped: Scores = np.clip(raw, 0.0, 1.0)
    return clipped


def choose(
    views: Views,
    scores: Scores,
    groups: Sequence[str],
    config: AdaptConfig,
    panel: Panel | None = None,
) -> Choice:
    """`fused`, unless folds of the labels tell clearly that another method misses them by less.

    Fifty labels cannot tell methods apart that are nearly as good, and following their noise costs
    more than it brings. So the method that knows most and averages is kept, unless another's
    squared error is smaller by more than one standard error of the difference, photos of one group
    counted together (the rule of one standard error; Breiman et al., CART, 1984).

    Raises:
        InputError: fewer than two photos, or all rated the same.
    """
    check_scores(scores)
    if len(scores) < FEW:
        return Choice("ridge", f"fewer than {FEW} labels: folds would tell nothing", {})
    folds = make_folds(groups, config.seed)
    if len(folds) < 2:
        return Choice("ridge", "all labels belong to one group: no folds to compare on", {})
    learn = [sorted(set(range(len(scores))) - set(fold)) for fold in folds]
    if any(np.ptp(scores[rows]) == 0 for rows in learn):
        return Choice("ridge", "too few different ratings to compare on folds", {})
    adapters = fit_adapters(views.embeddings, scores, learn, views.prompts, views.scale, config)
    squared = {method: np.zeros(len(scores)) for method in LEARNED}
    for fold, rows, adapter in zip(folds, learn, adapters, strict=True):
        there = views.take(fold)
        here, known = views.take(rows), [groups[r] for r in rows]
        raters = panel.take(rows) if panel else None
        for method in LEARNED:
            # Adapters of all folds have learned together, which is cheaper.
            head = (
                adapter
                if method == "adapter"
                else fit_head(method, here, scores[rows], known, config, raters)
            )
            squared[method][fold] = (predict(head, there) - scores[fold]) ** 2
    errors = {method: float(np.sqrt(each.mean())) for method, each in squared.items()}
    told = ", ".join(f"{method} {errors[method]:.4f}" for method in LEARNED)
    clear = [m for m in LEARNED if _clearly_less(squared[m], squared[STANDARD], groups)]
    best = min([STANDARD, *clear], key=lambda method: errors[method])
    if best != STANDARD:
        why = f"misses folds of the labels by clearly less than {STANDARD}"
    elif min(errors.values()) == errors[STANDARD]:
        why = f"smallest error on {len(folds)} folds of the labels"
    else:
        why = f"no method misses {len(folds)} folds of the labels by clearly less"
    return Choice(best, f"{why} (RMSE {told})", errors)


def _clearly_less(ours: Scores, theirs: Scores, groups: Sequence[str]) -> bool:
    """Whether squared errors (n,) are smaller by more than one standard error over groups."""
    codes = np.unique(np.asarray(groups, dtype=str), return_inverse=True)[1]
    gained = np.bincount(codes, weights=theirs - ours)
    doubt = float(np.sqrt(len(gained)) * gained.std(ddof=1)) if len(gained) > 1 else np.inf
    return float(gained.sum()) > doubt


def learn(
    views: Views,
    scores: Scores,
    groups: Sequence[str],
    config: AdaptConfig,
    panel: Panel | None = None,
) -> tuple[str, Learned, Choice]:
    """Choose (where the method is `auto`) and fit on all labels."""
    choice = Choice(config.method, "as asked", {})
    if config.method == "auto":
        choice = choose(views, scores, groups, config, panel)
    head = fit_head(choice.method, views, scores, groups, config, panel)
    return choice.method, head, choice


def facts_of(choice: Choice, labels: int, task: str) -> dict[str, Any]:
    """What a head's file tells about its making."""
    return {
        "labels": labels,
        "why": choice.why,
        "fold_rmse": choice.errors,
        "cues": cue_names(task),
    }
