"""Near-identical photos are found, and different ones are left apart."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageDraw

from curation.alike import BITS, EXHAUSTIVE, MOST_DIFFERENT, hash_photos, look, near_pairs
from curation.alike import read_pairs as pairs_of
from curation.corpus import Corpus
from uniqa.photos import image_id_of, read_photo

skdata = pytest.importorskip("skimage.data")

REAL = ("astronaut", "chelsea", "coffee", "rocket", "camera", "coins")


def real(name: str) -> Image.Image:
    return Image.fromarray(getattr(skdata, name)()).convert("RGB")


def recompressed(image: Image.Image) -> Image.Image:
    held = io.BytesIO()
    image.save(held, "JPEG", quality=35)
    return Image.open(held).convert("RGB")


def cropped(image: Image.Image) -> Image.Image:
    width, height = image.size
    return image.crop((width // 50, height // 50, width - width // 50, height - height // 50))


def half_size(image: Image.Image) -> Image.Image:
    return image.resize((image.width // 2, image.height // 2), Image.Resampling.LANCZOS)


def brighter(image: Image.Image) -> Image.Image:
    return image.point(lambda value: min(255, int(value * 1.15) + 4))


def watermarked(image: Image.Image) -> Image.Image:
    marked = image.copy()
    ImageDraw.Draw(marked).text((10, image.height - 20), "a watermark", fill=(255, 255, 255))
    return marked


def hash_of(image: Image.Image, folder: Path) -> bytes:
    path = folder / "photo.png"
    image.save(path)
    found = look(read_photo(path, max_side=128))
    assert found is not None
    return found


def apart(one: bytes, other: bytes) -> int:
    both = (np.frombuffer(item, np.uint8) for item in (one, other))
    return int(np.bitwise_count(np.bitwise_xor(*both)).sum())


@pytest.mark.parametrize("change", [recompressed, cropped, half_size, brighter, watermarked])
@pytest.mark.parametrize("name", REAL)
def test_the_same_photo_differs_in_few_bits(
    tmp_path: Path, name: str, change: Callable[[Image.Image], Image.Image]
) -> None:
    photo = real(name)
    assert apart(hash_of(photo, tmp_path), hash_of(change(photo), tmp_path)) <= MOST_DIFFERENT


def test_different_photos_differ_in_about_half(tmp_path: Path) -> None:
    hashes = [hash_of(real(name), tmp_path) for name in REAL]
    hashes += [hash_of(real(name).transpose(Image.Transpose.FLIP_LEFT_RIGHT), tmp_path)
               for name in REAL]  # fmt: skip
    distances = [apart(a, b) for n, a in enumerate(hashes) for b in hashes[:n]]
    assert min(distances) > MOST_DIFFERENT + 20
    assert np.mean(distances) == pytest.approx(BITS / 2, rel=0.1)


def test_a_photo_without_anything_in_it_is_like_no_other(tmp_path: Path) -> None:
    path = tmp_path / "flat.png"
    Image.new("RGB", (100, 80), (120, 130, 140)).save(path)
    assert look(read_photo(path)) is None


def planted(count: int, copies: int, flipped: float, seed: int = 0) -> np.ndarray:
    """Random hashes, of which the last `copies` are the first ones with some bits flipped."""
    generator = np.random.default_rng(seed)
    bits = generator.integers(0, 2, (count, 256), dtype=np.uint8)
    bits[:, 255] = 0
    noise = generator.random((copies, 256)) < flipped
    noise[:, 255] = False
    bits[count - copies :] = bits[:copies] ^ noise
    return np.packbits(bits, axis=1)


def test_few_photos_are_compared_each_with_each() -> None:
    hashes = planted(500, 50, 0.15)
    assert near_pairs(hashes) == [(n, 450 + n) for n in range(50)]


def test_many_photos_are_found_by_bits_that_agree() -> None:
    count = EXHAUSTIVE * 7
    found = near_pairs(planted(count, 1000, 0.05))
    expected = {(n, count - 1000 + n) for n in range(1000)}
    assert set(found) <= expected
    assert len(found) >= 995


def test_equal_hashes_are_a_star_and_not_all_pairs() -> None:
    hashes = np.concatenate([planted(5, 0, 0.0), np.tile(planted(1, 0, 0.0, seed=9), (2000, 1))])
    assert near_pairs(hashes) == [(5, n) for n in range(6, 2005)]
    assert near_pairs(hashes[:0]) == []


def test_photos_are_looked_at_once(tmp_path: Path) -> None:
    with Corpus(tmp_path / "c.duckdb", write=True) as store:
        places = {"a.png": real("astronaut"), "b.jpg": half_size(real("astronaut")),
                  "c.png": real("coffee")}  # fmt: skip
        for name, image in places.items():
            path = tmp_path / name
            image.save(path)
            row = {"path": str(path), "image_id": image_id_of(path)}
            store.put("images", [row])
            store.put("files", [{**row, "size": 1, "mtime_ns": 1}])
        gone = {"path": str(tmp_path / "gone.png"), "image_id": "f" * 64}
        store.put("images", [gone])
        store.put("files", [{**gone, "size": 1, "mtime_ns": 1}])
        read: list[int] = []
        hash_photos(store, workers=1, on_start=read.append)
        ids = {name: image_id_of(tmp_path / name) for name in places}
        assert pairs_of(store) == [tuple(sorted([ids["a.png"], ids["b.jpg"]]))]
        hash_photos(store, workers=1, on_start=read.append)
        assert read == [3, 0]
