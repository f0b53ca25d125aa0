"""`uniqa-train adapt`: parses, calls, prints."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Optional

import typer

from training.options import (
    CacheOption,
    DatasetOption,
    ImageColumn,
    OverwriteOption,
    RatingsOption,
    RootOption,
    ScaleOption,
    ScoreColumn,
    SeedOption,
    TaskOption,
    rating_options,
)
from uniqa.console import print_json, say

if TYPE_CHECKING:
    from training.data import Rated


def adapt(
    directory: Annotated[Path, typer.Argument(metavar="DIR", help="Pre-trained model.")],
    ratings: RatingsOption,
    out: Annotated[Path, typer.Option("--out", help="Model directory to write.")],
    also: Annotated[
        Optional[list[Path]],  # noqa: UP045 - typer reads this at run time
        typer.Option(
            "--also", help="Another dataset's ratings, on a scale of its own; may be repeated."
        ),
    ] = None,
    also_scale: Annotated[
        Optional[list[str]],  # noqa: UP045
        typer.Option("--also-scale", help="Its WORST:BEST, in the order of --also."),
    ] = None,
    labels: Annotated[
        int, typer.Option("--labels", help="Ratings to draw of the (first) dataset; 0: all.")
    ] = 0,
    method: Annotated[
        str, typer.Option("--method", help="auto, ridge, adapter, cues, fused or lora.")
    ] = "auto",
    epochs: Annotated[
        int, typer.Option("--epochs", help="Of adapter (30) and lora (10); 0: these.")
    ] = 0,
    lr: Annotated[
        float, typer.Option("--lr", help="Of adapter (2e-4) and lora (1e-3); 0: these.")
    ] = 0.0,
    lora_rank: Annotated[
        int, typer.Option("--lora-rank", help="Of lora's low-rank matrices; 0: 4.")
    ] = 0,
    scale: ScaleOption = "",
    task: TaskOption = "",
    dataset: DatasetOption = "",
    image_column: ImageColumn = "",
    score_column: ScoreColumn = "",
    images_root: RootOption = None,
    seed: SeedOption = 0,
    cache: CacheOption = None,
    overwrite: OverwriteOption = False,
    as_json: Annotated[bool, typer.Option("--json", help="Facts on stdout as JSON.")] = False,
) -> None:
    """Learn a head from a few ratings."""
    from training.config import AdaptConfig
    from training.data import read_rated_datasets
    from training.features import default_cache
    from training.intervals import CONFIDENCE, residuals_of, why_none
    from training.model import load_model, new_directory, save_model

    config = AdaptConfig(
        method=method, labels=labels, epochs=epochs, lr=lr, seed=seed, lora_rank=lora_rank
    )
    new_directory(out, overwrite=overwrite)
    options = rating_options(image_column, score_column, images_root, scale, task, dataset)
    rated, *others = read_rated_datasets(ratings, **options)
    base = load_model(directory)
    others += _others(also or [], also_scale or [], rated.task or base.task)
    if dataset:
        # The dataset chosen, and then the same table whole: each of its datasets once.
        here = (rated.path.resolve(), rated.dataset)
        others = [one for one in others if (one.path.resolve(), one.dataset) != here]
    if others:
        beside = ", ".join(f"{one.called} ({len(one.names):,})" for one in others)
        say(
            f"scores will be on the scale of {rated.called} ({len(rated.names):,} photos), learned "
            f"beside {beside}",
            "dim",
        )
    from training import commands as work

    model, head = work.adapt(base, rated, config, cache or default_cache(), others)
    save_model(model, out)
    say(f"adapted to {head.facts['labels']} ratings by {head.method}; model in {out}")
    none = why_none(residuals_of(head.facts), CONFIDENCE, head.method)
    if none:
        say(f"{none}; `score` will leave low and high empty", "dim")
    if as_json:
        # The residuals are for `score`: a line for each label helps nobody here.
        told = {key: value for key, value in head.facts.items() if key != "residuals"}
        print_json({"out": str(out), "method": head.method, **told})


def _others(tables: list[Path], scales: list[str], task: str) -> list[Rated]:
    """The datasets of further tables."""
    from training.data import read_rated_datasets
    from uniqa.errors import UsageError

    if len(scales) not in (0, len(tables)):
        raise UsageError(
            f"{len(scales)} --also-scale for {len(tables)} --also", "Give one for each, or none"
        )
    told = scales or [""] * len(tables)
    return [
        one
        for path, scale in zip(tables, told, strict=True)
        for one in read_rated_datasets(path, **rating_options("", "", None, scale, task, ""))
    ]
