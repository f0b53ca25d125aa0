"""The figures of a report, against counts that are known beforehand."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from curation.corpus import Corpus
from curation.filter import apply_policy, store_verdicts
from curation.policy import read_policy
from curation.refine import Settings, refine
from curation.report_data import VENDI_SAMPLE, gather
from curation.report_facts import BINS, Counts, Facts
from curation.report_sample import LONGEST, PER_IMAGE, draw, packed, plain
from tests.conftest import caption_row, image_rows, rating_row
from tests.report_corpus import HOSTILE, MODEL, plant


@pytest.fixture
def corpus_file(tmp_path: Path) -> Path:
    return plant(tmp_path)


def judged(path: Path, encoder: Any, policy: str = "balanced") -> None:
    with Corpus(path, write=True) as corpus:
        run = corpus.begin_run("refine", 0, {})
        refine(corpus, lambda: encoder, Settings("mini"), run_id=run)
        corpus.finish_run(run, "done", {})
        rules = read_policy(policy)
        filtered, verdicts = apply_policy(corpus, rules, shown_as=policy)
        store_verdicts(corpus, rules, filtered, verdicts, run_id=run, to="/m/balanced.parquet")


def unpacked(column: dict[str, Any], rows: int) -> list[Any]:
    if "all" in column:
        return [column["all"]] * rows
    return [column["dict"][at] for at in column["at"]] if "at" in column else column["list"]


def test_a_corpus_without_anything_has_empty_figures(tmp_path: Path) -> None:
    Corpus(tmp_path / "c.duckdb", write=True).close()
    with Corpus(tmp_path / "c.duckdb") as corpus:
        figures = gather(corpus, seed=0)
        sample = draw(corpus, images=10, seed=0)
    assert [step.count for step in figures.captions] == [0]
    assert figures.models == figures.levels == figures.histograms == figures.reasons == []
    assert (figures.filter, figures.refined, figures.kept) == (None, False, 0)
    assert (sample.of, sample.photos, sample.captions) == (0, [], 0)


def test_before_refining_there_are_counts_but_no_signals(corpus_file: Path) -> None:
    with Corpus(corpus_file) as corpus:
        figures = gather(corpus, seed=0)
    captions = len(HOSTILE) + 36
    steps = {step.label: (step.count, step.note) for step in figures.photos}
    assert steps["Files read"] == (8, "1 unusable")
    assert steps["Different photos"] == steps["With captions"] == (7, "")
    assert [(step.label, step.count) for step in figures.captions] == [
        ("Made or imported", captions)
    ]
    models = {one.name: one for one in figures.models}
    assert models[MODEL].counts == Counts(6, 0)
    assert models["plain-1"].counts == Counts(30, 0)
    # One sentence is the same on all six photos.
    assert models["plain-1"].distinct == 25
    assert models["plain-2"].truncated == 6
    assert figures.repeated[0][:3] == ("The same words for everyone here.", 6, 6)
    assert (figures.open_failures, figures.failures[0][:3]) == (1, ("image", "damaged", 1))
    (quality,) = figures.levels
    assert quality.task == "quality"
    assert quality.photos["bad"] == Counts(2, 0)
    assert [row.counts.before for row in quality.levels] == [12 + 3, 3, 3, 3, 3]
    assert sum(one.before for one in quality.bins) == 27
    assert figures.histograms == []


def test_after_a_filter_every_caption_is_kept_or_has_its_reason(
    corpus_file: Path, encoder: Any
) -> None:
    judged(corpus_file, encoder)
    with Corpus(corpus_file) as corpus:
        figures = gather(corpus, seed=0)
        stored = dict(
            corpus.rows("SELECT rule, count(*) FROM verdicts WHERE NOT kept GROUP BY rule")
        )
        kept = corpus.value("SELECT count(*) FROM verdicts WHERE kept")
        words = dict(corpus.rows("SELECT words, count(*) FROM signals GROUP BY words"))
    assert {row.label: row.counts.before for row in figures.reasons} == stored
    assert "cut_off" in stored
    total = len(HOSTILE) + 36
    assert figures.kept == kept == total - sum(stored.values())
    assert figures.captions[-1].count == kept
    assert figures.filter is not None
    assert (figures.filter.policy, figures.filter.manifest) == ("balanced", "/m/balanced.parquet")
    assert sum(one.counts.after for one in figures.models) == kept
    assert sum(row.counts.after for row in figures.cues) == kept
    histograms = {one.name: one for one in figures.histograms}
    assert {"words", "similarity", "mean_similarity"} <= set(histograms)
    assert (histograms["words"].captions, histograms["words"].kept) == (total, kept)
    assert (histograms["words"].low, len(histograms["words"].bins)) == (min(words), BINS)
    # The best caption of a photo has nothing better to be similar to.
    assert histograms["similarity"].captions == total - 7
    means = {one.name: one.signals["words"] for one in figures.models}
    assert means["plain-2"] == pytest.approx(9, abs=1)
    # Fewer captions than diversity is measured of.
    assert total < VENDI_SAMPLE
    assert all(one.effective is None for one in figures.models)


def test_new_columns_are_shown_and_missing_ones_missed_by_nobody(
    corpus_file: Path, encoder: Any
) -> None:
    judged(corpus_file, encoder)
    with Corpus(corpus_file, write=True) as corpus:
        corpus.rows(
            "CREATE TABLE wide AS SELECT * EXCLUDE (rated_level, truncated, rank, similarity, "
            "gain, problem_list), "
            "(sample + 1) / 4 AS gain, CASE WHEN cue = 'noise' THEN ['vague', 'short'] ELSE [] "
            "END AS troubles, 'nan'::FLOAT AS broken FROM corpus"
        )
        corpus.rows("DROP VIEW image_summary")
        corpus.rows("DROP VIEW corpus")
        corpus.rows("CREATE VIEW corpus AS SELECT * FROM wide")
        corpus.rows("COMMENT ON COLUMN corpus.gain IS 'what it adds'")
    with Corpus(corpus_file) as corpus:
        facts = Facts(corpus)
        histograms = {one.name: one for one in facts.histograms(corpus)}
        sample = draw(corpus, images=10, seed=0)
        figures = gather(corpus, seed=0)
    assert figures.levels == []
    assert [(name, [row.label for row in rows]) for name, _, rows in figures.lists] == [
        ("troubles", ["short", "vague"])
    ]
    assert "similarity" not in histograms
    assert "broken" not in histograms
    assert histograms["gain"].meaning == "what it adds"
    assert histograms["gain"].mean_before == 0.25
    assert facts.lists == ["troubles"]
    assert unpacked(sample.columns["troubles"], sample.captions).count(["vague", "short"]) == 4
    assert set(unpacked(sample.columns["broken"], sample.captions)) == {None}


def test_agreement_is_of_levels_that_no_prompt_told(tmp_path: Path) -> None:
    with Corpus(tmp_path / "c.duckdb", write=True) as corpus:
        for number in range(30):
            image, file = image_rows(number)
            corpus.put("images", [image])
            corpus.put("files", [file])
            corpus.put("ratings", [rating_row(number, score=number / 30)])
            # Told captions would spoil the order.
            for told, score in (("", number / 30), ("bad", 1 - number / 30)):
                row = caption_row(number + 100 * bool(told), number, level=told, cue="score")
                corpus.put("captions", [row])
                probabilities = dict.fromkeys(("bad", "poor", "fair", "good", "perfect"), 0.2)
                corpus.put(
                    "level_probabilities",
                    [{"caption_id": row["caption_id"], **probabilities, "level_score": score**3}],
                )
    with Corpus(tmp_path / "c.duckdb") as corpus:
        (model,) = gather(corpus, seed=0).models
    assert model.agreement == [("quality", pytest.approx(1.0), 30)]


def test_the_sample_is_even_the_same_every_time_and_whole_per_photo(tmp_path: Path) -> None:
    with Corpus(tmp_path / "c.duckdb", write=True) as corpus:
        for number in range(40):
            image, file = image_rows(number)
            corpus.put("images", [image])
            corpus.put("files", [file])
            # Most photos are good, few bad.
            level = "bad" if number < 4 else "good"
            corpus.put("ratings", [rating_row(number, level=level)])
            corpus.put("captions", [caption_row(1000 * number + n, number) for n in range(2)])
        corpus.put("captions", [caption_row(50_000 + n, 0) for n in range(PER_IMAGE + 5)])
    with Corpus(tmp_path / "c.duckdb") as corpus:
        first, again, other = (draw(corpus, images=8, seed=seed) for seed in (0, 0, 1))
        everything = draw(corpus, images=100, seed=0)
    assert first == again
    assert [one["id"] for one in first.photos] != [one["id"] for one in other.photos]
    assert (first.of, first.strata) == (40, 2)
    levels = [one["rated_level"] for one in first.photos]
    assert levels.count("bad") == levels.count("good") == 4
    assert len(everything.photos) == 40
    assert everything.captions == 39 * 2 + PER_IMAGE


def test_a_caption_comes_whole_or_with_its_length(corpus_file: Path) -> None:
    with Corpus(corpus_file) as corpus:
        sample = draw(corpus, images=10, seed=0)
    texts = unpacked(sample.columns["text"], sample.captions)
    lengths = unpacked(sample.columns["@length"], sample.captions)
    assert sample.cut == 1
    for text in HOSTILE.values():
        shown = texts.index(text[:LONGEST])
        assert lengths[shown] == len(text)
    assert sample.prompts[0]["text"] == "How sharp is it?"
    assert set(unpacked(sample.columns["@prompt"], sample.captions)) == {0}
    gone = next(one for one in sample.photos if one["path"].endswith("4.png"))
    assert sample.paths[gone["id"]] == [gone["path"]]


@pytest.mark.parametrize(
    ("values", "kind"),
    [
        ([], "all"),
        ([None, None], "all"),
        (["a", "b"] * 40, "dict"),
        ([["x"], ["x"], []] * 20, "dict"),
        (list(range(50)), "list"),
    ],
)
def test_columns_are_packed_without_loss(values: list[Any], kind: str) -> None:
    column = json.loads(json.dumps(packed(values)))
    assert kind in column
    assert unpacked(column, len(values)) == values


def test_values_are_plain() -> None:
    assert plain(0.123456789) == 0.123457
    assert plain(float("nan")) is plain(float("inf")) is plain(None) is None
    assert plain(2**60) == str(2**60)
    assert plain({"a": [float("nan"), 2.0]}) == {"a": [None, 2]}
    assert plain(True) is True
