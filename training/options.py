"""Options that several commands share, and what they say of the ratings table."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Optional

import typer

from uniqa.errors import UsageError

CacheOption = Annotated[
    Optional[Path],  # noqa: UP045 - typer reads this at run time
    typer.Option("--cache", help="Folder of stored features [default: the user's cache folder]."),
]
RootOption = Annotated[
    Optional[Path],  # noqa: UP045
    typer.Option("--images-root", help="Folder that image names are relative to."),
]
RatingsOption = Annotated[
    Path, typer.Option("--ratings", help="Ratings table, or a manifest.", show_default=False)
]
ScaleOption = Annotated[
    str, typer.Option("--scale", help="Ends of the rating scale, WORST:BEST, like 1:5.")
]
TaskOption = Annotated[
    str, typer.Option("--task", help="quality or aesthetic [default: the table's, the model's].")
]
DatasetOption = Annotated[
    str,
    typer.Option("--dataset", help="Take this one alone of the datasets that the table names."),
]
ImageColumn = Annotated[str, typer.Option("--image-column", help="Column with the image names.")]
ScoreColumn = Annotated[str, typer.Option("--score-column", help="Column with the scores.")]
SeedOption = Annotated[int, typer.Option("--seed", help="Same seed, same result.")]
OverwriteOption = Annotated[bool, typer.Option("--overwrite", help="Replace a model in --out.")]


def refuse_idle(context: typer.Context, idle: Mapping[str, tuple[str, str]]) -> None:
    """Refuse options that a person gave and that would change nothing here.

    Args:
        context: of the command.
        idle: parameter → the option as it is typed, and what would give it a meaning.

    Raises:
        UsageError: the first of them that was given.
    """
    for parameter, (option, remedy) in idle.items():
        source = context.get_parameter_source(parameter)
        if source is not None and source.name not in ("DEFAULT", "DEFAULT_MAP"):
            raise UsageError(f"{option} would change nothing here", remedy)


def rating_options(
    image_column: str,
    score_column: str,
    images_root: Path | None,
    scale: str,
    task: str,
    dataset: str,
) -> dict[str, Any]:
    """What options say of a ratings table, as `training.data` takes it."""
    from uniqa.levels import Scale

    return {
        "image_column": image_column or None,
        "score_column": score_column or None,
        "images_root": images_root,
        "scale": Scale.parse(scale) if scale else None,
        "task": task,
        "only": dataset,
    }
