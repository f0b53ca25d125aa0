"""What happens to captions that are there already: skip, add, replace."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from curation.corpus import Corpus
from curation.engines.base import Answer, Refused, Request, Sampling
from curation.existing import resumed_runs
from curation.filter import apply_policy
from curation.generate import Generation
from curation.policy import read_policy
from curation.refine import Settings, refine
from tests.conftest import Said
from tests.curation import test_generate as made_up
from tests.curation.test_generate import FakeEngine, answer, plan

# Shared with the tests of generation: one reading process for all.
readers = made_up.readers
_shared_readers = made_up._shared_readers
corpus = made_up.corpus


@pytest.fixture
def photos(tmp_path: Path, make_photo: Callable[..., Path]) -> list[str]:
    return [str(make_photo(tmp_path / f"{i}.png", seed=i)) for i in range(3)]


def run(
    corpus: Corpus,
    photos: list[str],
    how: str,
    run_id: str = "run2",
    engine: FakeEngine | None = None,
    resumed: tuple[str, ...] = (),
    **options: Any,
) -> Generation:
    generation = Generation(
        corpus,
        engine or FakeEngine(),
        plan(**options),
        run_id,
        on_existing=how,
        resumed=resumed,
    )
    generation.run(photos, 1)
    return generation


def samples(corpus: Corpus) -> list[tuple[Any, ...]]:
    return corpus.rows("SELECT cue, sample, count(*) FROM captions GROUP BY ALL ORDER BY ALL")


WARM = Sampling(temperature=1.3)


def test_skip_makes_what_is_missing_and_leaves_the_rest(corpus: Corpus, photos: list[str]) -> None:
    run(corpus, photos, "skip", "run1")
    assert run(corpus, photos, "skip").counts.made == 0
    assert run(corpus, photos, "skip", sampling=WARM).counts.made == 6
    assert corpus.value("SELECT count(*) FROM current_captions") == 12


def test_add_makes_as_many_again(corpus: Corpus, photos: list[str]) -> None:
    run(corpus, photos, "add", "run1", samples=2)
    again = run(corpus, photos, "add", "run2", samples=2)
    assert again.counts.made == 12
    assert samples(corpus) == [
        (cue, sample, 3) for cue in ("noise", "overall") for sample in range(4)
    ]


def test_add_in_two_goes_adds_no_more_than_in_one(corpus: Corpus, photos: list[str]) -> None:
    run(corpus, photos, "skip", "run1")
    run(corpus, photos[:2], "add", "run2")
    went_on = run(corpus, photos, "add", "run3", resumed=("run2",))
    assert (went_on.counts.made, went_on.counts.resumed) == (2, 4)
    assert samples(corpus) == [
        ("noise", 0, 3),
        ("noise", 1, 3),
        ("overall", 0, 3),
        ("overall", 1, 3),
    ]


def test_replace_supersedes_and_keeps(corpus: Corpus, photos: list[str]) -> None:
    run(corpus, photos, "skip", "run1")
    run(corpus, photos, "skip", "run1", engine=FakeEngine(model="other"))
    new = run(corpus, photos, "replace", "run2", sampling=WARM)
    assert new.counts.made == 6
    assert corpus.rows(
        "SELECT model, superseded, count(*) FROM corpus GROUP BY ALL ORDER BY ALL"
    ) == [("fake-1", False, 6), ("fake-1", True, 6), ("other", False, 6)]
    assert corpus.rows("SELECT DISTINCT superseded_by FROM captions WHERE superseded_by <> ''") == [
        ("run2",)
    ]
    again = run(corpus, photos, "replace", "run3", sampling=WARM)
    assert (again.counts.made, again.counts.resumed) == (0, 6)
    assert corpus.value("SELECT count(*) FROM current_captions") == 12


def test_replacing_back_brings_the_old_rows_back(corpus: Corpus, photos: list[str]) -> None:
    run(corpus, photos, "skip", "run1")
    run(corpus, photos, "replace", "run2", sampling=WARM)
    assert run(corpus, photos, "replace", "run3").counts.made == 0
    assert corpus.rows("SELECT run_id, count(*) FROM current_captions GROUP BY ALL") == [
        ("run1", 6)
    ]


def test_replace_leaves_other_cues_alone(corpus: Corpus, photos: list[str]) -> None:
    run(corpus, photos, "skip", "run1")
    run(corpus, photos, "replace", "run2", sampling=WARM, cues={"quality": ["noise"]})
    assert corpus.rows(
        "SELECT cue, run_id, count(*) FROM current_captions GROUP BY ALL ORDER BY ALL"
    ) == [("noise", "run2", 3), ("overall", "run1", 3)]


def test_what_was_refused_replaces_nothing(corpus: Corpus, photos: list[str]) -> None:
    def refuses_noise(request: Request) -> Answer | Refused:
        if request.question.cue == "noise":
            return Refused(request.caption_id, "rejected", "not this one", True)
        return answer(request)

    run(corpus, photos, "skip", "run1")
    run(corpus, photos, "replace", "run2", FakeEngine(refuses_noise), sampling=WARM)
    assert corpus.rows(
        "SELECT cue, run_id, count(*) FROM current_captions GROUP BY ALL ORDER BY ALL"
    ) == [("noise", "run1", 3), ("overall", "run2", 3)]


def test_superseded_captions_get_no_new_signals_and_leave_manifests(
    corpus: Corpus, photos: list[str], encoder: Any
) -> None:
    run(corpus, photos, "skip", "run1")
    run(corpus, photos, "replace", "run2", sampling=WARM)
    refined = refine(corpus, lambda: encoder, Settings("e"), run_id="r")
    assert refined.captions == 6
    filtered, _ = apply_policy(corpus, read_policy("everything"), shown_as="everything")
    assert (filtered.kept, filtered.by_rule["superseded"]) == (6, 6)


def test_a_run_goes_on_with_those_that_did_not_finish(corpus: Corpus) -> None:
    config = {"models": ["a"], "path": Path("/p"), "nested": {"b": 1, "a": 2}}
    told = {**config, "path": "/p"}
    assert resumed_runs(corpus, told) == []
    first = corpus.begin_run("generate", 0, config)
    corpus.finish_run(first, "done", {})
    second = corpus.begin_run("generate", 0, config)
    corpus.finish_run(second, "interrupted", {})
    other = corpus.begin_run("generate", 0, {"models": ["b"]})
    corpus.finish_run(other, "failed", {})
    third = corpus.begin_run("generate", 0, config)
    corpus.finish_run(third, "failed", {})
    assert resumed_runs(corpus, told) == [third, second]


def test_two_models_of_one_name_replace_nothing(
    curate: Callable[..., Said], photos: list[str], tmp_path: Path
) -> None:
    """The second would take the place of what the first has just written."""
    file = tmp_path / "run.yaml"
    file.write_text("models:\n- id: measured\n- id: measured\n  n: 2\n")
    arguments = ("--config", file, "--corpus", tmp_path / "two.duckdb", *photos)
    said = curate("generate", *arguments, "--on-existing", "replace")
    (error,) = said.errors
    assert "two models of this run are called 'measured'" in error
    assert not (tmp_path / "two.duckdb").exists()
