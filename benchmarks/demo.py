"""The whole path on real photos, offline: from photos and ratings to scored photos.

Runs the same commands a user would type, prints each before it runs, times it, and ends with what
came out. Run it with `make demo`, or as `python benchmarks/demo.py FOLDER [--scenes K]`, which
takes the photos of only so many scenes, and asks about quality alone.
"""

from __future__ import annotations

import argparse
import csv
import json
import os
import shlex
import subprocess
import sys
import textwrap
import time
from pathlib import Path
from typing import Any

from PIL import Image, ImageDraw, ImageFont, ImageOps
from rich.console import Console
from rich.table import Table
from rich.text import Text

SEED = 0
QUERIES = (
    "SELECT cue, count(*) AS captions, avg(similarity) AS similarity FROM corpus "
    "GROUP BY cue ORDER BY similarity DESC",
    "SELECT dropped_by, any_value(text) AS example FROM corpus WHERE NOT kept GROUP BY dropped_by",
    "SELECT path, mos, captions, kept, vendi FROM image_summary ORDER BY vendi LIMIT 10",
)

console = Console(highlight=False)


class Demo:
    """Runs commands and remembers how long each took."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.seconds: list[tuple[str, float]] = []
        self.bin = Path(sys.executable).parent
        self.environment = {"HF_HUB_OFFLINE": "1", **os.environ}

    def run(self, *command: object) -> None:
        """Run one command, with its output shown; end the demo if it fails."""
        words = self._say(command)
        started = time.perf_counter()
        code = subprocess.run(words, env=self.environment, check=False).returncode
        self.seconds.append(
            (" ".join(str(word) for word in command[:2]), time.perf_counter() - started)
        )
        if code:
            sys.exit(code)

    def json(self, *command: object, shown: bool = False) -> Any:
        """Run one command for its JSON."""
        words = self._say(command) if shown else self._words(command)
        started = time.perf_counter()
        done = subprocess.run(words, env=self.environment, stdout=subprocess.PIPE, check=False)
        if shown:
            name = " ".join(str(word) for word in command[:2])
            self.seconds.append((name, time.perf_counter() - started))
        if done.returncode:
            sys.exit(done.returncode)
        return json.loads(done.stdout)

    def sql(self, query: str) -> list[dict[str, Any]]:
        """Rows of a query over the demo's corpus."""
        rows: list[dict[str, Any]] = self.json(
            "uniqa-curate", "sql", query, "--corpus", self.folder / "corpus.duckdb", "--json"
        )
        return rows

    def _say(self, command: tuple[object, ...]) -> list[str]:
        console.print(Text(f"\n$ {shlex.join(str(word) for word in command)}", style="bold cyan"))
        return self._words(command)

    def _words(self, command: tuple[object, ...]) -> list[str]:
        program, *rest = (str(word) for word in command)
        return [str(self.bin / program), *rest]


def main(folder: Path, scenes: int = 0) -> None:
    """Run the path and print what came out; `scenes` above 0 takes only so many, and one task."""
    demo = Demo(folder)
    photos, corpus = folder / "photos", folder / "corpus.duckdb"
    manifest, base = folder / "manifests" / "balanced.parquet", folder / "models" / "base"
    adapted, scores = folder / "models" / "adapted", folder / "scores.csv"
    started = time.perf_counter()
    demo.run("uniqa-curate", "demo-photos", photos, "--seed", SEED)
    table = photos / "ratings.csv"
    images = _of_scenes(table, scenes) if scenes else photos
    demo.run(
        "uniqa-curate", "generate", images, "--ratings", images if scenes else table,
        *models(), *(("--task", "quality") if scenes else ()),
        "--corpus", corpus, "--seed", SEED,
    )  # fmt: skip
    demo.run("uniqa-curate", "refine", "--corpus", corpus)
    demo.run("uniqa-curate", "filter", "--corpus", corpus, "--policy", "balanced", "-o", manifest)
    demo.run("uniqa-curate", "report", "--corpus", corpus, "-o", folder / "report.html")
    demo.run("uniqa-train", "pretrain", manifest, "--out", base, "--seed", SEED, "--overwrite")
    evaluation = demo.json(
        "uniqa-train", "evaluate", base, "--ratings", manifest, "--labels", "50,100",
        "--draws", "2" if scenes else "5", "--json", shown=True,
    )  # fmt: skip
    demo.run("uniqa-train", "adapt", base, "--ratings", manifest, "--out", adapted, "--overwrite")
    demo.run("uniqa-train", "score", adapted, images, "-o", scores)
    _summary(demo, evaluation, scores, manifest, time.perf_counter() - started)


def _of_scenes(table: Path, count: int) -> Path:
    """A table beside `table` with the photos of its first `count` groups alone."""
    with table.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    groups = list(dict.fromkeys(row["group"] for row in rows))[:count]
    few = table.with_name(f"scenes-{count}.csv")
    with few.open("w", encoding="utf-8", newline="") as file:
        out = csv.DictWriter(file, list(rows[0]))
        out.writeheader()
        out.writerows(row for row in rows if row["group"] in groups)
    return few


def models() -> list[str]:
    """Both pocket models where something can run them, and what needs no model."""
    from curation.engines import default_models

    named = default_models()[0]
    return [word for model in [*named, *({"measured"} - set(named))] for word in ("--model", model)]


def _summary(
    demo: Demo, evaluation: dict[str, Any], scores: Path, manifest: Path, seconds: float
) -> None:
    console.rule("What came out")
    _table(
        "Captions per engine",
        ["engine", "model", "task", "captions", "distinct"],
        demo.sql(
            "SELECT engine, model, task, count(*) AS captions, count(DISTINCT text) AS distinct "
            "FROM captions GROUP BY ALL ORDER BY ALL"
        ),
    )
    _table(
        "Duplicates found",
        ["kind", "captions"],
        demo.sql(
            "SELECT CASE duplicate_kind WHEN '' THEN 'no duplicate' ELSE duplicate_kind END AS "
            "kind, count(*) AS captions FROM signals GROUP BY kind ORDER BY kind"
        ),
    )
    _table(
        "Kept, and dropped by reason",
        ["reason", "captions"],
        demo.sql(
            "SELECT CASE WHEN kept THEN 'kept' ELSE 'dropped: ' || dropped_by END AS reason, "
            "count(*) AS captions FROM corpus GROUP BY reason ORDER BY reason DESC"
        ),
    )
    _evaluation(evaluation)
    _best_and_worst(demo, scores)
    _table(
        "Time",
        ["step", "seconds"],
        [{"step": step, "seconds": f"{took:.1f}"} for step, took in demo.seconds]
        + [{"step": "all of it", "seconds": f"{seconds:.1f}"}],
    )
    console.print("\nWhere the files are", style="bold")
    for name, path in (
        ("photos and ratings", demo.folder / "photos"),
        ("corpus", demo.folder / "corpus.duckdb"),
        ("manifest", manifest),
        ("models", demo.folder / "models"),
        ("scores", scores),
        ("a picture", demo.folder / "best_and_worst.jpg"),
    ):
        console.print(f"  {name:18} {path}", soft_wrap=True)
    console.print("\nAsk the corpus", style="bold")
    for query in QUERIES:
        demo.sql(query)  # what is printed here works
        words = ["uniqa-curate", "sql", query, "--corpus", str(demo.folder / "corpus.duckdb")]
        console.print(Text(f"  {shlex.join(words)}"), soft_wrap=True)
    console.print()


def _evaluation(evaluation: dict[str, Any]) -> None:
    budgets = evaluation["labels"]
    every = f"all {evaluation['train']} labels"
    _table(
        f"SRCC by method on {evaluation['test']} test photos ({evaluation['task']}) of "
        f"{evaluation['test_groups']} source photos never learned from",
        ["method", *(f"{budget} labels" for budget in budgets), every],
        [
            {
                "method": method,
                every: _with_interval(metrics["srcc"]),
                **{
                    f"{budget} labels": _with_spread(values[method])
                    for budget, values in budgets.items()
                },
            }
            for method, metrics in evaluation["all_labels"].items()
        ],
    )


def _with_spread(values: dict[str, Any]) -> str:
    """A single draw, of all the labels there are, has no spread."""
    spread = "" if values["sd"] is None else f" ± {values['sd']:.3f}"
    return f"{values['srcc']:.3f}{spread}"


def _with_interval(estimate: dict[str, Any]) -> str:
    low, high = estimate["interval"]
    # Photos of a single scene allow no interval.
    ends = "" if low is None or high is None else f" [{low:.3f}, {high:.3f}]"
    return f"{estimate['value']:.3f}{ends}"


def _best_and_worst(demo: Demo, scores: Path) -> None:
    with scores.open(encoding="utf-8", newline="") as file:
        rows = [row for row in csv.DictReader(file) if row["score"]]
    rows.sort(key=lambda row: -float(row["score"]))
    captions = {
        row["image_id"]: row["text"]
        for row in demo.sql(
            "SELECT image_id, arg_min(text, (cue <> 'overall', caption_id)) AS text "
            "FROM corpus WHERE kept AND task = 'quality' GROUP BY image_id"
        )
    }
    best, worst = rows[:5], rows[:-6:-1]
    for title, chosen in (("Five best photos", best), ("Five worst photos", worst)):
        _table(
            title,
            ["score", "level", "photo", "caption"],
            [
                {
                    "score": f"{float(row['score']):.3f}",
                    "level": row["level"],
                    "photo": Path(row["image"]).name,
                    "caption": captions.get(row["image_id"], "–"),
                }
                for row in chosen
            ],
        )
    _contact_sheet([best, worst], captions, demo.folder / "best_and_worst.jpg")


def _contact_sheet(
    lines: list[list[dict[str, str]]], captions: dict[str, str], path: Path, side: int = 256
) -> None:
    """One picture to look at: each photo with its score, level and caption below."""
    text_height, margin = 150, 12
    large, small = ImageFont.load_default(18), ImageFont.load_default(14)
    width = margin + (side + margin) * max(len(line) for line in lines)
    sheet = Image.new("RGB", (width, margin + (side + text_height) * len(lines)), "white")
    draw = ImageDraw.Draw(sheet)
    for y, line in enumerate(lines):
        for x, row in enumerate(line):
            left, top = margin + x * (side + margin), margin + y * (side + text_height)
            with Image.open(row["image"]) as photo:
                sheet.paste(ImageOps.fit(photo.convert("RGB"), (side, side)), (left, top))
            title = f"{float(row['score']):.2f}  {row['level']}"
            draw.text((left, top + side + 6), title, fill="black", font=large)
            told = textwrap.wrap(captions.get(row["image_id"], ""), 36)
            draw.multiline_text(
                (left, top + side + 30), "\n".join(told[:6]), fill="#444", font=small
            )
    sheet.save(path, quality=88)


def _table(title: str, columns: list[str], rows: list[dict[str, Any]]) -> None:
    table = Table(title=title, title_justify="left", header_style="bold")
    for column in columns:
        numeric = all(isinstance(row[column], int | float) for row in rows)
        table.add_column(column, justify="right" if numeric else "left", overflow="fold")
    for row in rows:
        table.add_row(*(Text(str(row[column])) for column in columns))
    console.print(table)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", nargs="?", type=Path, default=Path("demo"))
    parser.add_argument("--scenes", type=int, default=0)
    options = parser.parse_args()
    main(options.folder, options.scenes)
