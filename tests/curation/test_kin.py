"""Photos of one group never see each other as exemplars, whoever told the group, and when."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from curation import bank, command, places, running
from curation.config import RunConfig, Source
from curation.corpus import Corpus
from curation.engines.base import Answer, Request
from curation.engines.spec import ModelSpec
from curation.incontext import exemplars_for
from curation.places import KnownPlaces
from curation.plan import Place
from curation.prompts import PromptLibrary
from tests.conftest import image_rows, rating_row
from tests.curation import test_generate as made_up
from tests.curation.test_generate import FakeEngine
from tests.curation.test_incontext import Alphabet
from tests.curation.test_preflight import share
from uniqa.errors import InputError, UsageError
from uniqa.levels import LEVELS
from uniqa.photos import image_id_of

readers = made_up.readers
_shared_readers = made_up._shared_readers
LIBRARY = PromptLibrary()
SCENES, TAKES = 4, 3
WORDS = "This photo looks {} to everybody who sees it, and here is why: it is number {}."


def reply(request: Request) -> Answer:
    text = WORDS.format(request.question.level or "plain", request.seed)
    return Answer(request.caption_id, text, "stop", 50 + 10 * len(request.shots), 20)


class Engines:
    """Makes engines by name and keeps them, to ask what they were asked."""

    def __init__(self) -> None:
        self.made: dict[str, FakeEngine] = {}
        self.context: int | None = None

    def __call__(self, spec: ModelSpec, **_options: Any) -> FakeEngine:
        engine = FakeEngine(reply, spec.id)
        engine.window = 1000
        engine.context = self.context
        engine.listens = spec.id != "deaf"  # type: ignore[misc]
        self.made[spec.id] = engine
        return engine


@pytest.fixture
def engines(monkeypatch: pytest.MonkeyPatch, readers: Any) -> Engines:
    made = Engines()
    share(monkeypatch, readers)
    monkeypatch.setattr(running, "make_engine", made)
    monkeypatch.setitem(bank.draw_bank.__kwdefaults__, "load", lambda _name: Alphabet())
    return made


@pytest.fixture
def folder(tmp_path: Path, make_photo: Callable[..., Path]) -> Path:
    """Four scenes of three takes, rated for quality, all in the train split."""
    rows = ["image,mos,group,split"]
    for scene in range(SCENES):
        for take in range(TAKES):
            name = f"{scene}{take}.png"
            make_photo(tmp_path / "photos" / name, seed=10 * scene + take)
            rows.append(f"{name},{1 + scene},scene{scene},train")
    (tmp_path / "photos" / "ratings.csv").write_text("\n".join(rows))
    return tmp_path


def config(folder: Path, *models: str, rated: bool = True, **changes: Any) -> RunConfig:
    ratings = folder / "photos" / "ratings.csv" if rated else None
    settings: dict[str, Any] = {
        "sources": (Source(images=(folder / "photos",), ratings=ratings),),
        "corpus": folder / "corpus.duckdb",
        "models": tuple(ModelSpec(id=name) for name in models),
        "tasks": ("quality",),
        "cues": ("overall",),
        "shots": 1,
        "exemplar_sets": 2,
        "workers": 1,
        **changes,
    }
    return RunConfig(**settings)


def scenes(folder: Path) -> dict[str, str]:
    """image_id → scene."""
    return {image_id_of(path): path.name[0] for path in sorted((folder / "photos").glob("*.png"))}


def kin_seen(folder: Path, engine: FakeEngine) -> list[str]:
    """Photos that were shown a take of their own scene."""
    scene = scenes(folder)
    assert engine.asked
    return [
        request.image_id
        for request in engine.asked
        for shot in request.question.exemplars
        if scene[shot.image_id] == scene[request.image_id]
    ]


def bank_file(folder: Path, names: list[str]) -> Path:
    lines = [
        json.dumps({"image": name, "task": "quality", "answer": f"It is number {n}."})
        for n, name in enumerate(names)
    ]
    (folder / "bank.jsonl").write_text("\n".join(lines))
    return folder / "bank.jsonl"


# ---- groups -------------------------------------------------------------------------------------


@pytest.mark.parametrize("copied", [False, True])
def test_photos_of_a_bank_have_the_group_of_the_ratings(
    folder: Path, engines: Engines, copied: bool
) -> None:
    names = [f"photos/{scene}0.png" for scene in range(SCENES)]
    if copied:
        # Known by its bytes, wherever it lies.
        names = [shutil.copy(folder / name, folder / f"copy{n}.png").name
                 for n, name in enumerate(names)]  # fmt: skip
    own = config(folder, "one", exemplars=bank_file(folder, names), exemplar_sets=4)
    (first,) = command.run_generate(own)
    assert first.counts.made == SCENES * TAKES
    assert kin_seen(folder, engines.made["one"]) == []
    (again,) = command.run_generate(own)
    assert (again.counts.made, engines.made["one"].asked) == (0, [])
    # The corpus knows the groups from now on.
    command.run_generate(config(folder, "two", rated=False, exemplars=own.exemplars,
                                exemplar_sets=4))  # fmt: skip
    assert kin_seen(folder, engines.made["two"]) == []


def test_a_bank_s_own_word_on_groups_holds(folder: Path, engines: Engines) -> None:
    item = {"image": "photos/00.png", "task": "quality", "answer": "A.", "group": "mine"}
    path = folder / "bank.jsonl"
    path.write_text(json.dumps(item) + "\n" + json.dumps(item | {"image": "photos/10.png"}))
    with pytest.raises(InputError, match="there are 1 of different groups"):
        command.run_generate(config(folder, "deaf", "one", exemplars=path, shots=2))
    assert not (folder / "corpus.duckdb").exists()
    assert [engine.asked for engine in engines.made.values()] == [[], []]


def test_the_corpus_tells_groups_to_a_run_without_ratings(folder: Path, engines: Engines) -> None:
    command.run_generate(config(folder, "deaf"))
    blind = config(folder, "one", rated=False)
    (dry,) = command.run_generate(blind, dry_run=True, probe_photos=False)
    (first,) = command.run_generate(blind)
    assert dry.counts.missing == first.counts.made == SCENES * TAKES
    asked = list(engines.made["one"].asked)
    assert kin_seen(folder, engines.made["one"]) == []
    # What is looked at is what was sent.
    for request in asked:
        assert request.question.exemplars == exemplars_for(
            request.image_id, "quality", LIBRARY,
            shots=1, sets=2, seed=0, bank=None, corpus=blind.corpus,
        )  # fmt: skip
    (again,) = command.run_generate(blind)
    assert (again.counts.made, engines.made["one"].asked) == (0, [])
    # With the ratings they are told the level, but shown the same.
    command.run_generate(config(folder, "two"))
    shown = {one.image_id: one.question.exemplars for one in engines.made["two"].asked}
    assert shown == {one.image_id: one.question.exemplars for one in asked}


def test_new_groups_take_the_place_of_what_the_corpus_had(folder: Path, engines: Engines) -> None:
    command.run_generate(config(folder, "deaf"))
    table = folder / "photos" / "ratings.csv"
    # Every photo now claims to be of the scene after its own.
    rows = [row.split(",") for row in table.read_text().splitlines()]
    for row in rows[1:]:
        row[2] = f"scene{(int(row[0][0]) + 1) % SCENES}"
    table.write_text("\n".join(",".join(row) for row in rows))
    anew = config(folder, "one")
    (first,) = command.run_generate(anew)
    (again,) = command.run_generate(anew)
    assert (first.counts.made, again.counts.made) == (SCENES * TAKES, 0)


def test_held_back_photos_of_a_bank_are_told_on_the_first_run(
    folder: Path, engines: Engines, capsys: pytest.CaptureFixture[str]
) -> None:
    table = folder / "photos" / "ratings.csv"
    table.write_text(table.read_text().replace("scene3,train", "scene3,test"))
    names = [f"photos/{scene}0.png" for scene in range(SCENES)]
    own = config(folder, "deaf", "one", exemplars=bank_file(folder, names))
    for dry in (True, False, False):
        command.run_generate(own, dry_run=dry, probe_photos=False)
        said = capsys.readouterr().err
        assert said.count("1 photos of the bank are in the val or test split") == 1, said


def test_places_at_hand_are_few(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(places, "MOST", 4)
    with Corpus(tmp_path / "corpus.duckdb", write=True) as corpus:
        for number in range(6):
            corpus.put("images", [image_rows(number)[0]])
            corpus.put("ratings", [rating_row(number, split="val" if number else "train")])
        ids = [f"{number:064x}" for number in range(7)]
        known = KnownPlaces(corpus)
        known.look_up(ids[:3])
        known.look_up([ids[6], ids[1], ids[1], ids[5]])
        assert list(known) == [ids[2], ids[1], ids[6], ids[5]]
        assert known[ids[1]] == {("koniq", "quality"): Place("scene1", "val")}
        assert known[ids[6]] == {}
        known.look_up(ids)
        assert set(ids) <= set(known)


# ---- what is known beforehand -------------------------------------------------------------------


@pytest.mark.parametrize("dry", [False, True])
def test_a_task_without_ratings_is_an_error_before_anything_runs(
    folder: Path, engines: Engines, dry: bool
) -> None:
    both = config(folder, "deaf", "one", tasks=("quality", "aesthetic"))
    with pytest.raises(InputError) as caught:
        command.run_generate(both, dry_run=dry)
    said = str(caught.value)
    assert (
        "'aesthetic' are wanted by one, but ratings for it are known of train photos of 0" in said
    )
    assert "--task" in said
    assert "\n" not in said
    assert [engine.asked for engine in engines.made.values()] == [[], []]
    assert not both.corpus.exists()


def test_too_few_groups_are_counted_over_tables_and_corpus(folder: Path, engines: Engines) -> None:
    with pytest.raises(InputError, match=r"3 × 2 .* of train photos of 4 different groups only"):
        command.run_generate(config(folder, "deaf", "one", shots=2, exemplar_sets=3))
    # Two groups more, of photos that are rated in the corpus alone.
    with Corpus(folder / "corpus.duckdb", write=True) as corpus:
        corpus.put("ratings", [rating_row(number) for number in (11, 12)])
        corpus.put("ratings", [rating_row(13, task="aesthetic"), rating_row(14, split="val")])
    with pytest.raises(InputError, match=r"4 × 2 .* of train photos of 6 different groups only"):
        command.run_generate(config(folder, "deaf", "one", shots=2, exemplar_sets=4))


def test_without_a_model_before_the_corpus_must_hold_captions(
    folder: Path, engines: Engines
) -> None:
    alone = config(folder, "one", "deaf")
    with pytest.raises(InputError, match="does not exist yet, so no exemplars can be drawn"):
        command.run_generate(alone)
    assert not alone.corpus.exists()
    # A model that is asked for levels alone says nothing that could be shown.
    with pytest.raises(InputError, match="does not exist yet"):
        command.run_generate(config(folder, "deaf", "one", cues=("score",)))


def test_a_dry_run_foresees_exemplars_of_its_first_model(
    folder: Path, engines: Engines, capsys: pytest.CaptureFixture[str]
) -> None:
    both = config(folder, "deaf", "one", max_tokens=90)
    results = command.run_generate(both, dry_run=True)
    told = " ".join(capsys.readouterr().err.split())
    assert "one: its exemplars for quality will be drawn from the captions of deaf" in told
    assert [one.counts.missing for one in results] == [SCENES * TAKES] * 2
    shots = {one.question.exemplars for one in engines.made["one"].asked}
    ((shot,),) = shots
    assert len(shot.answer.split()) == 90
    assert shot.image_id in scenes(folder)
    assert results[1].probe is not None
    assert results[1].probe.prompt_tokens == 60
    assert not both.corpus.exists()
    # The real run draws them, and a dry run after it knows them.
    made = command.run_generate(both)
    assert [one.counts.made for one in made] == [SCENES * TAKES] * 2
    assert {shot.level for one in engines.made["one"].asked for shot in one.question.exemplars} <= {
        *LEVELS
    }
    done = command.run_generate(both, dry_run=True)
    assert [one.counts.missing for one in done] == [0, 0]
    assert "will be drawn" not in capsys.readouterr().err


def test_what_stands_in_counts_against_the_context(folder: Path, engines: Engines) -> None:
    engines.context = 140
    with pytest.raises(UsageError, match="60 tokens and an answer up to 90: more than the 140"):
        command.run_generate(config(folder, "deaf", "one", max_tokens=90), dry_run=True)


def test_the_context_is_checked_where_few_captions_are_missing(
    folder: Path, engines: Engines, capsys: pytest.CaptureFixture[str]
) -> None:
    for path in sorted((folder / "photos").glob("*.png"))[3:]:
        path.unlink()
    engines.context = 100
    few = config(folder, "one", shots=0, max_tokens=40)
    (found,) = command.run_generate(few, dry_run=True)
    assert (found.counts.missing, found.probe) == (3, None)
    assert len(engines.made["one"].asked) == 1
    assert "3 captions are too few to time them" in capsys.readouterr().err
    with pytest.raises(UsageError, match="more than the 100 that one takes"):
        command.run_generate(config(folder, "one", shots=0, max_tokens=60), dry_run=True)
