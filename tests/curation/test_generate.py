"""Generation with real photos, a real corpus and a real reading process; only the model is made up.

The made-up engine answers from the pixels' identity alone, and can be told to refuse, to answer
nothing, to die, or to ask for a stop.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from operator import attrgetter
from pathlib import Path
from typing import Any

import pytest

from curation import generate
from curation.corpus import Corpus
from curation.engines.base import Answer, Refused, Request, Sampling, nothing_ahead, untold
from curation.generate import Generation
from curation.images import ImageStep
from curation.plan import Plan, Rated
from curation.prompts import PromptLibrary
from uniqa.errors import EngineError, TooManyFailuresError

Reply = Callable[[Request], Answer | Refused]


def answer(request: Request) -> Answer:
    text = f"{request.question.cue}: {request.question.level or 'no level'}, {request.seed}"
    return Answer(request.caption_id, text, "stop", 7, 3)


class FakeEngine:
    """Answers by `reply`; remembers what it was asked."""

    name = "fake"
    revision = "r1"
    max_side = 64
    window = 4
    samples = True
    listens = True
    context: int | None = None
    prepare = staticmethod(attrgetter("width"))

    def __init__(self, reply: Reply = answer, model: str = "fake-1") -> None:
        self.model = model
        self.reply = reply
        self.asked: list[Request] = []
        self.on_answered: Callable[[int], None] = untold
        self.ahead: Callable[[], Sequence[Request]] = nothing_ahead
        self.starts = 0

    def start(self) -> None:
        self.starts += 1

    def generate(self, requests: Sequence[Request]) -> list[Answer | Refused]:
        assert len(requests) <= self.window
        self.asked += requests
        return [self.reply(request) for request in reversed(requests)]

    def close(self) -> None:
        pass


@pytest.fixture(scope="module")
def readers() -> Iterator[ProcessPoolExecutor]:
    """One reading process for all tests: starting one takes seconds."""
    step = ImageStep(attrgetter("width"), 64, 1)
    yield step._start()
    step._stop()


@pytest.fixture(autouse=True)
def _shared_readers(monkeypatch: pytest.MonkeyPatch, readers: ProcessPoolExecutor) -> None:
    class SharedStep(ImageStep):
        def _start(self) -> ProcessPoolExecutor:
            self._pool = readers
            return readers

        def _stop(self, *, at_once: bool = False) -> None:
            self._pool = None

    monkeypatch.setattr(generate, "ImageStep", SharedStep)


@pytest.fixture
def corpus(tmp_path: Path) -> Iterator[Corpus]:
    with Corpus(tmp_path / "corpus.duckdb", write=True) as store:
        yield store


@pytest.fixture
def photos(tmp_path: Path, make_photo: Callable[..., Path]) -> list[str]:
    return [str(make_photo(tmp_path / f"{i}.png", seed=i)) for i in range(5)]


def plan(**changes: Any) -> Plan:
    return Plan(
        **{
            "tasks": ["quality"],
            "cues": {"quality": ["overall", "noise"]},
            "library": PromptLibrary(),
            "sampling": Sampling(),
            "seed": 0,
            **changes,
        }
    )


def test_a_level_takes_one_token_of_the_context() -> None:
    assert plan().answer_tokens == Sampling().max_tokens
    assert plan(cues={"quality": ["score"]}).answer_tokens == 1
    assert plan(cues={"quality": ["score", "noise"]}).answer_tokens == Sampling().max_tokens


def rated(split: str = "train", level: str = "good", **changes: Any) -> Rated:
    facts = {"std": None, "votes": None, "scale": "linear[1,5]", "group": "g", "mos": 4.0}
    named = {"dataset": "koniq", "task": "quality", "score": 0.7}
    return Rated(**{**facts, **named, "level": level, "split": split, **changes})


def run(
    corpus: Corpus, paths: Sequence[str], engine: FakeEngine | None = None, **options: Any
) -> Generation:
    stop = options.pop("stop", lambda: False)
    generation = Generation(
        corpus, engine or FakeEngine(), plan(**options), "run1", should_stop=stop
    )
    generation.run(sorted(paths), 1)
    return generation


def ids(corpus: Corpus) -> set[str]:
    return {row[0] for row in corpus.rows("SELECT caption_id FROM captions")}


def count(corpus: Corpus, table: str) -> int:
    return int(corpus.value(f"SELECT count(*) FROM {table}"))


# ---- identity and resuming ----------------------------------------------------------------------


def test_every_photo_gets_every_caption_and_a_rerun_makes_nothing(
    corpus: Corpus, photos: list[str]
) -> None:
    engine = FakeEngine()
    first = run(corpus, photos, engine, samples=2).counts
    assert (first.photos, first.wanted, first.made, first.failed) == (5, 20, 20, 0)
    assert (first.tokens, engine.starts) == (60, 1)
    assert len(engine.asked) == 20
    assert {request.payload for request in engine.asked} == {48}
    made = corpus.table("SELECT * FROM captions ORDER BY caption_id")
    idle = FakeEngine()
    again = run(corpus, photos, idle, samples=2).counts
    assert (again.wanted, again.resumed, again.made) == (20, 20, 0)
    assert (idle.asked, idle.starts) == ([], 0)  # no model is loaded for nothing
    assert corpus.table("SELECT * FROM captions ORDER BY caption_id").equals(made)
    samples = corpus.rows(
        "SELECT count(DISTINCT seed), count(DISTINCT text) FROM captions GROUP BY image_id, cue"
    )
    assert set(samples) == {(2, 2)}


def test_ids_do_not_depend_on_order_windows_or_folders(
    tmp_path: Path, photos: list[str], make_photo: Callable[..., Path],
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    with Corpus(tmp_path / "one.duckdb", write=True) as one:
        run(one, photos)
        expected = ids(one)
    monkeypatch.setattr(generate, "MOST_PHOTOS", 2)
    monkeypatch.setattr(generate, "BLOCK_PHOTOS", 3)
    elsewhere = [str(make_photo(tmp_path / "x" / f"{9 - i}.png", seed=i)) for i in range(5)]
    with Corpus(tmp_path / "two.duckdb", write=True) as two:
        run(two, elsewhere[2:])
        run(two, elsewhere)
        assert ids(two) == expected


@pytest.mark.parametrize(
    "changes",
    [{"seed": 1}, {"sampling": Sampling(temperature=0.1)}, {"cues": {"quality": ["contrast"]}}],
)
def test_what_changes_a_caption_changes_its_id(
    corpus: Corpus, photos: list[str], changes: dict[str, Any]
) -> None:
    run(corpus, photos)
    before = ids(corpus)
    assert run(corpus, photos, **changes).counts.resumed == 0
    assert before < ids(corpus)


def test_another_model_or_revision_adds_its_own_captions(corpus: Corpus, photos: list[str]) -> None:
    run(corpus, photos)
    run(corpus, photos, FakeEngine(model="fake-2"))
    newer = FakeEngine()
    newer.revision = "r2"
    run(corpus, photos, newer)
    assert count(corpus, "captions") == 30


def test_sampling_is_no_part_of_what_a_measuring_engine_says(
    corpus: Corpus, photos: list[str]
) -> None:
    for temperature in (0.1, 0.9):
        engine = FakeEngine()
        engine.samples = False
        made = run(corpus, photos, engine, sampling=Sampling(temperature=temperature)).counts.made
    assert made == 0


def test_more_samples_keep_the_ones_there(corpus: Corpus, photos: list[str]) -> None:
    run(corpus, photos)
    counts = run(corpus, photos, samples=3).counts
    assert (counts.wanted, counts.resumed, counts.made) == (30, 10, 20)


def test_a_caption_says_where_it_came_from(corpus: Corpus, photos: list[str]) -> None:
    run(corpus, photos[:1])
    row = corpus.table("SELECT * FROM captions ORDER BY cue").to_pylist()[0]
    assert (row["source"], row["engine"], row["model"], row["revision"]) == (
        "model",
        "fake",
        "fake-1",
        "r1",
    )
    assert (row["task"], row["cue"], row["finish_reason"], row["run_id"]) == (
        "quality",
        "noise",
        "stop",
        "run1",
    )
    prompt = corpus.rows("SELECT text FROM prompts WHERE prompt_id = ?", [row["prompt_id"]])
    assert len(prompt) == 1
    assert '"temperature": 0.7' in row["sampling"]


# ---- photos -------------------------------------------------------------------------------------


def test_a_broken_photo_is_a_row_once_and_known_next_time(
    corpus: Corpus, photos: list[str]
) -> None:
    whole = Path(photos[1]).read_bytes()
    Path(photos[1]).write_bytes(whole[:200])
    first = run(corpus, photos)
    assert (first.counts.photos_failed, first.counts.made) == (1, 8)
    assert first.failures == {"damaged": 1}
    row = corpus.table("SELECT * FROM failures").to_pylist()[0]
    assert (row["stage"], row["kind"], row["path"]) == ("image", "damaged", photos[1])
    assert (row["permanent"], row["resolved"], row["attempts"]) == (True, False, 1)
    assert photos[1] in first.complaints[0]
    again = run(corpus, photos)
    assert (again.counts.photos_failed, again.counts.made) == (1, 0)
    assert again.failures == {"known to be unusable": 1}
    # Repaired, it is read again and the failure is history.
    Path(photos[1]).write_bytes(whole)
    assert run(corpus, photos).counts.made == 2
    assert corpus.rows("SELECT resolved FROM failures") == [(True,)]


def test_a_missing_photo_is_tried_again_when_it_is_there(
    corpus: Corpus, photos: list[str], tmp_path: Path, make_photo: Callable[..., Path]
) -> None:
    late = str(tmp_path / "late.png")
    assert run(corpus, [*photos, late]).counts.photos_failed == 1
    assert corpus.rows("SELECT kind, permanent FROM failures") == [("unreadable", False)]
    make_photo(tmp_path / "late.png", seed=99)
    counts = run(corpus, [*photos, late]).counts
    assert (counts.photos_failed, counts.made, counts.resumed) == (0, 2, 10)


def test_a_changed_file_is_read_again(
    corpus: Corpus, photos: list[str], make_photo: Callable[..., Path]
) -> None:
    run(corpus, photos)
    make_photo(Path(photos[0]), seed=50)
    os.utime(photos[0], ns=(1, 1))
    assert run(corpus, photos).counts.made == 2
    assert count(corpus, "images") == 6  # nothing is deleted
    assert run(corpus, photos).counts.made == 0


def test_a_touched_file_makes_no_new_captions(corpus: Corpus, photos: list[str]) -> None:
    run(corpus, photos)
    os.utime(photos[0], ns=(1, 1))
    counts = run(corpus, photos).counts
    assert (counts.made, counts.resumed) == (0, 10)


def test_the_same_bytes_at_two_paths_are_one_image(
    corpus: Corpus, photos: list[str], tmp_path: Path, make_photo: Callable[..., Path]
) -> None:
    twin = str(make_photo(tmp_path / "twin.png", seed=0))
    engine = FakeEngine()
    run(corpus, [*photos, twin], engine)
    assert (count(corpus, "images"), count(corpus, "files"), count(corpus, "captions")) == (
        5,
        6,
        10,
    )
    assert len(engine.asked) == 10
    assert run(corpus, [*photos, twin]).counts.made == 0


def test_a_moved_photo_keeps_its_captions_and_is_found_at_its_new_path(
    corpus: Corpus, photos: list[str], tmp_path: Path
) -> None:
    run(corpus, photos[:1])
    moved = tmp_path / "new" / "name.png"
    moved.parent.mkdir()
    Path(photos[0]).rename(moved)
    assert run(corpus, [str(moved)]).counts.made == 0
    assert corpus.rows("SELECT path FROM images") == [(str(moved),)]


# ---- failures of the model ----------------------------------------------------------------------


def refusing(permanent: bool, cue: str = "noise") -> Reply:
    def reply(request: Request) -> Answer | Refused:
        if request.question.cue == cue:
            return Refused(request.caption_id, "too_long", "too many tokens", permanent)
        return answer(request)

    return reply


def test_a_refused_caption_is_tried_again_and_overcome(corpus: Corpus, photos: list[str]) -> None:
    for attempt in (1, 2):
        generation = run(corpus, photos, FakeEngine(refusing(permanent=False)))
        assert generation.counts.failed == 5
        assert corpus.rows("SELECT DISTINCT attempts, resolved FROM failures") == [(attempt, False)]
    assert generation.failures == {"too_long": 5}
    engine = FakeEngine()
    assert run(corpus, photos, engine).counts.made == 5
    assert {request.question.cue for request in engine.asked} == {"noise"}
    assert corpus.rows("SELECT DISTINCT attempts, resolved FROM failures") == [(2, True)]
    row = corpus.table("SELECT * FROM failures LIMIT 1").to_pylist()[0]
    assert (row["stage"], row["model"], row["task"], row["cue"]) == (
        "engine",
        "fake-1",
        "quality",
        "noise",
    )
    assert row["image_id"] is not None


def test_what_failed_for_good_is_not_tried_again(corpus: Corpus, photos: list[str]) -> None:
    run(corpus, photos, FakeEngine(refusing(permanent=True)))
    engine = FakeEngine()
    run(corpus, photos, engine)
    assert engine.asked == []
    assert count(corpus, "failures WHERE permanent AND NOT resolved") == 5


@pytest.mark.parametrize("text", ["", "  \n\t"])
def test_an_empty_answer_is_a_failure_not_a_caption(
    corpus: Corpus, photos: list[str], text: str
) -> None:
    counts = run(corpus, photos, FakeEngine(lambda r: Answer(r.caption_id, text, "stop"))).counts
    assert (counts.made, counts.failed) == (0, 10)
    assert count(corpus, "captions") == 0
    assert corpus.rows("SELECT DISTINCT kind FROM failures") == [("empty",)]


def test_complaints_are_few_and_rows_are_all(
    corpus: Corpus, tmp_path: Path, make_photo: Callable[..., Path]
) -> None:
    paths = [str(make_photo(tmp_path / f"p{i:02}.png", seed=i)) for i in range(14)]
    generation = run(corpus, paths, FakeEngine(refusing(permanent=False)))
    assert len(generation.complaints) == generate.MOST_COMPLAINTS
    assert count(corpus, "failures") == 14


def test_an_engine_that_dies_keeps_everything_before(
    corpus: Corpus, photos: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(generate, "MOST_PHOTOS", 2)
    answered = 0

    def dying(request: Request) -> Answer:
        nonlocal answered
        answered += 1
        if answered > 8:
            raise EngineError("the engine died too often")
        return answer(request)

    with pytest.raises(EngineError):
        run(corpus, photos, FakeEngine(dying))
    assert count(corpus, "captions") == 8
    assert count(corpus, "images") == 4
    counts = run(corpus, photos).counts
    assert (counts.resumed, counts.made) == (8, 2)


def test_what_was_answered_before_an_engine_died_is_stored(
    corpus: Corpus, photos: list[str]
) -> None:
    class Shrinking(FakeEngine):
        """Short of memory: a window that was planned for four is asked by twos."""

        def start(self) -> None:
            super().start()
            self.window = 2

    def dying(request: Request) -> Answer:
        if len(engine.asked) > 2:
            raise EngineError("the engine died too often")
        return answer(request)

    engine = Shrinking(dying)
    with pytest.raises(EngineError, match="died too often"):
        run(corpus, photos, engine)
    assert count(corpus, "captions") == 2
    assert count(corpus, "failures WHERE permanent") == 0
    assert run(corpus, photos).counts.made == 8


def test_a_photo_that_changes_while_the_engine_works_is_read_again(
    corpus: Corpus, photos: list[str], tmp_path: Path, make_photo: Callable[..., Path]
) -> None:
    other = make_photo(tmp_path / "other.png", seed=77).read_bytes()

    def slow(request: Request) -> Answer:
        Path(photos[0]).write_bytes(other)
        return answer(request)

    run(corpus, photos[:1], FakeEngine(slow))
    again = run(corpus, photos[:1])
    assert (again.counts.resumed, again.counts.made) == (0, 2), "the new content has no captions"
    assert run(corpus, photos[:1]).counts.resumed == 2


def test_what_failed_before_does_not_keep_a_run_from_what_is_new(
    corpus: Corpus, photos: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(generate, "HOPELESS", 2)
    gone = [str(tmp_path / f"00 gone {k}.png") for k in range(5)]

    def going(paths: Sequence[str]) -> Generation:
        generation = Generation(corpus, FakeEngine(), plan(), "run1", max_failure_rate=0.9)
        generation.run(sorted(paths), 1)
        return generation

    with pytest.raises(TooManyFailuresError, match="nothing succeeds"):
        going(gone)
    run(corpus, photos[:4])
    (tmp_path / "00.png").write_bytes(Path(photos[0]).read_bytes())
    counts = going([*gone, str(tmp_path / "00.png"), *photos]).counts
    assert (counts.photos_failed, counts.made) == (5, 2)


def test_an_engine_that_is_gone_keeps_what_it_had_answered(
    corpus: Corpus, photos: list[str]
) -> None:
    def half(request: Request) -> Answer | Refused:
        if request.question.cue == "noise":
            return Refused(request.caption_id, generate.STOPPED, "the server is gone", False)
        return answer(request)

    with pytest.raises(EngineError, match="the server is gone"):
        run(corpus, photos, FakeEngine(half))
    # The first window's answers; nobody is asked any more.
    assert count(corpus, "captions") == 2
    assert run(corpus, photos).counts.made == 8


def test_a_stop_keeps_what_the_engine_has_begun(
    corpus: Corpus, photos: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(generate, "MOST_PHOTOS", 2)
    engine = FakeEngine()
    generation = Generation(corpus, engine, plan(), "run1", should_stop=lambda: bool(engine.asked))
    assert generation.run(photos, 1) is False
    # One window or two: the engine may have begun the second when the first was stored.
    stored = count(corpus, "captions")
    assert stored in {4, 8}
    assert stored == len(engine.asked) == generation.counts.made
    assert run(corpus, photos).counts.made == 10 - stored


# ---- ratings ------------------------------------------------------------------------------------


def test_only_train_photos_of_the_rated_task_are_told_their_level(
    corpus: Corpus, photos: list[str]
) -> None:
    ratings = {
        photos[0]: (rated("train"),),
        photos[1]: (rated("val"),),
        photos[2]: (rated("test"),),
        photos[3]: (rated("train", task="aesthetic", level="bad"),),
    }
    run(
        corpus,
        photos,
        ratings=ratings,
        tasks=["quality", "aesthetic"],
        cues={"quality": ["overall"], "aesthetic": ["overall"]},
    )
    told = corpus.rows(
        "SELECT i.path, c.task, c.level FROM captions c JOIN images i USING (image_id) "
        "WHERE c.level <> '' ORDER BY i.path"
    )
    assert told == [(photos[0], "quality", "good"), (photos[3], "aesthetic", "bad")]
    wordings = "SELECT count(*) FROM prompts WHERE level = '' AND regexp_matches(text, ?)"
    assert corpus.value(wordings, [r"is (good|bad)\b"]) == 0


def test_unguided_tells_nobody(corpus: Corpus, photos: list[str]) -> None:
    run(corpus, photos, ratings={path: (rated(),) for path in photos}, guided=False)
    assert corpus.rows("SELECT DISTINCT level FROM captions") == [("",)]
    assert count(corpus, "ratings") == 5


def test_ratings_of_known_photos_can_come_later(corpus: Corpus, photos: list[str]) -> None:
    run(corpus, photos)
    assert count(corpus, "ratings") == 0
    for mos in (3.0, 4.5):
        ratings = {path: (rated("test", mos=mos),) for path in photos}
        generation = run(corpus, photos, ratings=ratings)
        assert generation.counts.made == 0
        generation.store_ratings(photos)
        assert corpus.rows("SELECT DISTINCT mos, split, group_id FROM ratings") == [
            (mos, "test", "g")
        ]


# ---- dry run ------------------------------------------------------------------------------------


def test_a_dry_run_counts_what_a_run_would_do(corpus: Corpus, photos: list[str]) -> None:
    run(corpus, photos[:2])
    run(corpus, photos[2:3], cues={"quality": ["noise"]})
    engine = FakeEngine()
    counts = Generation(corpus, engine, plan(), "").missing(sorted(photos))
    assert (counts.photos, counts.wanted, counts.resumed, counts.made) == (5, 10, 5, 0)
    assert (engine.asked, engine.starts) == ([], 0)
    assert run(corpus, photos).counts.made == counts.wanted - counts.resumed
