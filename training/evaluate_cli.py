"""`uniqa-train evaluate`: parses, calls, prints."""

from __future__ import annotations

from math import isfinite
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from training.options import (
    CacheOption,
    ImageColumn,
    RatingsOption,
    RootOption,
    ScaleOption,
    ScoreColumn,
    SeedOption,
    TaskOption,
    rated_table,
)
from uniqa.console import print_json, print_table, say, warn

if TYPE_CHECKING:
    from training.evaluate import Report


def evaluate(
    directory: Annotated[Path, typer.Argument(metavar="DIR", help="Pre-trained model.")],
    ratings: RatingsOption,
    labels: Annotated[str, typer.Option("--labels", help="Budgets, like 50,100,200.")] = "",
    draws: Annotated[int, typer.Option("--draws", help="Draws per budget.")] = 10,
    test_fraction: Annotated[
        float, typer.Option("--test-fraction", help="Held back where the table has no splits.")
    ] = 0.3,
    bootstrap: Annotated[int, typer.Option("--bootstrap", help="Resamples of groups.")] = 1000,
    scale: ScaleOption = "",
    task: TaskOption = "",
    image_column: ImageColumn = "",
    score_column: ScoreColumn = "",
    images_root: RootOption = None,
    seed: SeedOption = 0,
    cache: CacheOption = None,
    as_json: Annotated[bool, typer.Option("--json", help="All numbers as JSON.")] = False,
) -> None:
    """Compare zero-shot, ridge, fused, adapter and auto on photos none of them has seen."""
    from training.config import AdaptConfig, EvaluateConfig, parse_labels
    from training.features import default_cache
    from training.model import load_model

    config = EvaluateConfig(
        labels=parse_labels(labels),
        draws=draws,
        test_fraction=test_fraction,
        bootstrap=bootstrap,
        seed=seed,
    )
    rated = rated_table(ratings, image_column, score_column, images_root, scale, task)
    model = load_model(directory)
    from training import commands as work

    report, facts = work.evaluate(
        model, rated, config, AdaptConfig(seed=seed), cache or default_cache()
    )
    if as_json:
        print_json(facts | report.as_json())
    else:
        _print_report(report, facts)


def _print_report(report: Report, facts: dict[str, Any]) -> None:
    def shown(estimate: Any) -> str:
        return f"{estimate.value:.3f} [{estimate.low:.3f}, {estimate.high:.3f}]"

    columns = ["method", "SRCC", "PLCC", "KRCC", "RMSE", "pairs right"]
    rows = []
    for method, metrics in report.full.items():
        name = method
        if method == "auto":
            name = f"auto ({next(iter(report.chosen))})"
        rows.append([name, *(shown(estimate) for estimate in metrics.values())])
    print_table(
        f"{facts['task']}: {report.train} labels, tested on {report.test} photos in "
        f"{report.test_groups} groups never learned from, 95 % intervals over groups",
        columns,
        rows,
        right=columns[1:],
    )
    if report.budgets:
        methods = list(report.full)
        lines = []
        for budget, values in report.budgets.items():
            draws = int(max(v["draws"] for v in values.values()))
            cells = []
            for method in methods:
                v = values[method]
                sd = "" if not isfinite(v["sd"]) else f" ± {v['sd']:.3f}"
                cells.append(f"{v['srcc']:.3f}{sd}")
            picks = ", ".join(f"{m} {n}×" for m, n in report.auto_picks[budget].items())
            lines.append([budget, str(draws), *cells, picks])
        print_table(
            "SRCC by number of labels, mean ± sd over draws",
            ["labels", "draws", *methods, "auto picked"],
            lines,
            right=["labels", "draws", *methods],
        )
    for budget, count in report.skipped.items():
        warn(f"{count} draws of {budget} labels left out: their ratings were all the same")
    say(f"auto: {report.why}", "dim")
