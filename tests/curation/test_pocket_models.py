"""The pocket models that come with UniQA: they look, they listen, and engines agree on them.

What they score is in their cards (`benchmarks/pocket.py`); here stands what must never be lost.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest

from curation.demo.photos import colour_crops
from curation.engines import make_engine
from curation.engines.vllm import VllmEngine
from curation.pocket.exam import GREEDY, Examiner, damaged, distinct
from curation.pocket.examine import held_out
from curation.pocket.incontext import exemplars_change
from curation.pocket.shape import CANVAS
from curation.pocket.shipped import POCKETS, shipped_models
from uniqa.errors import InputError
from uniqa.photos import Pixels

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")


@pytest.fixture(scope="module")
def photos() -> list[Pixels]:
    return colour_crops()


@pytest.fixture(scope="module", params=POCKETS)
def examiner(request: pytest.FixtureRequest) -> Iterator[Examiner]:
    engine = make_engine(request.param, engine="transformers")
    engine.start()
    yield Examiner(engine)
    engine.close()


@pytest.mark.parametrize("name", POCKETS)
def test_ships_small_and_whole(name: str) -> None:
    folder = shipped_models()[name]
    assert (folder / "model.safetensors").stat().st_size < 8_000_000
    assert "How to build it again" in (folder / "README.md").read_text("utf-8")
    config = json.loads((folder / "config.json").read_text("utf-8"))
    assert config["model_type"] == "idefics3"


def test_looks(examiner: Examiner, photos: list[Pixels]) -> None:
    sheets = [s for s in damaged(photos, 8) if s.severity == 0 or s.severity >= 3]
    seen = examiner.faults(sheets)
    blind = seen["permuted"]
    assert seen["macro_f1"] > blind["macro_f1"] + 0.3
    assert seen["severity_srcc"] > blind["severity_srcc"] + 0.3


def test_listens(examiner: Examiner, photos: list[Pixels]) -> None:
    kept = examiner.obedience(photos[::3])
    # Some eighty answers each: the cards have the shares of many more, and how they were found.
    assert kept["task"] >= 0.95
    assert kept["level"] >= 0.90
    assert kept["cue"] >= 0.90


def test_varies(examiner: Examiner, photos: list[Pixels]) -> None:
    assert distinct(examiner.samples(photos[:6])) >= 0.9


@pytest.mark.parametrize("name", POCKETS)
@pytest.mark.parametrize(("shots", "agreed"), [(1, 0.8), (2, 0.5)])
def test_exemplars_change_the_style_not_the_facts(
    name: str, photos: list[Pixels], shots: int, agreed: float
) -> None:
    # Of two exemplars pocket-a takes a fault over now and then: their card says how often.
    pictures = [sheet.pixels for sheet in damaged(photos, 12) if sheet.severity == 5][:16]
    result = exemplars_change(shipped_models()[name], name, pictures, shots)
    assert result["brief_words"] * 1.3 < result["rich_words"]
    assert result["same_fault"] >= agreed


def test_strange_photos_get_answers(examiner: Examiner) -> None:
    rng = np.random.default_rng(0)
    shapes = ((1, 1), (3, 700), (900, 2), (40, 30), (CANVAS, CANVAS))
    photos = [rng.integers(0, 256, (*shape, 3), dtype=np.uint8) for shape in shapes]
    asked = [examiner.question("quality", "overall", "", n) for n in range(len(photos))]
    assert all(examiner.ask(photos, asked, GREEDY))


@pytest.mark.vllm
@pytest.mark.skipif(find_spec("vllm") is None, reason="vLLM is not installed")
@pytest.mark.parametrize("name", POCKETS)
def test_vllm_says_what_transformers_says(name: str, photos: list[Pixels], tmp_path: Path) -> None:
    texts: list[list[str]] = []
    for kind in ("transformers", "vllm"):
        examiner = Examiner(make_engine(name, engine=kind, log=tmp_path / "vllm.log"))
        examiner.engine.start()
        asked = [examiner.question("quality", "overall", "", n) for n in range(len(photos))]
        texts.append(examiner.ask(photos, asked, GREEDY))
        if isinstance(examiner.engine, VllmEngine):
            # More prompt than one step takes in, every request with a seed of its own.
            many = examiner.samples(photos, 6)
            assert all(text for several in many for text in several)
            assert examiner.engine.restarts == 0
        examiner.engine.close()
    same = sum(one == other for one, other in zip(*texts, strict=True))
    # A tie between two words may fall either way where sums are taken in another order.
    assert same >= len(photos) - 2


def test_the_exam_names_what_is_missing(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no photos in"):
        held_out(tmp_path, 5)
    (tmp_path / "broken.jpg").write_bytes(b"\xff\xd8\xff")
    with pytest.raises(InputError, match=r"broken\.jpg"):
        held_out(tmp_path, 5)
