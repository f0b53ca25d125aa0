"""`uniqa-train evaluate`: parses, calls, prints."""

from __future__ import annotations

from math import isfinite
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Optional

import typer

from training.options import (
    CacheOption,
    DatasetOption,
    ImageColumn,
    RatingsOption,
    RootOption,
    ScaleOption,
    ScoreColumn,
    SeedOption,
    TaskOption,
    rating_options,
    refuse_idle,
)
from uniqa.console import print_json, print_table, say, warn

if TYPE_CHECKING:
    from training.evaluate import Report

_ORDER = {"srcc": "SRCC", "krcc": "KRCC", "pairwise_accuracy": "pairs right"}
_LINE = {
    "plcc": "PLCC",
    "plcc_logistic": "PLCC, logistic",
    "rmse": "RMSE",
    "rmse_logistic": "RMSE, logistic",
}


def evaluate(
    context: typer.Context,
    directory: Annotated[Path, typer.Argument(metavar="DIR", help="Pre-trained model.")],
    ratings: RatingsOption,
    labels: Annotated[str, typer.Option("--labels", help="Budgets, like 50,100,200.")] = "",
    draws: Annotated[int, typer.Option("--draws", help="Draws per budget.")] = 10,
    test_fraction: Annotated[
        float, typer.Option("--test-fraction", help="Held back where the table has no splits.")
    ] = 0.3,
    bootstrap: Annotated[int, typer.Option("--bootstrap", help="Resamples of groups.")] = 1000,
    votes: Annotated[
        Optional[Path],  # noqa: UP045 - typer reads this at run time
        typer.Option("--votes", help="Table of single votes, for the human ceiling."),
    ] = None,
    votes_columns: Annotated[
        str, typer.Option("--votes-columns", help="Its columns, as IMAGE,RATER,RATING.")
    ] = "",
    protocol: Annotated[
        str,
        typer.Option(
            "--protocol",
            help="selection-free, or best-on-test: the paper's, in a row marked as such.",
        ),
    ] = "selection-free",
    confidence: Annotated[
        float, typer.Option("--confidence", help="Of the intervals around single scores.")
    ] = 0.9,
    pass_mark: Annotated[
        Optional[float],  # noqa: UP045
        typer.Option("--pass-mark", help="Lowest rating that passes: what can be automated?"),
    ] = None,
    pictures: Annotated[
        Optional[Path],  # noqa: UP045
        typer.Option("--pictures", help="Folder for scatter.png and labels.png."),
    ] = None,
    predictions: Annotated[
        Optional[Path],  # noqa: UP045
        typer.Option("--predictions", help="CSV for the test photos' scores by every method."),
    ] = None,
    scale: ScaleOption = "",
    task: TaskOption = "",
    dataset: DatasetOption = "",
    image_column: ImageColumn = "",
    score_column: ScoreColumn = "",
    images_root: RootOption = None,
    seed: SeedOption = 0,
    cache: CacheOption = None,
    as_json: Annotated[bool, typer.Option("--json", help="All numbers as JSON.")] = False,
) -> None:
    """Compare zero-shot, every way to adapt but lora, and auto on photos none of them has seen."""
    from training.config import AdaptConfig, EvaluateConfig, parse_labels
    from training.data import read_rated
    from training.features import default_cache
    from training.model import load_model

    if not labels:
        refuse_idle(context, {"draws": ("--draws", "Name budgets by --labels")})
    if votes is None:
        refuse_idle(context, {"votes_columns": ("--votes-columns", "Name the table by --votes")})
    config = EvaluateConfig(
        labels=parse_labels(labels),
        draws=draws,
        test_fraction=test_fraction,
        bootstrap=bootstrap,
        seed=seed,
        protocol=protocol,
        confidence=confidence,
    )
    options = rating_options(image_column, score_column, images_root, scale, task, dataset)
    rated = read_rated(ratings, **options)
    model = load_model(directory)
    from training import commands as work

    extras = work.Extras(votes, votes_columns, pass_mark, pictures, predictions)
    report, facts = work.evaluate(
        model, rated, config, AdaptConfig(seed=seed), cache or default_cache(), extras
    )
    if as_json:
        print_json(facts | report.as_json())
        return
    _print_methods(report, facts)
    _print_budgets(report)
    _print_intervals(report, confidence)
    if pass_mark is not None:
        _print_decisions(report, pass_mark, confidence)
    _print_people(report)
    say(f"auto: {report.why}", "dim")


def _shown(estimate: Any) -> str:
    if estimate is None or not isfinite(estimate.value):
        return "–"
    ends = "" if not isfinite(estimate.low) else f" [{estimate.low:.3f}, {estimate.high:.3f}]"
    return f"{estimate.value:.3f}{ends}"


def _print_methods(report: Report, facts: dict[str, Any]) -> None:
    print_table(
        f"{facts['task']}: {report.train} labels, tested on {report.test} photos in "
        f"{report.test_groups} groups without a label, 95 % intervals over groups",
        ["order", *_ORDER.values(), *(["of human ceiling"] if report.ceiling else [])],
        _rows(report, _ORDER, shares=True),
        right=[*_ORDER.values(), "of human ceiling"],
    )
    print_table(
        "The same on the scale from 0 to 1, as it is and through the logistic fitted on the labels",
        ["values", *_LINE.values()],
        _rows(report, _LINE),
        right=_LINE.values(),
    )
    if report.best_epoch is not None:
        warn(
            f"'best epoch on test' kept epoch {report.best_epoch} because it was best on the test "
            "itself, as the UniQA paper did: optimistic, compare it with published numbers only"
        )
    for method, curve in report.curves.items():
        if curve.note and method != "auto":
            say(f"{method}: {curve.note}", "dim")


def _rows(report: Report, columns: dict[str, str], *, shares: bool = False) -> list[list[str]]:
    rows = []
    for method, metrics in report.full.items():
        name = f"auto ({next(iter(report.chosen))})" if method == "auto" else method
        cells = [_shown(metrics.get(column)) for column in columns]
        if shares and report.ceiling:
            cells.append(_shown(report.ceiling.shares[method]))
        rows.append([name, *cells])
    return rows


def _print_budgets(report: Report) -> None:
    if report.budgets:
        methods = list(report.full)
        lines = []
        for budget, values in report.budgets.items():
            draws = int(max(v["draws"] for v in values.values()))
            cells = []
            for method in methods:
                v = values[method]
                sd = "" if not isfinite(v["sd"]) or v["sd"] == 0 else f" ± {v['sd']:.3f}"
                cells.append(f"{v['srcc']:.3f}{sd}" if isfinite(v["srcc"]) else "–")
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


def _print_intervals(report: Report, confidence: float) -> None:
    from training.intervals import needed

    covered = report.coverage.get("auto")
    if covered is not None:
        say(
            f"{confidence:.0%} intervals of auto's scores (± {covered.half_width:.3f} of the "
            "scale, from folds of the labels) hold "
            f"{covered.share:.1%} of the test photos' ratings"
        )
    elif report.residuals:
        say(
            f"too few labels for {confidence:.0%} intervals of single scores: "
            f"{needed(confidence)} groups of photos are needed"
        )


def _print_decisions(report: Report, mark: float, confidence: float) -> None:
    if not report.decided:
        warn(f"nothing can be decided at the pass mark {mark:g} without intervals")
        return
    rows = [
        [
            method,
            f"{d.automated:.1%}",
            "–" if not isfinite(d.wrong) else f"{d.wrong:.1%}",
            str(d.passed),
            str(d.failed),
            str(d.left),
        ]
        for method, d in report.decided.items()
    ]
    columns = [
        "method",
        "decided without a person",
        "of these wrongly",
        "pass",
        "fail",
        "to a person",
    ]
    print_table(
        f"At the pass mark {mark:g}, with {confidence:.0%} intervals",
        columns,
        rows,
        right=columns[1:],
    )


def _print_people(report: Report) -> None:
    human = report.ceiling
    if human is None:
        return
    rows = [
        ["a second panel of the same size (human ceiling)", _shown(human.panel)],
        ["half a panel and the other half", f"{human.halves:.3f}"],
        ["one rater and the mean of the others", f"{human.single:.3f}"],
        ["what the true opinion would reach (√ceiling)", f"{human.truth:.3f}"],
        [f"reliability of the mean, {human.icc_kind}", f"{human.icc:.3f}"],
    ]
    print_table(
        f"People among themselves: {human.votes:,} votes of {human.raters} raters on "
        f"{human.photos} test photos",
        ["agreement", "SRCC"],
        rows,
        right=["SRCC"],
    )
