"""``filter`` and ``why`` as a person calls them."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from curation.corpus import Corpus
from tests.conftest import Said, caption_row, rating_row
from tests.curation.filtering import signal_row
from uniqa.photos import image_id_of

Curate = Callable[..., Said]


@pytest.fixture
def corpus(tmp_path: Path, make_photo: Callable[..., Path]) -> Path:
    """Two real photos, the second a smaller copy of the first in another split, ten captions."""
    path = tmp_path / "corpus.duckdb"
    with Corpus(path, write=True) as store:
        for number, size in enumerate([(300, 200), (180, 120)]):
            photo = make_photo(tmp_path / f"{number}.png", seed=1, size=size)
            row = {"path": str(photo), "image_id": image_id_of(photo)}
            store.put("images", [row])
            store.put("files", [{**row, "size": 1, "mtime_ns": 1}])
            here = {"image_id": row["image_id"]}
            split = "test" if number else "train"
            store.put("ratings", [rating_row(number, split=split) | here])
            levels = ["fair" if n == 0 and not number else "" for n in range(5)]
            store.add(
                "captions",
                [caption_row(5 * number + n, 0, level=levels[n]) | here for n in range(5)],
            )
        store.put("signals", [signal_row(n, words=n, similarity=n / 10) for n in range(10)])
    return path


def test_a_dry_run_counts_each_rule_alone_and_in_order(curate: Curate, corpus: Path) -> None:
    said = curate("filter", "--dry-run", "--corpus", corpus)
    assert said.code == 0
    assert "breaks it" in said.out
    assert "2 photos were not looked at" in said.err
    found = json.loads(curate("filter", "--dry-run", "--corpus", corpus, "--json").out)
    assert found["dropped"] == {"rating_leak": 0, "too_short": 4, "cut_off": 0, "duplicate": 0,
                                "per_image": 0}  # fmt: skip
    assert found["images"] == {}


def test_filtering_looks_at_photos_and_joins_what_is_near_identical(
    curate: Curate, corpus: Path, tmp_path: Path
) -> None:
    output = tmp_path / "m.parquet"
    ask = ["filter", "--policy", "everything", "-o", output, "--workers", "1"]
    said = curate(*ask, "--corpus", corpus)
    assert said.code == 0
    assert "1 pairs of near-identical photos" in said.err
    assert "2 images (0 train, 0 val, 2 test)" in said.err
    told = json.loads(output.with_name("m.parquet.provenance.json").read_text())
    assert told["captions"]["dropped_by_rule"] == {"rating_leak": 1}
    assert told["groups"]["near_identical_pairs"] == 1
    before = output.read_bytes()
    assert curate(*ask, "--corpus", corpus).code == 0
    assert output.read_bytes() == before
    assert curate("manifest", "check", output, "--hashes").code == 0
    why = curate("why", "caption000", "--corpus", corpus)
    assert "Dropped by rating_leak" in why.err
    assert "split test, told fair" in why.out
    as_json = json.loads(curate("why", "caption001", "--corpus", corpus, "--json").out)
    assert (as_json["kept"], as_json["weight"]) == (True, 1.0)


def test_sweeps_and_differences_are_tables_or_json(curate: Curate, corpus: Path) -> None:
    sweep = ["filter", "--policy", "everything", "--corpus", corpus]
    shown = curate(*sweep, "--sweep", "words>=0:8:4")
    assert "level balance" in shown.out
    assert "moved: one more condition: words ≥ value" in shown.err
    found = json.loads(curate(*sweep, "--sweep", "words>=0:8:4", "--json").out)
    assert [point["kept"] for point in found["points"]] == [10, 6, 2]
    diff = ["filter", "--corpus", corpus, "--diff", "everything", "balanced"]
    assert "Why the other one dropped them" in curate(*diff).out
    apart = json.loads(curate(*diff, "--json").out)
    assert (apart["both"], apart["only_first"], apart["only_second"]) == (6, 4, 0)
    assert apart["by_rule"] == [["first", "too_short", 4]]


@pytest.mark.parametrize(
    ("arguments", "code", "complaint"),
    [
        (["filter", "-o", "m.parquet", "--sweep", "words=1:2:1"], 2, "exclude one another"),
        (["filter", "--dry-run", "--diff", "paper", "strict"], 2, "exclude one another"),
        (["filter", "--sweep", "wrods=1:2:1"], 2, "Did you mean 'words'"),
        (["filter", "--diff", "balanced", "paperr"], 2, "Did you mean 'paper'"),
        (["filter", "--dry-run", "--policy", "strict"], 2, "Run uniqa-curate refine"),
        (["why", "nothing"], 3, "no caption whose id begins with 'nothing'"),
    ],
)
def test_what_cannot_be_meant_is_one_line(
    curate: Curate, corpus: Path, arguments: list[str], code: int, complaint: str
) -> None:
    said = curate(*arguments, "--corpus", corpus)
    assert (said.code, len(said.errors)) == (code, 1)
    assert complaint in said.errors[0]
