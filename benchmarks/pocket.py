"""What the pocket models see and how well they obey, on photos they did not learn from.

    python benchmarks/pocket.py [--photos FOLDER] [--rated TABLE] [--limit 60] [--models FOLDER]

Asks both models through vLLM and through plain transformers, compares their texts and speed, and
writes the result into RESULTS.md and into the models' cards. Without `--photos`, clean photos are
those that installed packages bring; `--rated` names a table of people's quality ratings; `--models`
a folder that the builder wrote, whose models are examined instead of the shipped ones (no cards).
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from pathlib import Path
from typing import Any

# As the commands have it: threads that spin while they wait slow a busy machine down twentyfold.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

if __package__ is None:
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from benchmarks.results import machine, write_section
from curation.embed import SentenceEncoder
from curation.engines import make_engine
from curation.pocket import shipped
from curation.pocket.card import write_card
from curation.pocket.effort import effort_of
from curation.pocket.exam import Examiner, damaged, distinct, percent, variety
from curation.pocket.examine import FAULTS_PER_PHOTO, held_out
from curation.pocket.incontext import exemplars_change
from curation.pocket.shipped import POCKETS, shipped_models
from uniqa import console
from uniqa.photos import Pixels, read_photo
from uniqa.ratings import read_ratings

SAME = 50
FEWEST = 24
"""Photos that all parts of the exam need."""


def main() -> None:
    """Parse, run, write."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--photos", type=Path)
    parser.add_argument("--rated", type=Path)
    parser.add_argument("--limit", type=int, default=60)
    parser.add_argument("--models", type=Path)
    options = parser.parse_args()
    if options.limit < FEWEST:
        parser.error(f"--limit {options.limit}: {FEWEST} photos or more")
    if options.models:
        shipped.MODELS = options.models
    photos = held_out(options.photos, options.limit)
    own = held_out(None, options.limit)
    rated = _rated(options.rated) if options.rated else None
    results: dict[str, Any] = {}
    samples: dict[str, list[list[str]]] = {}
    for name in POCKETS:
        results[name], samples[name] = _examine(name, photos, own, rated)
    spread = variety(samples, SentenceEncoder())
    source = "that the models did not learn from" if options.photos else "of installed packages"
    for name in POCKETS:
        results[name]["vendi"], results[name]["vendi_pair"] = spread[name], spread["pair"]
        results[name]["where"] = f"{len(photos)} clean photos {source}"
        results[name]["machine"] = machine()
        if not options.models:
            write_card(shipped_models()[name], name, results[name])
    title, told = "Pocket models", ""
    if options.models:
        title = "Pocket models built anew"
        told = f"Built with {effort_of(options.models / POCKETS[0])}.\n\n"
    write_section(title, told + _table(results), _command(options))
    console.say("written: benchmarks/RESULTS.md" + ("" if options.models else ", cards"))


def _examine(
    name: str,
    photos: list[Pixels],
    own: list[Pixels],
    rated: tuple[list[Pixels], list[float]] | None,
) -> tuple[dict[str, Any], list[list[str]]]:
    result: dict[str, Any] = {}
    sheets = damaged(photos, FAULTS_PER_PHOTO)
    few = [sheet.pixels for sheet in sheets][:: max(1, len(sheets) // SAME)][:SAME]
    texts: dict[str, list[str]] = {}
    for kind in ("transformers", "vllm"):
        examiner = Examiner(make_engine(name, engine=kind))
        began = time.perf_counter()
        examiner.engine.start()
        result[f"load_{kind}"] = time.perf_counter() - began
        asked = [examiner.question("quality", "overall", "", n) for n in range(len(few))]
        texts[kind] = examiner.ask(few, asked)
        began = time.perf_counter()
        examiner.samples(photos[:16], 4)
        result[f"speed_{kind}"] = 16 * 8 / (time.perf_counter() - began)
        if kind == "transformers":
            examiner.engine.close()
    result["same"] = sum(a == b for a, b in zip(*texts.values(), strict=True))
    result["same_of"] = len(few)
    result["faults"] = examiner.faults(sheets)
    other = damaged(own, FAULTS_PER_PHOTO)
    result["own"] = examiner.faults(other)
    result["obedience"] = examiner.obedience(photos[:24])
    if rated is not None:
        result["opinion"] = examiner.opinion(*rated)
    strong = [sheet.pixels for sheet in other if sheet.severity == 5]
    for shots in (1, 2):
        result[f"shots_{shots}"] = exemplars_change(shipped_models()[name], name, strong, shots)
    samples = examiner.samples(photos[:40], 4)
    result["distinct"] = distinct(samples)
    examiner.engine.close()
    return result, samples


def _rated(table: Path) -> tuple[list[Pixels], list[float]]:
    frame = read_ratings(table).frame
    return (
        [read_photo(Path(path)).pixels for path in frame["image"]],
        frame["score"].astype(float).tolist(),
    )


def _table(results: dict[str, Any]) -> str:
    from curation.pocket.card import figures

    rows = {name: figures(result) for name, result in results.items()}
    names = list(next(iter(rows.values())))
    lines = ["| what | " + " | ".join(rows) + " |", "|---|" + "---:|" * len(rows)]
    for what in names:
        lines.append(f"| {what} | " + " | ".join(rows[name][what] for name in rows) + " |")
    for name, result in results.items():
        lines += ["", f"Faults that `{name}` names right, by severity:", ""]
        lines += [
            "| fault | F1 at 3–5 | 1 | 2 | 3 | 4 | 5 |",
            "|---|---:|---:|---:|---:|---:|---:|",
        ]
        for kind, shares in result["faults"]["named"].items():
            cells = " | ".join(map(percent, shares))
            lines.append(f"| {kind} | {result['faults']['f1'][kind]:.2f} | {cells} |")
    return "\n".join(lines)


def _command(options: argparse.Namespace) -> str:
    words = ["python benchmarks/pocket.py"]
    if options.photos:
        words.append(f"--photos {options.photos.name}")
    if options.rated:
        words.append(f"--rated {options.rated.parent.name}/{options.rated.name}")
    if options.models:
        words.append(f"--models {options.models.name}")
    return " ".join(words)


if __name__ == "__main__":
    main()
