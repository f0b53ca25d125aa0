from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from curation.images import Unusable
from curation.measured import Measured, from_json, measure_all, measure_photo, to_json
from curation.measuring.measure import measure
from uniqa.photos import image_id_of, read_photo


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    from skimage import data

    for name in ("astronaut", "coffee", "chelsea"):
        Image.fromarray(getattr(data, name)()).save(tmp_path / f"{name}.png")
    return tmp_path


def pairs(folder: Path, *names: str) -> list[tuple[str, str]]:
    return [(image_id_of(folder / name), str(folder / name)) for name in names]


def test_photos_are_measured_in_order_and_the_same_each_time(folder: Path) -> None:
    photos = pairs(folder, "coffee.png", "astronaut.png", "chelsea.png")
    first = list(measure_all(photos, workers=2))
    again = list(measure_all(photos, workers=1))
    assert first == again
    for (image_id, path), result in zip(photos, first, strict=True):
        assert isinstance(result, Measured)
        assert result.image_id == image_id
        assert result.measurements == measure(read_photo(path).pixels)


def test_what_vanished_changed_or_broke_is_told_and_passed_over(folder: Path) -> None:
    photos = pairs(folder, "coffee.png", "astronaut.png", "chelsea.png")
    (folder / "coffee.png").unlink()
    Image.fromarray(np.zeros((40, 40, 3), np.uint8)).save(folder / "astronaut.png")
    data = (folder / "chelsea.png").read_bytes()
    (folder / "broken.png").write_bytes(data[: len(data) // 2])
    photos.append(("0" * 64, str(folder / "broken.png")))
    gone, changed, whole, broken = measure_all(photos, workers=1)
    assert isinstance(gone, Unusable)
    assert (gone.kind, gone.path) == ("unreadable", photos[0][1])
    assert isinstance(changed, Unusable)
    assert changed.kind == "changed"
    assert isinstance(whole, Measured)
    assert isinstance(broken, Unusable)
    assert broken.kind == "damaged"


def test_nothing_to_measure_starts_nothing() -> None:
    assert list(measure_all([])) == []


def test_a_large_photo_is_measured_as_it_is_seen(folder: Path) -> None:
    """Brought to half its size it is less blurred; its size stays what it is."""
    image = Image.open(folder / "astronaut.png")
    image.resize((2048, 2048), Image.Resampling.BICUBIC).save(folder / "large.png")
    photo = read_photo(folder / "large.png")
    seen, pixelwise = measure_photo(photo), measure(photo.pixels)
    assert (seen.width, seen.height) == (2048, 2048)
    assert seen.focus < 0.75 * pixelwise.focus
    assert seen.blockiness == pixelwise.blockiness


def test_a_compression_grid_is_found_before_it_is_shrunk_away(folder: Path) -> None:
    image = Image.open(folder / "astronaut.png").resize((2048, 2048), Image.Resampling.LANCZOS)
    image.save(folder / "coded.jpg", quality=8)
    assert measure_photo(read_photo(folder / "coded.jpg")).blockiness > 0.3


def test_measurements_survive_json(folder: Path) -> None:
    m = measure(read_photo(folder / "coffee.png").pixels)
    assert from_json(to_json(m)) == m
    assert json.loads(to_json(m))["width"] == m.width


def test_json_of_another_revision_is_refused(folder: Path) -> None:
    values = json.loads(to_json(measure(read_photo(folder / "coffee.png").pixels)))
    values["sparkle"] = values.pop("noise")
    with pytest.raises(ValueError, match="noise, sparkle"):
        from_json(json.dumps(values))
