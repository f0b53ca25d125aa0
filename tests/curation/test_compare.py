"""What two filters disagree about, and why a caption was kept or dropped."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from curation.compare import compare
from curation.corpus import Corpus
from curation.why import Asked, explain
from tests.conftest import caption_row, image_rows, rating_row
from tests.curation.filtering import judge, signal_row
from uniqa.errors import InputError, UsageError

LONG = "name: long\nrules: [{rule: long, signal: words, min: 5}]"
SHORT = "name: short\nrules: [{rule: short, signal: words, max: 6}]\nlimits: {per_image: 2}"


@pytest.fixture
def corpus(tmp_path: Path) -> Iterator[Corpus]:
    """Two photos with four captions each, of one to eight words; the eighth is a leak."""
    with Corpus(tmp_path / "corpus.duckdb", write=True) as store:
        for image in (1, 2):
            photo, file = image_rows(image)
            store.add("images", [photo])
            store.put("files", [file])
        store.put("ratings", [rating_row(1, level="bad"), rating_row(2, split="test")])
        store.add("captions", [caption_row(n, 1 + n // 5) for n in range(1, 8)])
        person = {"source": "person", "model": "contest"}
        store.put("captions", [caption_row(7, 2, **person), caption_row(8, 2, level="fair")])
        store.put("signals", [signal_row(n, words=n) for n in range(1, 9)])
        yield store


def test_what_only_one_keeps_is_counted_by_rule_model_level_and_photo(
    corpus: Corpus, tmp_path: Path
) -> None:
    judge(corpus, tmp_path, LONG, "long")
    judge(corpus, tmp_path, SHORT, "short")
    # long keeps 5 6 7; short keeps 1 2 5 6.
    found = compare(corpus, str(tmp_path / "long.parquet"), "last")
    assert (found.both, found.only_first, found.only_second, found.neither) == (2, 1, 2, 3)
    assert (found.first.kept, found.second.kept) == (3, 4)
    assert found.by_rule == [("first", "short", 1), ("second", "long", 2)]
    assert found.by_model == [("fake-1", 0, 2), ("people (contest)", 1, 0)]
    assert found.by_level == [("bad", 0, 2), ("fair", 1, 0)]
    assert found.by_image == [("/photos/1.jpg", 0, 2), ("/photos/2.jpg", 1, 0)]
    assert found.examples[0][:5] == ("first", "short", "7", "≤ 6", "caption007")
    assert [row[4] for row in found.examples[1:]] == ["caption001", "caption002"]


def test_policies_are_compared_without_being_stored(corpus: Corpus, tmp_path: Path) -> None:
    policy = tmp_path / "long.yaml"
    policy.write_text(LONG)
    found = compare(corpus, str(policy), "everything")
    assert (found.only_first, found.only_second) == (0, 4)
    assert found.by_rule == [("second", "long", 4)]
    assert corpus.value("SELECT count(*) FROM filters") == 0


def test_captions_that_came_later_were_not_judged(corpus: Corpus, tmp_path: Path) -> None:
    filtered, _ = judge(corpus, tmp_path, "name: all", "all")
    corpus.add("captions", [caption_row(9, 1)])
    found = compare(corpus, filtered.filter_id[:6], "everything")
    assert found.by_rule == [("second", "not judged", 1)]


def test_unknown_filters_are_one_line(corpus: Corpus, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no filter has been run"):
        compare(corpus, "last", "everything")
    with pytest.raises(UsageError, match=r"'everythin' is neither .* Did you mean 'everything'"):
        compare(corpus, "balanced", "everythin")
    judge(corpus, tmp_path, LONG)
    judge(corpus, tmp_path, SHORT)
    with pytest.raises(UsageError, match="2 filters have an id that begins with ''"):
        compare(corpus, "", "everything")


def test_why_tells_every_rule_with_value_and_threshold(corpus: Corpus, tmp_path: Path) -> None:
    assert explain(corpus, "caption001").kept is None
    text = SHORT + "\nweights: {terms: [{signal: words, from: 0, to: 10}]}"
    judge(corpus, tmp_path, text)
    found = explain(corpus, "caption001")
    assert (found.policy, found.kept, found.dropped_by) == ("short", True, "")
    assert found.weight == pytest.approx(0.1)
    assert found.caption["text"] == "The photo number 1 looks rather sharp."
    assert found.rules[0].rule == "rating_leak"
    assert found.rules[0].value == "split train, told nothing"
    assert found.rules[2:] == [
        Asked("short", "1", "≤ 6", True),
        Asked("per_image", "rank 1, per image_id", "≤ 2", True),
    ]
    dropped = explain(corpus, "caption007")
    assert (dropped.kept, dropped.dropped_by) == (False, "short")
    assert dropped.rules[2:] == [
        Asked("short", "7", "≤ 6", False),
        Asked("per_image", "", "≤ 2", None),
    ]
    over = explain(corpus, "caption003")
    assert over.rules[-1] == Asked("per_image", "3", "≤ 2", False)
    leak = explain(corpus, "caption008")
    assert leak.dropped_by == "rating_leak"
    assert leak.rules[0].value == "split test, told fair"
    assert [one.passed for one in leak.rules] == [False, True, False, None]


def test_why_knows_earlier_filters(corpus: Corpus, tmp_path: Path) -> None:
    first, _ = judge(corpus, tmp_path, LONG, "long")
    judge(corpus, tmp_path, SHORT, "short")
    assert explain(corpus, "caption001").kept
    assert explain(corpus, "caption001", first.filter_id[:8]).dropped_by == "long"
    assert explain(corpus, "caption001", str(tmp_path / "long.parquet")).policy == "long"
    with pytest.raises(UsageError, match="no filter 'nope' was run"):
        explain(corpus, "caption001", "nope")


def test_a_prefix_is_enough_and_an_unknown_id_is_one_line(corpus: Corpus, tmp_path: Path) -> None:
    corpus.add("captions", [caption_row(1, 1) | {"caption_id": "ab12"}])
    assert explain(corpus, "ab").caption["caption_id"] == "ab12"
    assert explain(corpus, "AB12").caption["caption_id"] == "ab12"
    for unknown in ("zz", "", "%", "' OR true --"):
        with pytest.raises(InputError, match="no caption whose id begins with"):
            explain(corpus, unknown)
    with pytest.raises(InputError, match=r"several captions .* Say more"):
        explain(corpus, "caption")


def test_a_caption_that_came_later_was_not_judged(corpus: Corpus, tmp_path: Path) -> None:
    judge(corpus, tmp_path, LONG)
    corpus.add("captions", [caption_row(9, 1)])
    found = explain(corpus, "caption009")
    assert (found.kept, found.rules, found.policy) == (None, [], "long")
