"""Methods compared on photos they have not seen, with nothing chosen on the test.

Must not know files or the console: it takes views and ratings, and returns numbers.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from training.adapt import LEARNED, choose, fit_head, predict
from training.config import AdaptConfig, EvaluateConfig
from training.metrics import Estimate, rmse, srcc, with_intervals
from training.views import Views
from uniqa.errors import InputError
from uniqa.splits import seeded_key

METHODS = ("zero-shot", *LEARNED, "auto")

Scores = NDArray[np.float64]


@dataclass(frozen=True)
class Task:
    """Views, unified scores, groups and ids of rated photos, with the pool and the test's rows."""

    views: Views
    scores: Scores
    groups: list[str]
    ids: list[str]
    pool: list[int]
    test: list[int]


@dataclass
class Report:
    """What `evaluate` prints: per method on all labels, and per budget over draws."""

    train: int
    test: int
    test_groups: int
    full: dict[str, dict[str, Estimate]] = field(default_factory=dict)
    chosen: dict[str, int] = field(default_factory=dict)
    why: str = ""
    budgets: dict[str, dict[str, dict[str, float]]] = field(default_factory=dict)
    auto_picks: dict[str, dict[str, int]] = field(default_factory=dict)
    skipped: dict[str, int] = field(default_factory=dict)

    def as_json(self) -> dict[str, Any]:
        """Plain values; intervals as [low, high]; undefined numbers as null."""
        return {
            "train": self.train,
            "test": self.test,
            "test_groups": self.test_groups,
            "all_labels": {
                method: {
                    name: {"value": _null(e.value), "interval": [_null(e.low), _null(e.high)]}
                    for name, e in metrics.items()
                }
                for method, metrics in self.full.items()
            },
            "auto": {"why": self.why, "picks": self.auto_picks},
            "labels": {
                budget: {
                    method: {name: _null(value) for name, value in values.items()}
                    for method, values in methods.items()
                }
                for budget, methods in self.budgets.items()
            },
            "draws_left_out": self.skipped,
        }


def compare(
    task: Task,
    config: EvaluateConfig,
    adapt: AdaptConfig,
    tick: Callable[[str], None] = lambda _: None,
) -> Report:
    """Every method on all labels with intervals, then on draws of each label budget.

    `tick` hears after each fit; there are `fits_of` of them.

    Raises:
        InputError: the pool's ratings are all the same.
    """
    there, truth = task.views.take(task.test), task.scores[task.test]
    groups = [task.groups[row] for row in task.test]
    report = Report(len(task.pool), len(task.test), len(set(groups)))
    scored, pick, report.why = _all_methods(task, task.pool, adapt, there)
    report.chosen[pick] = 1
    report.auto_picks["all"] = {pick: 1}
    tick("all labels")
    for method in METHODS:
        report.full[method] = with_intervals(
            scored[method], truth, groups, resamples=config.bootstrap, seed=config.seed
        )
    for count in config.labels:
        whole = count >= len(task.pool)
        budget = f"all ({len(task.pool)})" if whole else str(count)
        if budget in report.budgets:
            continue
        found: dict[str, list[tuple[float, float]]] = {method: [] for method in METHODS}
        picks: dict[str, int] = {}
        for number in range(1 if whole else config.draws):
            seed = config.seed * 1000 + number
            drawn = sorted(task.pool, key=lambda row: seeded_key(seed, task.ids[row]))[:count]
            rows = sorted(drawn)
            try:
                scored, pick, _ = _all_methods(task, rows, adapt, there)
            except InputError:
                # A handful of labels can all be the same: such a draw teaches nothing.
                report.skipped[budget] = report.skipped.get(budget, 0) + 1
                tick(f"{budget} labels")
                continue
            picks[pick] = picks.get(pick, 0) + 1
            for method in METHODS:
                found[method].append((srcc(scored[method], truth), rmse(scored[method], truth)))
            tick(f"{budget} labels")
        report.auto_picks[budget] = picks
        report.budgets[budget] = {method: _summary(values) for method, values in found.items()}
    return report


def fits_of(task: Task, config: EvaluateConfig) -> int:
    """How many times `compare` ticks."""
    smaller = [count for count in config.labels if count < len(task.pool)]
    return 1 + len(smaller) * config.draws + (len(smaller) < len(config.labels))


def _all_methods(
    task: Task, rows: Sequence[int], adapt: AdaptConfig, there: Views
) -> tuple[dict[str, Scores], str, str]:
    here, scores = task.views.take(rows), task.scores[list(rows)]
    groups = [task.groups[row] for row in rows]
    choice = choose(here, scores, groups, adapt)
    scored = {"zero-shot": np.clip(there.zero_shot, 0, 1)}
    for method in LEARNED:
        head = fit_head(method, here, scores, groups, adapt)
        scored[method] = predict(head, there)
    scored["auto"] = scored[choice.method]
    return scored, choice.method, choice.why


def _summary(values: Sequence[tuple[float, float]]) -> dict[str, float]:
    if not values:
        nan = float("nan")
        return {"srcc": nan, "sd": nan, "rmse": nan, "draws": 0}
    orders, errors = np.array(values).T
    known = orders[np.isfinite(orders)]
    sd = float(known.std(ddof=1)) if len(known) > 1 else float("nan")
    mean = float(known.mean()) if len(known) else float("nan")
    return {"srcc": mean, "sd": sd, "rmse": float(errors.mean()), "draws": len(values)}


def _null(value: float) -> float | None:
    return value if np.isfinite(value) else None
