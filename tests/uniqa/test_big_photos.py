"""Photos of many megapixels: the same pixels as the usual way, in a fraction of the memory."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.uniqa.test_photos import swapped_profile
from uniqa import big_photos
from uniqa.photos import PhotoError, read_photo


def scene(width: int = 701, height: int = 503) -> np.ndarray:
    """Smooth colours with some noise; sides that no factor divides."""
    rng = np.random.default_rng(0)
    y, x = np.mgrid[:height, :width]
    plane = np.stack([x * 255 / width, y * 255 / height, (x + y) % 256], axis=-1)
    return np.clip(plane + rng.normal(0, 12, plane.shape), 0, 255).astype(np.uint8)


def both_ways(path: Path, monkeypatch: pytest.MonkeyPatch, side: int = 64):
    usual = read_photo(path, max_side=side)
    monkeypatch.setattr(big_photos, "BIG_PIXELS", 1000)
    monkeypatch.setattr(big_photos, "_STRIP_PIXELS", 20_000)
    return usual, read_photo(path, max_side=side)


def saved(path: Path, mode: str) -> Path:
    image = Image.fromarray(scene())
    if mode == "RGBA":
        alpha = Image.fromarray(scene()[..., 0])
        image.putalpha(alpha)
    elif mode == "I;16":
        image = Image.fromarray(scene()[..., 0].astype(np.uint16) * 200)
    elif mode == "transparent":
        image = image.quantize(16)
        image.save(path, transparency=0)
        return path
    else:
        image = image.quantize(32) if mode == "P" else image.convert(mode)
    image.save(path)
    return path


@pytest.mark.parametrize("mode", ["RGB", "L", "P", "RGBA", "LA", "I;16", "1", "transparent"])
def test_strips_change_no_pixel(tmp_path, monkeypatch, mode):
    usual, strips = both_ways(saved(tmp_path / "a.png", mode), monkeypatch)
    assert strips.pixels.shape == usual.pixels.shape == (46, 64, 3)
    missed = np.abs(strips.pixels.astype(int) - usual.pixels)
    if mode == "RGB":
        assert missed.max() == 0
    assert missed.max() <= 1
    assert (strips.mode, strips.full_width, strips.full_height) == (usual.mode, 701, 503)
    assert strips.image_id == usual.image_id


@pytest.mark.parametrize("orientation", range(1, 9))
def test_strips_come_out_upright(tmp_path, monkeypatch, orientation):
    exif = Image.Exif()
    exif[0x0112] = orientation
    Image.fromarray(scene()).save(tmp_path / "a.png", exif=exif)
    usual, strips = both_ways(tmp_path / "a.png", monkeypatch)
    assert (strips.full_width, strips.full_height) == (usual.full_width, usual.full_height)
    assert strips.pixels.shape == usual.pixels.shape
    # Averaged before it is turned: blocks at the far edges are others.
    assert np.abs(strips.pixels.astype(int) - usual.pixels).mean() < 1.5


@pytest.mark.parametrize("mode", ["RGB", "RGBA"])
def test_strips_keep_the_colour_profile(tmp_path, monkeypatch, mode):
    plain = Image.fromarray(scene()).convert(mode)
    plain.save(tmp_path / "a.png", icc_profile=swapped_profile())
    usual, strips = both_ways(tmp_path / "a.png", monkeypatch)
    assert np.abs(strips.pixels.astype(int) - usual.pixels).max() <= 1
    plain.save(tmp_path / "b.png")
    without, _ = both_ways(tmp_path / "b.png", monkeypatch)
    assert np.abs(strips.pixels.astype(int) - without.pixels).max() > 50


@pytest.mark.parametrize("size", [(3000, 7), (7, 3000), (1, 4000)])
def test_extreme_shapes(tmp_path, monkeypatch, size):
    Image.new("RGB", size, (10, 20, 30)).save(tmp_path / "a.png")
    usual, strips = both_ways(tmp_path / "a.png", monkeypatch)
    assert (strips.pixels == usual.pixels).all()


def test_a_truncated_big_photo_is_still_refused(tmp_path, monkeypatch):
    path = saved(tmp_path / "a.png", "RGB")
    path.write_bytes(path.read_bytes()[:-4000])
    monkeypatch.setattr(big_photos, "BIG_PIXELS", 1000)
    with pytest.raises(PhotoError, match="damaged or truncated"):
        read_photo(path, max_side=64)


def test_only_big_photos_and_only_when_a_smaller_one_is_wanted(tmp_path):
    image = Image.new("RGB", (10, 10))
    assert not big_photos.is_big(image, 1024)
    huge = Image.new("1", (6000, 4001))
    assert big_photos.is_big(huge, 1024)
    assert not big_photos.is_big(huge, None)


_READ = """
import resource, sys
from pathlib import Path
from uniqa.photos import read_photo
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
photo = read_photo(Path(sys.argv[1]), max_side=1024)
assert max(photo.pixels.shape) == 1024
assert photo.full_width * photo.full_height > 100e6
print((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) // 1024)
"""


@pytest.mark.parametrize(
    ("name", "mode", "megabytes"),
    [("a.jpg", "RGB", 120), ("a.png", "P", 260)],
)
def test_100_megapixels_in_bounded_memory(tmp_path, name, mode, megabytes):
    """Peak beyond Python and its libraries, in a process of its own.

    The usual way would take 650 MiB for the palette image, and 2,400 for one with transparency.
    """
    small = Image.fromarray(scene(1160, 870)).convert(mode)
    image = small.resize((11600, 8700), Image.Resampling.NEAREST)
    image.save(tmp_path / name, **({"compress_level": 1} if name.endswith("png") else {}))
    done = subprocess.run(
        [sys.executable, "-c", _READ, str(tmp_path / name)],
        check=True, capture_output=True, text=True, timeout=120,
    )  # fmt: skip
    assert int(done.stdout) < megabytes
