"""Every hostile file ends as right pixels or as one clear failure, alone and through generation."""

from __future__ import annotations

import contextlib
import time
import warnings
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from curation.corpus import Corpus
from curation.engines.base import Sampling
from curation.engines.measured import MeasuredEngine
from curation.generate import Generation
from curation.images import ImageStep, Unusable, collect_images
from curation.plan import Plan
from curation.prompts import PromptLibrary
from tests.hostile import Case, build
from uniqa.photos import MAX_PIXELS, Photo, PhotoError, image_id_of, read_photo

SECONDS = 10.0
"""More than any one file may take, on a slow machine."""


@pytest.fixture(scope="module")
def cases(tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[Case]]:
    folder = tmp_path_factory.mktemp("hostile")
    yield build(folder)
    # Or pytest cannot clean up after somebody who is not the superuser.
    with contextlib.suppress(OSError):
        (folder / "locked.png").chmod(0o600)


def check_pixels(case: Case, photo: Photo) -> None:
    pixels = photo.pixels
    assert pixels.dtype == np.uint8
    assert pixels.ndim == 3
    assert pixels.shape[2] == 3
    assert 0 < pixels.shape[0] * pixels.shape[1] <= MAX_PIXELS
    assert (photo.full_width, photo.full_height) == (photo.width, photo.height)
    if case.size is not None:
        assert (photo.width, photo.height) == case.size
    if case.corners is not None:
        height, width = pixels.shape[:2]
        rows, columns = (height // 4, height * 3 // 4), (width // 4, width * 3 // 4)
        seen = [pixels[row, column].astype(int) for row in rows for column in columns]
        for have, want in zip(seen, case.corners, strict=True):
            assert np.abs(have - want).max() <= case.tolerance, (have, want)


def test_there_are_many(cases: list[Case]) -> None:
    assert len(cases) > 100


def end_of(case: Case) -> str:
    """What is wrong with how the file ends, empty when nothing is."""
    began = time.monotonic()
    try:
        photo = read_photo(case.path)
    except PhotoError as error:
        if error.kind not in case.kinds or not error.message or "\n" in str(error.message):
            return f"refused as {error.kind}: {error.message}"
    else:
        if not case.may_be_taken:
            return "was taken"
        check_pixels(case, photo)
    return "" if time.monotonic() - began < SECONDS else "took too long"


def test_each_ends_as_pixels_or_as_one_failure(
    cases: list[Case], capsys: pytest.CaptureFixture[str]
) -> None:
    wrong = []
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for case in cases:
            try:
                complaint = end_of(case)
            except Exception as error:  # noqa: BLE001 (all are told, not only the first)
                complaint = f"{type(error).__name__}: {error}"
            if complaint:
                wrong.append(f"{case.path.name!r}: {complaint}")
    assert not wrong, "\n".join(wrong)
    said = capsys.readouterr()
    assert (said.out, said.err) == ("", "")


def test_a_folder_of_them_is_listed_without_opening_any(cases: list[Case]) -> None:
    folder = cases[0].path.parent
    found, tables = collect_images([folder])
    assert tables == []
    ends_in_a_folder = {str(folder / name) for name in ("folder.jpg", "upwards.jpg")}
    others = {str(folder / "loop_b.jpg")}
    assert set(found) - others == {str(case.path) for case in cases} - ends_in_a_folder


def test_the_image_step_gives_each_an_end(
    cases: list[Case], capfd: pytest.CaptureFixture[str]
) -> None:
    paths = [str(case.path) for case in cases]
    batches = [paths[start : start + 32] for start in range(0, len(paths), 32)]
    with ImageStep(MeasuredEngine.prepare, 0, workers=2, seconds=60) as step:
        items = [item for window in step.windows(batches) for item in window]
    assert [item.path for item in items] == paths
    said = capfd.readouterr()
    assert (said.out, said.err) == ("", ""), "not even from decoders written in C"
    wrong = []
    for case, item in zip(cases, items, strict=True):
        if isinstance(item, Unusable):
            right = item.kind in case.kinds and item.permanent == (item.kind != "unreadable")
            right &= bool(item.message) and "\n" not in item.message
        else:
            right = case.may_be_taken and item.image_id == image_id_of(case.path)
        if not right:
            wrong.append(item)
    assert not wrong


def test_generation_makes_captions_or_failures_of_all(cases: list[Case], tmp_path: Path) -> None:
    paths = sorted(str(case.path) for case in cases)
    plan = Plan(
        tasks=["quality"],
        cues={"quality": ["overall"]},
        library=PromptLibrary(),
        sampling=Sampling(),
        seed=0,
    )
    with Corpus(tmp_path / "corpus.duckdb", write=True) as corpus:
        for again in (False, True):
            generation = Generation(corpus, MeasuredEngine(), plan, "run")
            generation.run(paths, 2)
            assert generation.counts.photos == len(paths)
            assert generation.counts.failed == 0
            assert bool(generation.counts.made) is not again
        failed = {path for (path,) in corpus.rows("SELECT path FROM failures WHERE NOT resolved")}
        described = "SELECT f.path FROM files f JOIN captions c USING (image_id)"
        made = {path for (path,) in corpus.rows(described)}
        kinds = dict(corpus.rows("SELECT path, kind FROM failures"))
    assert failed | made == set(paths)
    assert not failed & made
    for case in cases:
        path = str(case.path)
        assert kinds[path] in case.kinds if path in failed else case.may_be_taken, path
