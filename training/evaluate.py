"""Methods compared on photos they have not seen, with nothing chosen on the test.

Curves and intervals come from out-of-fold scores of the labels alone. Only where the paper's own
protocol is asked for is the test looked at while learning, in a row of its own that says so. Must
not know files or the console: it takes views and ratings, and returns numbers.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from training.adapt import LEARNED, choose, fit_head, predict
from training.best_on_test import NAME as BEST_ON_TEST
from training.best_on_test import best_on_test
from training.ceiling import Ceiling
from training.config import AdaptConfig, EvaluateConfig
from training.folds import out_of_fold
from training.heads import Learned
from training.intervals import Decided, Residuals, decide
from training.logistic import Curve, fit_logistic
from training.metrics import Estimate, plcc, rmse, srcc, with_intervals
from training.panels import Panel
from training.views import Views
from uniqa.errors import InputError
from uniqa.splits import seeded_key

METHODS = ("zero-shot", *LEARNED, "auto")
"""What is compared; not `lora`, whose tower would have to learn for every draw and fold."""

OWN = "its own head"
"""The row of the head that the model has, as `score` uses it; the labels here do not change it."""

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
    panel: Panel | None = None
    """Who rated them."""
    own: Learned | None = None
    """The head that the model has already."""

    def panel_of(self, rows: Sequence[int]) -> Panel | None:
        """Who rated these photos."""
        return self.panel.take(rows) if self.panel else None


@dataclass(frozen=True, slots=True)
class Coverage:
    """How intervals learned from the labels do on the test, all on the unified scale."""

    half_width: float
    share: float
    """Of test photos whose mean rating lies inside."""


@dataclass
class Report:
    """What `evaluate` prints: per method on all labels, and per budget over draws."""

    train: int
    test: int
    test_groups: int
    full: dict[str, dict[str, Estimate]] = field(default_factory=dict)
    scored: dict[str, Scores] = field(default_factory=dict)
    """Method → (test,) unified scores by all labels."""
    curves: dict[str, Curve] = field(default_factory=dict)
    residuals: dict[str, Residuals] = field(default_factory=dict)
    """Method → out-of-fold residuals of all labels, where folds were possible."""
    coverage: dict[str, Coverage] = field(default_factory=dict)
    decided: dict[str, Decided] = field(default_factory=dict)
    chosen: dict[str, int] = field(default_factory=dict)
    why: str = ""
    budgets: dict[str, dict[str, dict[str, float]]] = field(default_factory=dict)
    auto_picks: dict[str, dict[str, int]] = field(default_factory=dict)
    skipped: dict[str, int] = field(default_factory=dict)
    ceiling: Ceiling | None = None
    best_epoch: int | None = None

    def as_json(self) -> dict[str, Any]:
        """Plain values; intervals as [low, high]; undefined numbers as null."""
        found: dict[str, Any] = {
            "train": self.train,
            "test": self.test,
            "test_groups": self.test_groups,
            "all_labels": {
                method: {name: _estimate(e) for name, e in metrics.items()}
                for method, metrics in self.full.items()
            },
            "curves": {method: asdict(curve) for method, curve in self.curves.items()},
            "score_intervals": {method: asdict(c) for method, c in self.coverage.items()},
            "auto": {"why": self.why, "picks": self.auto_picks},
            "labels": self.budgets,
            "draws_left_out": self.skipped,
        }
        if self.decided:
            found["pass_mark"] = {method: asdict(d) for method, d in self.decided.items()}
        if self.ceiling:
            human = self.ceiling
            found["human"] = {
                "photos": human.photos,
                "raters": human.raters,
                "votes": human.votes,
                "half_panels_srcc": human.halves,
                "ceiling": _estimate(human.panel),
                "truth_would_reach": human.truth,
                "one_rater_srcc": human.single,
                "icc": {"kind": human.icc_kind, "value": human.icc},
                "share_of_ceiling": {m: _estimate(e) for m, e in human.shares.items()},
            }
        if self.best_epoch is not None:
            found["best_on_test"] = {
                "row": BEST_ON_TEST,
                "epoch": self.best_epoch,
                "warning": "chosen on the test: optimistic, for comparison with published numbers",
            }
        return found


def compare(
    task: Task,
    config: EvaluateConfig,
    adapt: AdaptConfig,
    tick: Callable[[str], None] = lambda _: None,
) -> Report:
    """Every method on all labels with intervals, then on draws of each label budget.

    `tick` hears after each step; there are `steps_of` of them.

    Raises:
        InputError: the pool's ratings are all the same.
    """
    report = _on_all_labels(task, config, adapt, tick)
    there, truth = task.views.take(task.test), task.scores[task.test]
    for count in config.labels:
        whole = count >= len(task.pool)
        budget = f"all ({len(task.pool)})" if whole else str(count)
        if budget in report.budgets:
            continue
        found: dict[str, list[tuple[float, float, float]]] = {m: [] for m in report.full}
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
            if config.protocol == "best-on-test":
                here = task.views.take(rows)
                best = best_on_test(here, task.scores[rows], there, truth, adapt)
                scored[BEST_ON_TEST] = best.scores
            picks[pick] = picks.get(pick, 0) + 1
            for method, values in scored.items():
                found[method].append(
                    (srcc(values, truth), plcc(values, truth), rmse(values, truth))
                )
            tick(f"{budget} labels")
        report.auto_picks[budget] = picks
        report.budgets[budget] = {method: _summary(values) for method, values in found.items()}
    return report


def steps_of(task: Task, config: EvaluateConfig) -> int:
    """How many times `compare` ticks."""
    smaller = [count for count in config.labels if count < len(task.pool)]
    draws = len(smaller) * config.draws + (len(smaller) < len(config.labels))
    best = config.protocol == "best-on-test"
    own = task.own is not None
    return 1 + best + len(LEARNED) + len(METHODS) + own + best + draws


def _on_all_labels(
    task: Task, config: EvaluateConfig, adapt: AdaptConfig, tick: Callable[[str], None]
) -> Report:
    here, there = task.views.take(task.pool), task.views.take(task.test)
    labels, truth = task.scores[task.pool], task.scores[task.test]
    label_groups = [task.groups[row] for row in task.pool]
    groups = [task.groups[row] for row in task.test]
    report = Report(len(task.pool), len(task.test), len(set(groups)))
    scored, pick, report.why = _all_methods(task, task.pool, adapt, there)
    report.scored = scored
    report.chosen[pick] = 1
    report.auto_picks["all"] = {pick: 1}
    tick("all labels")
    if config.protocol == "best-on-test":
        best = best_on_test(here, labels, there, truth, adapt)
        scored[BEST_ON_TEST], report.best_epoch = best.scores, best.epoch
        tick("best on test")
    apart: dict[str, Scores | None] = {"zero-shot": np.clip(here.zero_shot, 0, 1)}
    for method in LEARNED:
        apart[method] = out_of_fold(
            method, here, labels, label_groups, adapt, task.panel_of(task.pool)
        )
        tick("folds of the labels")
    apart["auto"] = apart[pick]
    for method, values in scored.items():
        known = apart.get(method)
        curve = fit_logistic(known, labels) if known is not None else None
        if curve is not None:
            report.curves[method] = curve
            if method != "zero-shot":
                report.residuals[method] = Residuals.of(known, labels, label_groups)  # type: ignore[arg-type]
        report.full[method] = with_intervals(
            values,
            truth,
            groups,
            mapped=curve(values) if curve is not None else None,
            resamples=config.bootstrap,
            seed=config.seed,
        )
        tick("intervals")
    for method, residuals in report.residuals.items():
        half = residuals.half_width(config.confidence)
        if half is not None:
            inside = np.abs(scored[method] - truth) <= half
            report.coverage[method] = Coverage(half, float(inside.mean()))
    return report


def judge_at(report: Report, truth: Scores, mark: float) -> None:
    """Add what every method's intervals decide at a pass mark (unified) to a report."""
    for method, covered in report.coverage.items():
        report.decided[method] = decide(report.scored[method], covered.half_width, truth, mark)


def _all_methods(
    task: Task, rows: Sequence[int], adapt: AdaptConfig, there: Views
) -> tuple[dict[str, Scores], str, str]:
    here, scores = task.views.take(rows), task.scores[list(rows)]
    groups, panel = [task.groups[row] for row in rows], task.panel_of(rows)
    choice = choose(here, scores, groups, adapt, panel)
    scored = {"zero-shot": np.clip(there.zero_shot, 0, 1)}
    for method in LEARNED:
        head = fit_head(method, here, scores, groups, adapt, panel)
        scored[method] = predict(head, there)
    scored["auto"] = scored[choice.method]
    if task.own is not None:
        scored[OWN] = predict(task.own, there)
    return scored, choice.method, choice.why


def _summary(values: Sequence[tuple[float, float, float]]) -> dict[str, float]:
    nan = float("nan")
    if not values:
        return {"srcc": nan, "sd": nan, "plcc": nan, "rmse": nan, "draws": 0}
    orders, lines, errors = np.array(values).T
    known = orders[np.isfinite(orders)]
    sd = float(known.std(ddof=1)) if len(known) > 1 else nan
    return {
        "srcc": float(known.mean()) if len(known) else nan,
        "sd": sd,
        "plcc": float(np.nanmean(lines)) if np.isfinite(lines).any() else nan,
        "rmse": float(errors.mean()),
        "draws": len(values),
    }


def _estimate(e: Estimate) -> dict[str, Any]:
    return {"value": e.value, "interval": [e.low, e.high]}
