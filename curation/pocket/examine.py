"""The whole exam of one model, on photos it did not learn from, and how its result is shown."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

from curation.demo.photos import colour_crops
from curation.engines import make_engine
from curation.pocket.exam import Examiner, damaged, distinct, percent
from uniqa import console
from uniqa.errors import InputError
from uniqa.photos import PhotoError, Pixels, find_photos, read_photo

FAULTS_PER_PHOTO = 12


def held_out(folder: Path | None, limit: int) -> list[Pixels]:
    """Clean photos: of a folder, or crops of those that scikit-image and scikit-learn bring."""
    if folder is None:
        return colour_crops()[:limit]
    photos = find_photos(folder)[:limit]
    if not photos:
        raise InputError(f"no photos in {folder}", "Name a folder with clean photos")
    try:
        return [read_photo(path).pixels for path in photos]
    except PhotoError as error:
        raise InputError(str(error), "Take it out of the folder") from error


def examine(model: str, photos: list[Pixels], engine: str = "auto") -> dict[str, Any]:
    """Everything that `exam` asks which needs no ratings.

    Args:
        model: a pocket model's name or a model directory.
        photos: clean ones.
        engine: as for `make_engine`.
    """
    examiner = Examiner(make_engine(model, engine=engine))
    began = time.monotonic()
    examiner.engine.start()
    loaded = time.monotonic() - began
    try:
        sheets = damaged(photos, FAULTS_PER_PHOTO)
        began = time.monotonic()
        faults = examiner.faults(sheets)
        seconds = time.monotonic() - began
        return {
            "photos": len(photos),
            "pictures": len(sheets),
            "load_seconds": loaded,
            "captions_per_second": len(sheets) / seconds,
            "faults": faults,
            "obedience": examiner.obedience(photos[:24]),
            "distinct": distinct(examiner.samples(photos[:40])),
        }
    finally:
        examiner.engine.close()


def report(name: str, result: dict[str, Any]) -> None:
    """Tables for people."""
    faults, control = result["faults"], result["faults"]["permuted"]
    rows = [
        [kind, f"{faults['f1'][kind]:.2f}", *map(percent, shares),
         ", ".join(f"{word} {count}" for word, count in faults["instead"].get(kind, {}).items())]
        for kind, shares in faults["named"].items()
    ]  # fmt: skip
    console.print_table(
        f"{name}: faults named right, by severity ({result['pictures']} pictures)",
        ["fault", "F1 at 3–5", "1", "2", "3", "4", "5", "said instead"],
        rows,
    )
    obedience = result["obedience"]
    console.print_table(
        name,
        ["what", "value", "photos permuted"],
        [
            ["macro-F1, severity 3–5", f"{faults['macro_f1']:.3f}", f"{control['macro_f1']:.3f}"],
            ["clean called clean", f"{faults['clean']:.1%}", f"{control['clean']:.1%}"],
            [
                "level words against severity, SRCC",
                f"{faults['severity_srcc']:.3f}",
                f"{control['severity_srcc']:.3f}",
            ],
            ["keeps to the task", f"{obedience['task']:.1%}", ""],
            ["keeps to the level", f"{obedience['level']:.1%}", ""],
            ["keeps to the cue", f"{obedience['cue']:.1%}", ""],
            ["distinct of 4 samples, temperature 1", f"{result['distinct']:.3f}", ""],
            ["captions/s", f"{result['captions_per_second']:.1f}", ""],
        ],
    )
