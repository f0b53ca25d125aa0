"""`uniqa-train score`: parses, calls, prints."""

from __future__ import annotations

import heapq
import json
import sys
from collections.abc import Iterable, Iterator
from itertools import islice
from math import isfinite
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Optional

import typer

from training.options import CacheOption, RootOption, refuse_idle
from uniqa.console import MOST_LINES, print_table, progress, say, visible, warn

if TYPE_CHECKING:
    from training.explain import Reading
    from training.score import Scorer
    from training.score_table import ScoreTable
    from uniqa.levels import Scale

_FEW = 10
"""Photos that `--explain` explains without being told how many by --show."""


def score(
    context: typer.Context,
    directory: Annotated[Path, typer.Argument(metavar="DIR", help="Model.")],
    images: Annotated[list[Path], typer.Argument(help="Photos, folders or tables.")],
    out: Annotated[
        Path, typer.Option("-o", "--out", help="Table to write, .csv or .parquet.")
    ] = Path("scores.csv"),
    scale: Annotated[
        str,
        typer.Option(
            "--scale", help="WORST:BEST, like 1:5, or 'rated': that of the ratings. [default: 0:1]"
        ),
    ] = "",
    confidence: Annotated[
        float, typer.Option("--confidence", help="Of the interval from low to high.")
    ] = 0.9,
    show: Annotated[int, typer.Option("--show", min=0, help="Print the K best and K worst.")] = 0,
    explain: Annotated[
        bool, typer.Option("--explain", help="Print which cues pull those shown up or down.")
    ] = False,
    manifest: Annotated[
        Optional[Path],  # noqa: UP045
        typer.Option("--manifest", help="Where --show takes a caption of each photo from."),
    ] = None,
    task: Annotated[str, typer.Option("--task", help="Whose cues to report.")] = "",
    images_root: RootOption = None,
    cache: CacheOption = None,
    no_cache: Annotated[
        bool, typer.Option("--no-cache", help="Keep no photo features: for millions of photos.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="The rows as JSON too.")] = False,
) -> None:
    """Score photos into a table; exit code 1 only if none could be scored."""
    from training.data import find_addresses, read_manifest
    from training.score import Scorer
    from training.score_table import ScoreTable

    if not show or as_json:
        wanted = "Captions stand in the table of --show K, without --json"
        refuse_idle(context, {"manifest": ("--manifest", wanted)})
    if scale and scale != "rated":
        _ends(scale, None)
    paths = find_addresses(images, images_root)
    captions: dict[str, str] = {}
    if manifest is not None:
        listed = read_manifest(manifest, to_learn=False)
        told = zip(listed.ids, listed.captions, strict=True)
        captions = {i: max(c, key=lambda x: x.weight).text for i, c in told if c}
    scorer = Scorer.load(
        directory, task=task, cache=cache, confidence=confidence, keep_features=not no_cache
    )
    about = {"model": _digest(directory), "task": scorer.task, "confidence": confidence}
    with ScoreTable(out, scorer.cue_names, _ends(scale, scorer), about) as table:
        _fill(table, scorer, paths)
        _warn_failed(table)
        shown = _best_and_worst(table, show or (_FEW if explain else 0))
        photos = list(dict.fromkeys(row["image"] for part in shown.values() for row in part))
        readings = dict(zip(photos, scorer.explain(photos), strict=True)) if explain else {}
        scored = sum(1 for row in table.rows() if row["score"])
        if as_json:
            _print_rows(table, readings)
        elif show:
            with_captions = captions if manifest is not None else None
            _print_shown(shown, scorer, with_captions)
        if readings and not as_json:
            _print_readings(readings, scorer, table.scale)
        table.finish()
    say(f"scored {scored} of {len(paths)} photos by {scorer.method}; {out}")
    if scored and scorer.no_interval:
        say(f"low and high are empty: {scorer.no_interval}", "dim")
    if not scored:
        raise typer.Exit(1)


def _ends(scale: str, scorer: Scorer | None) -> Scale:
    from uniqa.errors import UsageError
    from uniqa.levels import Scale

    if scale != "rated":
        return Scale.parse(scale) if scale else Scale(0.0, 1.0)
    rated = scorer.rated_scale if scorer else None
    if rated is None:
        raise UsageError(
            "--scale rated: a pre-trained model knows no ratings", "Adapt it, or give WORST:BEST"
        )
    return rated


def _digest(directory: Path) -> str:
    """What a part of a table must have been made by to be gone on with."""
    import hashlib

    files = [directory / name for name in ("model.json", "model.safetensors")]
    return hashlib.sha256(b"".join(file.read_bytes() for file in files)).hexdigest()


def _fill(table: ScoreTable, scorer: Scorer, paths: list[str]) -> None:
    from training.score import BLOCK

    done = table.resume(paths)
    if done:
        say(f"{done:,} photos were scored by a run before; going on after them")
    scorer.prepare()
    with progress() as bar:
        job = bar.add_task("scoring", total=len(paths), completed=done, note="")
        results = scorer.stream(islice(paths, done, None), tick=lambda: bar.advance(job))
        while block := list(islice(results, BLOCK)):
            table.append(block)
            bar.update(job, completed=table.done)


def _warn_failed(table: ScoreTable) -> None:
    failed = 0
    for row in table.rows():
        if row["error"]:
            failed += 1
            if failed <= MOST_LINES:
                warn(f"{row['image']}: {row['error']}")
    if failed > MOST_LINES:
        warn(f"… and {failed - MOST_LINES:,} more like these; the table's column `error` has all")


def _best_and_worst(table: ScoreTable, count: int) -> dict[str, list[dict[str, str]]]:
    """Up to `count` of each, no photo in both; a backwards scale's best is its lowest."""
    if not count:
        return {}
    sign = 1.0 if table.scale.best > table.scale.worst else -1.0

    def good(row: dict[str, str]) -> float:
        return sign * float(row["score"])

    best = heapq.nsmallest(count, _scored(table), key=lambda row: (-good(row), row["image"]))
    first = {row["image"] for row in best}
    rest = (row for row in _scored(table) if row["image"] not in first)
    worst = heapq.nsmallest(count, rest, key=lambda row: (good(row), row["image"]))
    return {"best": best, "worst": worst[::-1]}


def _scored(table: ScoreTable) -> Iterator[dict[str, str]]:
    return (row for row in table.rows() if row["score"])


def _print_shown(
    shown: dict[str, list[dict[str, str]]], scorer: Scorer, captions: dict[str, str] | None
) -> None:
    interval = f"{scorer.confidence:.0%} interval"
    columns = ["", "photo", "score", interval, "level"]
    rows = []
    for which, part in shown.items():
        for row in part:
            ends = f"{float(row['low']):.3f} … {float(row['high']):.3f}" if row["low"] else "–"
            cells = [which, Path(row["image"]).name, f"{float(row['score']):.3f}", ends]
            caption = [] if captions is None else [captions.get(row["image_id"], "–")]
            rows.append([*cells, row["level"], *caption])
    if captions is not None:
        columns.append("caption")
    print_table("Best and worst", columns, rows, right=["score", interval])


def _print_readings(readings: dict[str, list[Reading]], scorer: Scorer, scale: Scale) -> None:
    head = scorer.model.head
    typical = head.facts.get("typical") if head else None
    against = "those of the labelled photos" if typical else "a fair photo's"
    width = scale.best - scale.worst
    for photo, cues in readings.items():
        rows = [
            [
                reading.cue,
                f"{reading.value:.3f}",
                f"{reading.typical:.3f}",
                f"{reading.deviations:+.1f} sd" if isfinite(reading.deviations) else "–",
                f"{width * reading.push:+.3f}" if isfinite(reading.push) else "–",
                f"{reading.nearest} ({max(reading.shares):.0%})",
            ]
            for reading in cues
        ]
        print_table(
            f"{visible(Path(photo).name)}: its cues against {against}",
            ["cue", "reading", "typical", "away", "moves the score", "nearest prompt"],
            rows,
            right=["reading", "typical", "away", "moves the score"],
        )
    if typical and "r2" in typical:
        say(
            f"cues together account for {max(0.0, typical['r2']):.0%} of what moves the "
            f"{scorer.method} head's scores; the rest no cue names",
            "dim",
        )


def _print_rows(table: ScoreTable, readings: dict[str, list[Reading]]) -> None:
    """A JSON list, row by row: ten million of them need no memory."""
    separator = "["
    for row in table.rows():
        text = json.dumps(_row(row, table.cues, readings.get(row["image"])), ensure_ascii=False)
        sys.stdout.write(f"{separator}\n{text}")
        separator = ","
    sys.stdout.write("\n]\n" if separator == "," else "[]\n")


def _row(
    row: dict[str, str], cues: Iterable[str], readings: list[Reading] | None
) -> dict[str, Any]:
    told: dict[str, Any] = {
        "image": row["image"],
        "image_id": row["image_id"],
        **{key: float(row[key]) if row[key] else None for key in ("score", "low", "high")},
        "level": row["level"],
        "cues": {cue: float(row[cue]) for cue in cues if row[cue]},
        "error": row["error"],
    }
    if readings is not None:
        told["explanation"] = [
            {
                "cue": reading.cue,
                "value": round(reading.value, 6),
                "typical": round(reading.typical, 6),
                "deviations": _known(reading.deviations),
                "moves_score": _known(reading.push),
                "nearest": reading.nearest,
                "shares": [round(share, 6) for share in reading.shares],
            }
            for reading in readings
        ]
    return told


def _known(value: float) -> float | None:
    return round(value, 6) if isfinite(value) else None
