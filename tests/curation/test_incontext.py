"""Exemplars of a run: a bank, or drawn once from the corpus and kept."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from curation import bank
from curation.config import RunConfig
from curation.corpus import Corpus
from curation.generate import Generation
from curation.incontext import bank_of, exemplars_of
from curation.prompts import PromptLibrary
from tests.conftest import caption_row, rating_row
from tests.curation import test_generate as made_up
from tests.curation.test_generate import FakeEngine, plan, rated
from uniqa.errors import InputError
from uniqa.levels import LEVELS

readers = made_up.readers
_shared_readers = made_up._shared_readers
LIBRARY = PromptLibrary()
CONFIG = RunConfig(tasks=("quality",), exemplar_sets=2, corpus=Path("nowhere.duckdb"))


class Alphabet:
    """Encodes a text by its letters: quick, and different for different texts."""

    def encode(self, texts: list[str]) -> Any:
        import numpy as np

        counts = np.array([[text.count(c) + 1 for c in "abcdefgh"] for text in texts], np.float32)
        return counts / np.linalg.norm(counts, axis=1, keepdims=True)


@pytest.fixture
def corpus(
    tmp_path: Path, make_photo: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> Iterator[Corpus]:
    """Ten rated photos with a caption each, half of them in the train split."""
    monkeypatch.setattr(bank, "SentenceEncoder", lambda _name: Alphabet())
    monkeypatch.setitem(bank.draw_bank.__kwdefaults__, "load", lambda _name: Alphabet())
    with Corpus(tmp_path / "corpus.duckdb", write=True) as store:
        for number in range(10):
            path = str(make_photo(tmp_path / f"{number}.png", seed=number))
            image = f"{number:064x}"
            facts = {"file_bytes": 1, "format": "PNG", "mode": "RGB", "width": 48, "height": 32}
            store.put("images", [{"image_id": image, "path": path, **facts}])
            split = "train" if number < 6 else "test"
            level = LEVELS[number % 5]
            store.put("ratings", [rating_row(number, level=level, split=split)])
            told = f"numbered {number}, looks {level} to whoever sees it {'abc'[number % 3]}."
            text = f"This photo, {told}"
            store.put("captions", [caption_row(number, number, text=text)])
        yield store


def test_without_shots_there_are_none(corpus: Corpus) -> None:
    assert exemplars_of(corpus, CONFIG, LIBRARY, 0, "run") == {}


def test_drawn_once_and_kept(corpus: Corpus) -> None:
    first = exemplars_of(corpus, CONFIG, LIBRARY, 2, "run1")["quality"]
    shown = {shot.image_id for one in first.sets for shot in one}
    assert len(first.sets) == 2
    assert shown <= {f"{number:064x}" for number in range(6)}, "train photos alone"
    # Another caption must not change what a resumed run shows.
    corpus.put(
        "captions", [caption_row(99, 0, text="A much longer and better text about photo nought.")]
    )
    again = exemplars_of(corpus, CONFIG, LIBRARY, 2, "run2")["quality"]
    assert again.as_dict() == first.as_dict()
    assert corpus.value("SELECT count(*) FROM exemplar_banks") == 1
    exemplars_of(corpus, replace(CONFIG, seed=1), LIBRARY, 2, "run3")
    assert corpus.value("SELECT count(*) FROM exemplar_banks") == 2


def test_a_dry_run_draws_and_stores_nothing(corpus: Corpus) -> None:
    assert exemplars_of(corpus, CONFIG, LIBRARY, 2, "")["quality"].sets
    assert corpus.value("SELECT count(*) FROM exemplar_banks") == 0


def test_without_a_corpus_a_bank_is_needed() -> None:
    with pytest.raises(InputError, match="no exemplars can be drawn"):
        exemplars_of(None, CONFIG, LIBRARY, 2, "")


def test_a_bank_with_held_back_photos_is_told(
    corpus: Corpus, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from uniqa.photos import image_id_of

    lines = []
    for number in (0, 8):
        path = tmp_path / f"{number}.png"
        corpus.put("ratings", [{**rating_row(number), "image_id": image_id_of(path),
                                "split": "train" if number == 0 else "test"}])  # fmt: skip
        lines.append(
            json.dumps({"image": path.name, "task": "quality", "answer": f"Answer {number}."})
        )
    (tmp_path / "bank.jsonl").write_text("\n".join(lines))
    config = replace(CONFIG, exemplars=tmp_path / "bank.jsonl")
    own = bank_of(config, LIBRARY, {}, corpus)
    sets = exemplars_of(corpus, config, LIBRARY, 1, "run", own)["quality"]
    assert [len(one) for one in sets.sets] == [1, 1]
    assert "1 photos of the bank are in the val or test split" in capsys.readouterr().err


def test_what_is_shown_is_stored_with_the_prompt(corpus: Corpus, tmp_path: Path) -> None:
    engine = FakeEngine()
    sets = exemplars_of(corpus, CONFIG, LIBRARY, 2, "run")
    paths = [str(tmp_path / f"{number}.png") for number in range(3)]
    ratings = {path: (rated(group=f"scene{number}"),) for number, path in enumerate(paths)}
    Generation(corpus, engine, plan(exemplars=sets, ratings=ratings, guided=False), "run2").run(
        paths, 1
    )
    assert {len(request.shots) for request in engine.asked} == {2}
    for request in engine.asked:
        groups = {shot.group for shot in request.question.exemplars}
        own = next(r[0].group for p, r in ratings.items() if _id(corpus, p) == request.image_id)
        assert own not in groups
    shots = corpus.rows("SELECT DISTINCT shots FROM corpus WHERE run_id = 'run2'")
    assert shots == [(2,)]
    told = json.loads(corpus.value("SELECT exemplars FROM prompts WHERE exemplars <> '[]' LIMIT 1"))
    assert set(told[0]) == {"image_id", "question", "answer"}


def _id(corpus: Corpus, path: str) -> str:
    return str(corpus.value("SELECT image_id FROM files WHERE path = ?", [path]))


def test_engines_that_do_not_listen_are_shown_nothing(corpus: Corpus, tmp_path: Path) -> None:
    engine = FakeEngine()
    engine.listens = False  # type: ignore[misc]
    sets = exemplars_of(corpus, CONFIG, LIBRARY, 2, "run")
    asked = plan(exemplars=sets, cues={"quality": ["noise", "score"]})
    Generation(corpus, engine, asked, "run2").run([str(tmp_path / "0.png")], 1)
    assert [(request.shots, request.question.cue) for request in engine.asked] == [((), "noise")]
