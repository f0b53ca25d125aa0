from __future__ import annotations

import gzip
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from curation.corpus import Corpus
from curation.importing import name_id
from uniqa.photos import image_id_of

COMMENTS = [
    ("a.jpg", "The light is soft and the crop is tight."),
    ("a.jpg", "Great shot!"),
    ("a.jpg", "Great shot!"),
    ("b c.jpg", "Too dark on the left, ναί."),
]


@pytest.fixture
def photos(tmp_path: Path, make_photo: Callable[..., Path]) -> Path:
    for seed, name in enumerate(("a.jpg", "b c.jpg")):
        make_photo(tmp_path / "photos" / name, seed)
    return tmp_path / "photos"


def write(path: Path, rows: list[tuple[str, str]], **columns: Any) -> Path:
    frame = pd.DataFrame(rows, columns=["image", "comment"]).assign(**columns)
    frame.to_csv(path, index=False)
    return path


def stored(corpus: Path, query: str) -> list[tuple[Any, ...]]:
    with Corpus(corpus) as store:
        return store.rows(query)


def test_comments_become_captions_of_verified_photos(
    tmp_path: Path, photos: Path, curate: Any
) -> None:
    table, corpus = write(tmp_path / "said.csv", COMMENTS), tmp_path / "c.duckdb"
    options = ["--kind", "comment", "--images-root", photos, "--corpus", corpus]
    said = curate("import", table, *options, "--json")
    assert said.code == 0, said.err
    assert json.loads(said.out) == {
        "texts": 4, "added": 4, "there_before": 0, "without_photo": 0,
        "photos": 2, "photos_failed": 0,
    }  # fmt: skip
    rows = stored(
        corpus, "SELECT image_id, source, engine, model, task, cue, sample, text FROM captions "
        "ORDER BY text, sample",
    )  # fmt: skip
    a, b = (image_id_of(photos / name) for name in ("a.jpg", "b c.jpg"))
    kind = ("person", "import", "said", "aesthetic", "comment")
    assert rows == [
        (a, *kind, 0, COMMENTS[1][1]),
        (a, *kind, 1, COMMENTS[1][1]),
        (a, *kind, 0, COMMENTS[0][1]),
        (b, *kind, 0, COMMENTS[3][1]),
    ]
    assert stored(corpus, "SELECT width, height FROM images") == [(48, 32), (48, 32)]


def test_importing_again_and_in_another_order_adds_nothing(
    tmp_path: Path, photos: Path, curate: Any
) -> None:
    corpus = tmp_path / "c.duckdb"
    options = ["--kind", "comment", "--images-root", photos, "--corpus", corpus, "--json"]
    folder = tmp_path / "again"
    folder.mkdir()
    curate("import", write(tmp_path / "said.csv", COMMENTS), *options)
    said = curate("import", write(folder / "said.csv", COMMENTS[::-1]), *options)
    assert json.loads(said.out)["added"] == 0
    assert json.loads(said.out)["there_before"] == 4


def test_without_photos_an_image_is_known_by_its_name(tmp_path: Path, curate: Any) -> None:
    table, corpus = tmp_path / "said.csv.gz", tmp_path / "c.duckdb"
    with gzip.open(table, "wt") as file:
        file.write("photo,review\n17.jpg,Nice bokeh\n")
    said = curate("import", table, "--kind", "comment", "--without-photos", "--corpus", corpus)
    assert said.code == 0, said.err
    assert "column 'review' of said.csv.gz is taken as the text" in said.err
    assert stored(corpus, "SELECT image_id, path FROM images") == [
        (name_id("said", "17.jpg"), "17.jpg")
    ]
    assert stored(corpus, "SELECT count(*) FROM files") == [(0,)]


def test_captions_name_their_model(tmp_path: Path, photos: Path, curate: Any) -> None:
    corpus = tmp_path / "c.duckdb"
    table = write(tmp_path / "t.csv", COMMENTS[:1], model="llava", revision="1.6", task="quality",
                  cue="sharpness")  # fmt: skip
    options = ["--kind", "caption", "--images-root", photos, "--corpus", corpus]
    assert curate("import", table, *options).code == 0
    query = "SELECT source, model, revision, task, cue FROM captions"
    assert stored(corpus, query) == [("model", "llava", "1.6", "quality", "sharpness")]


def test_photos_that_are_not_there_or_damaged_cost_their_texts_alone(
    tmp_path: Path, photos: Path, curate: Any
) -> None:
    (photos / "bad.jpg").write_bytes((photos / "a.jpg").read_bytes()[:300])
    rows = [*COMMENTS, ("bad.jpg", "Sharp."), ("gone.jpg", "Crisp.")]
    table, corpus = write(tmp_path / "said.csv", rows), tmp_path / "c.duckdb"
    options = ["--kind", "comment", "--images-root", photos, "--corpus", corpus]
    said = curate("import", table, *options)
    assert said.code == 0
    assert "1 rows left out: 1 photos are not there" in said.err
    assert "bad.jpg" in said.err
    assert stored(corpus, "SELECT count(*) FROM captions") == [(4,)]
    assert stored(corpus, "SELECT count(*) FROM failures WHERE stage = 'image'") == [(1,)]


@pytest.mark.parametrize(
    ("content", "options", "code", "line"),
    [
        ("image,comment\n", [], 3, "has no rows"),
        ("image,words\na.jpg,Hi\n", [], 3, "has no text column (it has: image, words). Name it by"),
        ("image,words\na.jpg,Hi\n", ["--text-column", "word"], 2, "Did you mean 'words'?"),
        ("image,comment\na.jpg,\n", [], 3, "no row with an image and a text"),
        ("image,comment\nz.jpg,Hi\n", [], 3, "none of the 1 photos"),
        ("image,comment,task\na.jpg,Hi,quallity\n", [], 3, "row 2: unknown task 'quallity'"),
        ("image,comment\na.jpg,Hi\n", ["--kind", "caption"], 3, "Use --model"),
        ("image,comment\na.jpg,Hi\n", ["--kind", "coment"], 2, "Did you mean 'comment'?"),
    ],
)
def test_bad_tables_get_one_line(
    tmp_path: Path,
    photos: Path,
    curate: Any,
    content: str,
    options: list[str],
    code: int,
    line: str,
) -> None:
    table = tmp_path / "said.csv"
    table.write_text(content, encoding="utf-8")
    kind = [] if "--kind" in options else ["--kind", "comment"]
    said = curate("import", table, *kind, *options, "--images-root", photos,
                  "--corpus", tmp_path / "c.duckdb")  # fmt: skip
    assert said.code == code, said.err
    assert len(said.errors) == 1
    assert line in said.errors[0]
