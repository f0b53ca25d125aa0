"""A model and ratings in, every method's agreement out."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from training.best_on_test import NAME as BEST_ON_TEST
from training.ceiling import human_ceiling, ticks
from training.commands.photos import check_differ, one_per_photo, rated_features
from training.config import AdaptConfig, EvaluateConfig
from training.cues import cue_names
from training.data import Rated, hold_back
from training.evaluate import OWN, Report, Task, compare, judge_at, steps_of
from training.heads import Learned
from training.model import Model
from training.panels import Panel
from training.views import views_of
from training.votes import Votes, read_votes
from uniqa.console import progress, say, warn
from uniqa.errors import InputError, UsageError
from uniqa.levels import Scale


@dataclass(frozen=True)
class Extras:
    """What `evaluate` does beside comparing, where asked."""

    votes: Path | None = None
    votes_columns: str = ""
    pass_mark: float | None = None
    """On the ratings' own scale."""
    pictures: Path | None = None
    """Folder of scatter.png and labels.png."""
    predictions: Path | None = None
    """CSV of the test photos with every method's score."""


def evaluate(
    model: Model,
    rated: Rated,
    config: EvaluateConfig,
    adapt_config: AdaptConfig,
    cache: Path,
    extras: Extras | None = None,
) -> tuple[Report, dict[str, Any]]:
    """Compare all methods; also facts for the reader: task, scale, leakage.

    Raises:
        InputError: too few photos on either side of the split, constant ratings, votes on other
            photos.
        UsageError: a pass mark outside the scale, a place that cannot be written to.
    """
    extras = extras or Extras()
    mark = _mark(extras.pass_mark, rated)
    _check_places(extras)
    votes = None
    if extras.votes is not None:
        # Before the photos are looked at: a wrong table is said at once.
        votes = read_votes(extras.votes, rated.names, extras.votes_columns)
    found, readable = rated_features(model, rated, cache)
    usable, good = one_per_photo(rated, found, readable)
    pool, test = hold_back(usable, config.test_fraction, config.seed)
    check_differ(usable, pool, "to learn from")
    check_differ(usable, test, "to test on")
    ids = [found.ids[at] for at in good]
    if votes is not None and extras.votes is not None:
        # Votes may be on any copy of a photo.
        first = dict(zip(ids, good, strict=True))
        votes = votes.on({at: first[found.ids[at]] for at in readable})
        votes = votes.of([good[row] for row in test])
        _check_votes(votes, extras.votes)
    task_name = rated.task or model.task
    features = found.values[[int(found.rows[at]) for at in good]]
    views = views_of(model, features, task_name, cache, ids)
    leaked = [row for row in test if ids[row] in model.trained_on]
    if leaked:
        warn(
            f"{len(leaked)} of {len(test)} test photos were learned from in pre-training: "
            "these numbers are too good"
        )
    lent = sum(ids[row] in model.trained_on for row in pool)
    if lent and "tower" in model.provenance:
        warn(
            f"the image tower has learned from ratings, perhaps of some of the {lent} photos to "
            "learn from that it has seen: every method here knows more than the labels counted"
        )
    elif lent:
        say(
            f"captions of {lent} of the {len(pool)} photos to learn from were in pre-training: if "
            "ratings guided them, zero-shot, fused and adapter know more than the labels counted "
            "here, ridge does not",
            "dim",
        )
    # Drawn by identity: the same draws wherever the photos lie.
    panel = Panel([""] * len(ids), usable.stds)
    own = _own_head(model, task_name, rated.scale, [ids[row] for row in test])
    task = Task(views, usable.scores, usable.groups, ids, pool, test, panel, own)
    with progress() as bar:
        job = bar.add_task("evaluating", total=steps_of(task, config), note="")
        report = compare(
            task, config, adapt_config, lambda what: bar.update(job, advance=1, note=what)
        )
    if votes is not None and extras.votes is not None:
        _add_ceiling(report, task, config, votes, extras.votes)
    if mark is not None:
        judge_at(report, task.scores[test], mark)
    if extras.predictions is not None:
        _write_predictions(extras.predictions, report, usable, ids, test)
    if extras.pictures is not None:
        _draw(extras.pictures, report, usable, test, config)
    return report, {
        "task": task_name,
        "cues": cue_names(task_name),
        "scale": rated.scale.name,
        "split": "the table's own" if "test" in usable.splits else "by group, seeded",
        "seen_in_pretraining": len(leaked),
        "pool_in_pretraining": lent,
        "unreadable": len(found.errors),
        "config": asdict(config),
        "model": model.provenance,
    }


def _own_head(model: Model, task: str, scale: Scale, test: Sequence[str]) -> Learned | None:
    """The head that the model has, if it is for this task; says so if it has learned from these."""
    head = model.head
    if head is None:
        return None
    if head.task != task:
        say(f"the model's own head is for {head.task} and is not compared", "dim")
        return None
    if head.scale != scale.name:
        say(
            f"the model's own head was learned on the scale {head.scale}, these ratings are on "
            f"{scale.name}: both are taken to begin and end alike",
            "dim",
        )
    seen = sum(one in model.seen and one not in model.trained_on for one in test)
    if seen:
        warn(
            f"the model's own head has learned from the ratings of {seen} of {len(test)} test "
            f"photos: its row, '{OWN}', is too good"
        )
    return head.learned


def _mark(told: float | None, rated: Rated) -> float | None:
    """A pass mark on the ratings' scale as a unified score."""
    if told is None:
        return None
    ends = sorted((rated.scale.worst, rated.scale.best))
    if not ends[0] <= told <= ends[1]:
        raise UsageError(
            f"--pass-mark {told:g} lies outside the scale {ends[0]:g}–{ends[1]:g} of {rated.path}",
            "Give it on the ratings' own scale",
        )
    return float(rated.scale.unify(told))


def _check_places(extras: Extras) -> None:
    if extras.pictures is not None:
        if extras.pictures.exists() and not extras.pictures.is_dir():
            raise UsageError(f"{extras.pictures} is not a folder", "Name a folder by --pictures")
        from training.pictures import check_installed

        check_installed()
        extras.pictures.mkdir(parents=True, exist_ok=True)
    if extras.predictions is not None:
        if extras.predictions.is_dir():
            raise UsageError(f"{extras.predictions} is a folder", "Name a file by --predictions")
        extras.predictions.parent.mkdir(parents=True, exist_ok=True)


def _check_votes(votes: Votes, path: Path) -> None:
    told = len(set(votes.photo.tolist()))
    if told < 2 or votes.raters < 2:
        raise InputError(
            f"{path} has votes of {votes.raters} raters on {told} test photos",
            "Two or more of each are needed for a human ceiling",
        )


def _add_ceiling(
    report: Report, task: Task, config: EvaluateConfig, votes: Votes, path: Path
) -> None:
    told = len(set(votes.photo.tolist()))
    if told < len(task.test):
        warn(
            f"{len(task.test) - told} of {len(task.test)} test photos have no votes in {path.name}"
        )
    with progress() as bar:
        job = bar.add_task("human ceiling", total=ticks(len(report.scored)), note="")
        report.ceiling = human_ceiling(
            votes,
            len(task.test),
            task.scores[task.test],
            [task.groups[row] for row in task.test],
            report.scored,
            resamples=config.bootstrap,
            seed=config.seed,
            tick=lambda: bar.advance(job),
        )


def _write_predictions(
    path: Path, report: Report, rated: Rated, ids: list[str], test: list[int]
) -> None:
    """image, image_id, group, the mean rating and every method's score, on the ratings' scale."""
    with path.open("w", newline="", encoding="utf-8") as file:
        out = csv.writer(file)
        out.writerow(["image", "image_id", "group", "mos", *report.scored])
        for at, row in enumerate(test):
            values = [rated.scores[row], *(scores[at] for scores in report.scored.values())]
            shown = [f"{float(rated.scale.restore(value)):.6f}" for value in values]
            out.writerow([rated.names[row], ids[row], rated.groups[row], *shown])


def _draw(
    folder: Path, report: Report, rated: Rated, test: list[int], config: EvaluateConfig
) -> None:
    from training.pictures import Scatter, draw_labels, draw_scatter

    covered = report.coverage.get("auto")
    scatter = Scatter(
        method=f"auto: {next(iter(report.chosen))}",
        scores=report.scored["auto"],
        truth=rated.scores[test],
        scale=rated.scale,
        srcc=report.full["auto"]["srcc"],
        curve=report.curves.get("auto"),
        half_width=covered.half_width if covered else None,
        confidence=config.confidence,
    )
    draw_scatter(scatter, folder / "scatter.png")
    drawn = ["scatter.png"]
    known = {
        budget: values
        for budget, values in report.budgets.items()
        if any(v["draws"] for v in values.values())
    }
    if known:
        draw_labels(
            known,
            folder / "labels.png",
            train=report.train,
            methods=[method for method in report.full if method != "zero-shot"],
            zero_shot=report.full["zero-shot"]["srcc"].value,
            ceiling=report.ceiling.panel if report.ceiling else None,
            optimistic=BEST_ON_TEST,
        )
        drawn.append("labels.png")
    else:
        say("no labels.png: give label budgets by --labels", "dim")
    say(f"pictures: {', '.join(str(folder / name) for name in drawn)}")
