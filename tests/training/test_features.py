import hashlib
import shutil

import numpy as np
import pytest
import torch

from training import encoders
from training.encoders import Lite0Tower, MiniLMTower, check_sha256, fixed_crops, shrink
from training.features import FeatureStore, photo_features, text_features
from uniqa.errors import InputError


@pytest.fixture(scope="module")
def tower():
    return Lite0Tower()


class Counting:
    """A tower that counts its work."""

    name, policy, dim, blocks, families = "toy", "mean", 3, (), {}

    def __init__(self):
        self.calls = 0

    def prepare(self, pixels):
        return pixels

    def encode(self, prepared):
        self.calls += 1
        return prepared.mean((0, 1)).astype(np.float32) / 255


def test_crops_lie_on_the_grid_and_hold_native_pixels(rng):
    pixels = rng.integers(0, 255, (300, 400, 3), dtype=np.uint8)
    crops = fixed_crops(pixels, 224)
    assert [crop.shape for crop in crops] == [(224, 224, 3)] * 5
    assert np.array_equal(crops[0], pixels[:224, :224])
    assert np.array_equal(crops[3], pixels[-224:, -224:])


def test_small_and_long_photos_fit(rng):
    small = rng.integers(0, 255, (20, 30, 3), dtype=np.uint8)
    assert fixed_crops(small, 224)[4].shape == (224, 224, 3)
    long = rng.integers(0, 255, (10, 900, 3), dtype=np.uint8)
    assert shrink(long, 224).shape == (224, 672, 3)


def test_features_are_finite_named_and_repeat(tower, tiny):
    from uniqa.photos import read_photo

    pixels = read_photo(tiny / "astronaut 0.png").pixels
    one, two = (tower.encode(tower.prepare(pixels)) for _ in range(2))
    assert one.shape == (tower.dim,)
    assert np.isfinite(one).all()
    assert np.array_equal(one, two)
    assert tower.blocks[-1].stop == tower.dim
    assert all(a.stop == b.start for a, b in zip(tower.blocks, tower.blocks[1:], strict=False))


def test_blur_moves_features_more_than_nothing(tower, tiny):
    from uniqa.photos import read_photo

    clean, soft = (
        tower.encode(tower.prepare(read_photo(tiny / f"astronaut {k}.png").pixels)) for k in (0, 4)
    )
    assert np.abs(clean - soft).mean() > 0.01


def test_a_text_is_the_same_in_any_company():
    tower = MiniLMTower()
    texts = ["a sharp photo", "an extremely blurry photo of a street at night", "a dull photo"]
    together = tower.encode(texts)
    alone = np.concatenate([tower.encode([text]) for text in texts])
    assert np.allclose(together, alone, atol=1e-6)
    assert np.allclose(np.linalg.norm(together, axis=1), 1, atol=1e-5)


def test_changed_weights_are_refused(tmp_path, monkeypatch):
    path = tmp_path / "weights.pth"
    torch.save({"a": torch.zeros(1)}, path)
    with pytest.raises(InputError, match="SHA-256"):
        check_sha256(path, encoders.LITE0_SHA256)
    with pytest.raises(InputError, match="no weights"):
        check_sha256(tmp_path / "gone.pth", encoders.LITE0_SHA256)


def test_a_second_run_computes_nothing(tiny, tmp_path):
    paths, tower = sorted(tiny.glob("*.png")), Counting()
    first = photo_features(paths, tower, tmp_path)
    assert tower.calls == first.computed == 24
    again = photo_features(paths[::-1], tower, tmp_path)
    assert tower.calls == 24
    assert again.computed == 0
    assert np.array_equal(first.values, again.values[::-1])


def test_another_policy_is_another_row(tiny, tmp_path):
    paths, tower = [tiny / "chelsea 0.png"], Counting()
    photo_features(paths, tower, tmp_path)
    tower.policy = "median"
    photo_features(paths, tower, tmp_path)
    assert tower.calls == 2


def test_renamed_photos_are_found_and_copies_computed_once(tiny, tmp_path):
    tower = Counting()
    copies = [tmp_path / "a.png", tmp_path / "b.png"]
    for copy in copies:
        shutil.copy(tiny / "coffee 1.png", copy)
    found = photo_features(copies, tower, tmp_path / "cache")
    assert tower.calls == 1
    assert np.array_equal(found.values[0], found.values[1])


def test_unreadable_photos_are_told_and_the_rest_goes_on(tiny, tmp_path):
    bad, gone = tmp_path / "bad.jpg", tmp_path / "gone.jpg"
    bad.write_bytes(b"no photo at all")
    good = tiny / "camera 0.png"
    found = photo_features([bad, good, gone], Counting(), tmp_path / "cache")
    assert sorted(found.errors) == [0, 2]
    assert "not an image" in found.errors[0]
    assert found.rows.tolist() == [-1, 0, -1]


def test_a_file_that_changed_since_it_was_listed(tiny, tmp_path):
    other = hashlib.sha256(b"other").hexdigest()
    found = photo_features([tiny / "camera 0.png"], Counting(), tmp_path, ids=[other])
    assert "changed" in found.errors[0]


def test_damaged_shards_are_made_again(tiny, tmp_path, capsys):
    paths, tower = [tiny / "camera 1.png"], Counting()
    photo_features(paths, tower, tmp_path)
    for shard in tmp_path.rglob("part-*.safetensors"):
        shard.write_bytes(b"half a shard")
    photo_features(paths, tower, tmp_path)
    assert tower.calls == 2
    assert "damaged" in capsys.readouterr().err


def test_small_shards_merge_and_leftovers_of_a_kill_are_ignored(tmp_path, rng):
    keys = [hashlib.sha256(str(k).encode()).hexdigest() for k in range(700)]
    values = rng.normal(size=(700, 4)).astype(np.float32)
    store = FeatureStore(tmp_path, "toy", 4)
    for key, row in zip(keys, values, strict=True):
        store.put(key, row)
    store.flush()
    (store.folder / "tmp123.part").write_bytes(b"half")
    assert len(list(store.folder.glob("part-*"))) <= 3
    fresh = FeatureStore(tmp_path, "toy", 4)
    assert np.allclose(fresh.get(keys), values, atol=2e-3)
    assert np.array_equal(fresh.get(keys), store.get(keys))


def test_a_shard_merged_by_another_process_is_found_again(tmp_path, rng):
    keys = [hashlib.sha256(str(k).encode()).hexdigest() for k in range(4)]
    one = FeatureStore(tmp_path, "toy", 2)
    one.put(keys[0], np.ones(2, np.float32))
    one.flush()
    reader = FeatureStore(tmp_path, "toy", 2)
    one.put(keys[1], np.zeros(2, np.float32))
    one.flush()
    assert reader.get(keys[:1]).tolist() == [[1, 1]]


def test_texts_are_kept(tmp_path):
    class Texts:
        name, dim, seen = "toy", 2, 0

        def encode(self, texts):
            self.seen += len(texts)
            return np.array([[len(t), 1] for t in texts], dtype=np.float32)

    tower = Texts()
    assert text_features(["a", "bb", "a"], tower, tmp_path)[:, 0].tolist() == [1, 2, 1]
    assert tower.seen == 2
    text_features(["bb"], tower, tmp_path)
    assert tower.seen == 2


def test_an_unwritable_cache_is_one_line(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="--cache"):
        FeatureStore(tmp_path / "file" / "x", "toy", 2)
