"""Asking about a few photos before a long run."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from curation import preflight
from curation.engines.base import Answer, Refused, Request, Sampling
from curation.preflight import PROBE_PHOTOS, check_fit, largest_photo, probe
from tests.curation import test_generate as made_up
from tests.curation.test_generate import FakeEngine, plan
from uniqa.errors import UsageError
from uniqa.photos import image_id_of

readers = made_up.readers


def share(monkeypatch: pytest.MonkeyPatch, readers: Any) -> None:
    """Let all probes of a test read by the same processes, which take seconds to start."""

    class SharedStep(preflight.ImageStep):
        def _start(self) -> Any:
            self._pool = readers
            return readers

        def _stop(self, *, at_once: bool = False) -> None:
            self._pool = None

    monkeypatch.setattr(preflight, "ImageStep", SharedStep)


@pytest.fixture(autouse=True)
def _shared(monkeypatch: pytest.MonkeyPatch, readers: Any) -> None:
    share(monkeypatch, readers)


class Counting(FakeEngine):
    """Says how many tokens a photo takes by its width."""

    context = 400
    window = 1000

    def __init__(self) -> None:
        super().__init__(lambda r: Answer(r.caption_id, "words", "stop", 100 + r.payload, 5))


@pytest.fixture
def photos(tmp_path: Path, make_photo: Callable[..., Path]) -> list[str]:
    paths = [str(make_photo(tmp_path / f"{i:02}.png", seed=i, size=(20, 20))) for i in range(30)]
    Image.new("RGB", (60, 30)).save(tmp_path / "17.png")
    (tmp_path / "03.png").write_bytes(b"no photo")
    return paths


def test_a_probe_finds_the_longest_prompt_and_the_pace(photos: list[str]) -> None:
    engine = Counting()
    found = probe(engine, plan(), photos, workers=1)
    assert found is not None
    assert (found.prompt_tokens, found.context, found.refused) == (160, 400, 0)
    assert found.photos in {PROBE_PHOTOS, PROBE_PHOTOS - 1}
    assert found.captions == 2 * found.photos
    assert engine.starts == 1
    assert found.captions_per_second > 0
    assert found.seconds_for(0) == 0
    assert found.seconds_for(1000) > found.seconds_for(10) > 0


def test_the_largest_is_the_one_that_is_largest_after_shrinking(
    tmp_path: Path, photos: list[str]
) -> None:
    # Most pixels on disk, but a strip when it is shrunk to the engine's 64 pixels.
    Image.new("RGB", (4000, 40)).save(tmp_path / "29.png")
    Image.new("RGB", (300, 300)).save(tmp_path / "11.png")
    assert largest_photo(photos, 64) == (photos[11], image_id_of(photos[11]))
    assert largest_photo(photos, 0)[0] == photos[29]
    engine = Counting()
    probe(engine, plan(), photos, workers=1)
    assert engine.asked[0].image_id == image_id_of(photos[11])


def test_whether_it_fits_is_told_by_the_largest_alone(photos: list[str]) -> None:
    engine = Counting()
    assert check_fit(engine, plan(), photos, workers=1) == 160
    assert {request.image_id for request in engine.asked} == {image_id_of(photos[17])}
    with pytest.raises(UsageError, match="160 tokens and an answer up to 300: more than the 400"):
        check_fit(Counting(), plan(sampling=Sampling(max_tokens=300)), photos, workers=1)


def test_what_does_not_fit_is_an_error_at_once(photos: list[str]) -> None:
    with pytest.raises(UsageError, match="160 tokens and an answer up to 300: more than the 400"):
        probe(Counting(), plan(sampling=Sampling(max_tokens=300)), photos, workers=1)


def test_a_model_that_refuses_everything_is_an_error_at_once(photos: list[str]) -> None:
    def refuse(request: Request) -> Answer | Refused:
        return Refused(request.caption_id, "rejected", "no images, please", True)

    engine = FakeEngine(refuse)
    engine.window = 1000
    with pytest.raises(UsageError, match=r"refuses every question \(no images, please\)"):
        probe(engine, plan(), photos, workers=1)


def test_without_a_usable_photo_there_is_nothing_to_tell(tmp_path: Path) -> None:
    path = tmp_path / "bad.png"
    path.write_bytes(b"no photo")
    assert probe(FakeEngine(), plan(), [str(path)], workers=1) is None


def test_a_dry_run_tells_pace_and_makes_nothing(
    curate: Callable[..., Any], photos: list[str], tmp_path: Path
) -> None:
    import json

    corpus = tmp_path / "corpus.duckdb"
    options: Sequence[object] = ("--model", "measured", "--workers", 1, "--corpus", corpus)
    said = curate("generate", tmp_path, *options, "--dry-run", "--json")
    (told,) = json.loads(said.out)
    assert (told["photos"], told["wanted"], told["made"]) == (30, 180, 0)
    assert told["probe"]["captions_per_second"] > 0
    assert told["seconds_needed"] >= 0
    assert not corpus.exists()
    said = curate("generate", tmp_path, *options, "--dry-run", "--no-probe")
    assert "few photos" not in said.out
