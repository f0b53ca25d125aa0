from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from curation.corpus import Corpus
from curation.refine import Settings, refine
from tests.conftest import caption_row, image_rows

TEXTS = {
    1: [
        "The photo is badly blurred, but its colours are warm.",
        "The photo is badly blurred, but its colours are warm!",
        "A tight crop leads the eye to the left.",
        "Visit https://example.org for great shots.",
    ],
    2: ["The picture is badly blurred, yet the colours are warm."],
}


@pytest.fixture
def corpus(tmp_path: Path, encoder: Any) -> Path:
    path = tmp_path / "c.duckdb"
    with Corpus(path, write=True) as store:
        number = 0
        for image, texts in TEXTS.items():
            store.add("images", [image_rows(image)[0]])
            for text in texts:
                number += 1
                store.add("captions", [caption_row(number, image, text=text)])
        refine(store, lambda: encoder, Settings(encoder.name, similarity=0.9), run_id="r")
        store.add("captions", [caption_row(99, 2, text="Not refined yet.")])
    return path


def explained(curate: Any, corpus: Path, caption: str) -> dict[str, Any]:
    said = curate("refine", "--explain", caption, "--corpus", corpus, "--json")
    assert said.code == 0, said.err
    told: dict[str, Any] = json.loads(said.out)
    return told


def test_a_caption_tells_its_signals_neighbours_and_reasons(curate: Any, corpus: Path) -> None:
    told = explained(curate, corpus, "caption001")
    assert told["facts"]["text"] == TEXTS[1][0]
    assert told["signals"]["claims"] >= 1
    nearest = told["neighbours"]
    assert nearest[0]["caption_id"] == "caption002"
    assert nearest[0]["similarity"] > 0.95
    assert [one["where"] for one in nearest].count("elsewhere") == 1
    assert any(one["caption_id"] == "caption005" for one in nearest)
    for part in told["parts"]:
        assert TEXTS[1][0][part["start"] : part["end"]] == part["part"]
    signals = {part["signal"] for part in told["parts"]}
    assert {"informativeness", "implied_score"} <= signals


def test_a_duplicate_and_its_survivor_name_each_other(curate: Any, corpus: Path) -> None:
    first, second = (explained(curate, corpus, f"caption00{n}") for n in (1, 2))
    both = {first["signals"]["duplicate_kind"], second["signals"]["duplicate_kind"]}
    assert both == {"exact", ""}
    relations = [one["relation"] for told in (first, second) for one in told["repeats"]]
    assert sorted(relations) == [
        "is repeated", "is repeated of its image", "repeats", "repeats of its image",
    ]  # fmt: skip


def test_a_problem_is_shown_with_its_place(curate: Any, corpus: Path) -> None:
    parts = explained(curate, corpus, "caption004")["parts"]
    (url,) = [part for part in parts if part["signal"] == "problem: url"]
    assert url["part"].startswith("https://example.org")


def test_people_get_tables(curate: Any, corpus: Path) -> None:
    said = curate("refine", "--explain", "caption004", "--corpus", corpus)
    for words in ("Signals", "Nearest captions", "What decided", "problem: url"):
        assert words in said.out


@pytest.mark.parametrize(
    ("caption", "line"),
    [
        ("nothing", "no caption 'nothing'"),
        ("caption00", "several captions begin with 'caption00'"),
        ("caption099", "has no signals yet. Run uniqa-curate refine"),
    ],
)
def test_what_cannot_be_explained_is_one_line(
    curate: Any, corpus: Path, caption: str, line: str
) -> None:
    said = curate("refine", "--explain", caption, "--corpus", corpus)
    assert said.code == 3
    assert len(said.errors) == 1
    assert line in said.errors[0]
