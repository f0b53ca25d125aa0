"""`uniqa-train score`: parses, calls, prints."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Optional

import typer

from training.options import CacheOption, RootOption
from uniqa.console import print_json, print_table, say, warn_each

if TYPE_CHECKING:
    from training.score import Scored
    from uniqa.levels import Scale


def score(
    directory: Annotated[Path, typer.Argument(metavar="DIR", help="Model.")],
    images: Annotated[list[Path], typer.Argument(help="Photos, folders or tables.")],
    out: Annotated[Path, typer.Option("-o", "--out", help="CSV to write.")] = Path("scores.csv"),
    scale: Annotated[
        str, typer.Option("--scale", help="Scores on WORST:BEST instead of 0–1, like 1:5.")
    ] = "",
    show: Annotated[int, typer.Option("--show", min=0, help="Print the K best and K worst.")] = 0,
    manifest: Annotated[
        Optional[Path],  # noqa: UP045
        typer.Option("--manifest", help="Where --show takes a caption of each photo from."),
    ] = None,
    task: Annotated[str, typer.Option("--task", help="Whose cues to report.")] = "",
    images_root: RootOption = None,
    cache: CacheOption = None,
    as_json: Annotated[bool, typer.Option("--json", help="The rows as JSON too.")] = False,
) -> None:
    """Score photos into a CSV; exit code 1 only if none could be scored."""
    from training.cues import cue_names
    from training.data import find_images, read_manifest
    from training.score import Scorer, check_output, write_csv
    from uniqa.levels import Scale

    ends = Scale.parse(scale) if scale else Scale(0.0, 1.0)
    check_output(out)
    paths = find_images(images, images_root)
    captions = {}
    if manifest is not None:
        listed = read_manifest(manifest)
        captions = dict(zip(listed.ids, listed.captions, strict=True))
    scorer = Scorer.load(directory, task=task, cache=cache)
    results = scorer.score(paths)
    warn_each([f"{result.image}: {result.error}" for result in results if result.error])
    write_csv(out, results, cue_names(scorer.task), ends)
    done = [result for result in results if result.score is not None]
    say(f"scored {len(done)} of {len(results)} photos by {scorer.method}; {out}")
    if show and not as_json:
        told = {i: max(c, key=lambda x: x.weight).text for i, c in captions.items() if c}
        _print_best_and_worst(done, show, ends, told, with_captions=manifest is not None)
    if as_json:
        print_json([_row(result, ends) for result in results])
    if not done:
        raise typer.Exit(1)


def _print_best_and_worst(
    done: list[Scored], count: int, scale: Scale, captions: dict[str, str], *, with_captions: bool
) -> None:
    ranked = sorted(done, key=lambda r: (-(r.score or 0.0), str(r.image)))
    best = ranked[:count]
    worst = ranked[max(count, len(ranked) - count) :]
    columns = ["", "photo", "score", "level", *(["caption"] if with_captions else [])]
    rows = [
        [
            which,
            result.image.name,
            f"{float(scale.restore(result.score or 0.0)):.3f}",
            result.level,
            *([captions.get(result.image_id, "–")] if with_captions else []),
        ]
        for which, part in (("best", best), ("worst", worst))
        for result in part
    ]
    print_table("Best and worst", columns, rows, right=["score"])


def _row(result: Scored, scale: Scale) -> dict[str, Any]:
    value = None if result.score is None else round(float(scale.restore(result.score)), 6)
    return {
        "image": str(result.image),
        "image_id": result.image_id,
        "score": value,
        "level": result.level,
        "cues": {name: round(v, 6) for name, v in result.cues.items()},
        "error": result.error,
    }
