"""Thumbnails: within their bytes, from wherever the photo lies, or a reason instead."""

from __future__ import annotations

import base64
import hashlib
import io
import tarfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from curation.thumbnails import SIDES, Shrink, Thumbnail, make_thumbnails
from uniqa.photos import read_photo


def identity(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def opened(thumbnail: Thumbnail) -> Image.Image:
    kind, _, data = thumbnail.url.partition(";base64,")
    assert kind == "data:image/webp"
    image = Image.open(io.BytesIO(base64.b64decode(data)))
    image.load()
    return image


@pytest.fixture
def noisy(tmp_path: Path) -> Path:
    """A photo that compresses badly."""
    pixels = np.random.default_rng(0).integers(0, 255, (700, 1000, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(tmp_path / "noisy.png")
    return tmp_path / "noisy.png"


@pytest.mark.parametrize("most", [2_000, 6_000, 14_000])
def test_a_picture_keeps_within_its_bytes_and_shape(noisy: Path, most: int) -> None:
    data = Shrink(most)(read_photo(noisy))
    assert len(data) <= most
    width, height = Image.open(io.BytesIO(data)).size
    assert abs(width / height - 1000 / 700) < 0.02


def test_more_bytes_make_a_larger_picture_up_to_the_largest(
    noisy: Path, tmp_path: Path, make_photo: Callable[..., Path]
) -> None:
    few, many = (Image.open(io.BytesIO(Shrink(n)(read_photo(noisy)))) for n in (3_000, 12_000))
    assert few.width < many.width
    smooth = make_photo(tmp_path / "smooth.png", size=(1200, 800))
    assert Image.open(io.BytesIO(Shrink(14_000)(read_photo(smooth)))).width == SIDES[0]
    small = make_photo(tmp_path / "small.png", size=(40, 30))
    assert Image.open(io.BytesIO(Shrink(14_000)(read_photo(small)))).size == (40, 30)


def test_even_what_never_fits_gets_a_picture(noisy: Path) -> None:
    data = Shrink(10)(read_photo(noisy))
    assert max(Image.open(io.BytesIO(data)).size) == SIDES[-1]


def test_photos_in_files_and_containers_and_what_is_no_longer_there(
    tmp_path: Path, make_photo: Callable[..., Path]
) -> None:
    plain = make_photo(tmp_path / "plain.jpg", seed=1)
    inside = make_photo(tmp_path / "inside.jpg", seed=2)
    with tarfile.open(tmp_path / "shard.tar", "w") as tar:
        tar.add(inside, "a/inside.jpg")
    moved = make_photo(tmp_path / "moved.jpg", seed=3)
    ids = {"plain": identity(plain), "inside": identity(inside), "moved": identity(moved)}
    moved.rename(tmp_path / "new name.jpg")
    inside.unlink()
    damaged = tmp_path / "damaged.jpg"
    damaged.write_bytes(plain.read_bytes()[:400])
    done: list[int] = []
    found = make_thumbnails(
        {
            ids["plain"]: [str(plain)],
            ids["inside"]: [f"{tmp_path / 'shard.tar'}::a/inside.jpg"],
            ids["moved"]: [str(moved), str(tmp_path / "new name.jpg")],
            "gone": [str(tmp_path / "gone.jpg")],
            "never": [],
            "another": [str(plain)],
            "damaged": [str(damaged)],
        },
        most=6_000,
        workers=1,
        on_done=done.append,
    )
    for name in ids.values():
        assert opened(found[name]).size == (48, 32)
    assert found["gone"] == Thumbnail("", "the photo is no longer where it was")
    assert found["never"].reason
    assert found["another"].reason == "the file now holds another photo"
    assert "damaged" in found["damaged"].reason
    assert sum(done) == len(found) == 7
