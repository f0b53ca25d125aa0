"""Relevance end to end: real child processes, a trained compact model, tiny CLIP and SigLIP."""

from __future__ import annotations

import hashlib
import subprocess
import sys

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from curation.relevance import Pair, relevance
from tests.training.conftest import SAYINGS, degrade, photo
from tests.training.test_huggingface import clip_dir, siglip_dir  # noqa: F401
from training.relevance import open_model, relate
from uniqa.errors import InputError

SHARP, BLURRY = SAYINGS["perfect"][0], SAYINGS["bad"][0]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A sharp and a blurred copy of a photo that the model has learned from."""
    place = tmp_path_factory.mktemp("relevance")
    photo("astronaut").save(place / "sharp.png")
    degrade(photo("astronaut"), 4).save(place / "blurred.png")
    return place


def pair(path, text):
    return Pair(hashlib.sha256(path.read_bytes()).hexdigest(), str(path), text)


@pytest.fixture(scope="module")
def pairs(folder):
    return [pair(folder / name, text) for text in (SHARP, BLURRY)
            for name in ("sharp.png", "blurred.png")]  # fmt: skip


def test_a_trained_model_tells_which_photo_a_text_goes_with(model_dir, pairs, cache):
    told = []
    found = relevance(pairs, str(model_dir), cache=cache, on_progress=lambda *a: told.append(a))
    sharp_sharp, sharp_blurred, blurry_sharp, blurry_blurred = found.values
    assert sharp_sharp > sharp_blurred
    assert blurry_blurred > blurry_sharp
    assert all(-1 <= value <= 1 for value in found.values)
    assert found.errors == {}
    assert found.model.startswith("compact@")
    assert told[-1] == ("texts", 2, 2)
    assert ("photos", 2, 2) in told


def test_the_child_agrees_with_the_models_own_logits(model_dir, pairs, cache):
    import torch

    from training.features import photo_features, text_features
    from training.model import load_model

    model = load_model(model_dir)
    found = relevance(pairs, str(model_dir), cache=cache)
    photos = photo_features([pair.path for pair in pairs[:2]], model.image, cache).values
    texts = text_features([SHARP, BLURRY], model.text, cache)
    with torch.inference_mode():
        logits = model.projections.logits(torch.from_numpy(photos), torch.from_numpy(texts))
    expected = (logits / model.projections.scale).T.numpy().ravel()
    np.testing.assert_allclose(found.values, expected, atol=1e-5)


@pytest.mark.parametrize("kind", ["clip_dir", "siglip_dir"])
def test_hugging_face_models_relate_as_they_do_themselves(request, kind, pairs, tmp_path):
    import torch
    from PIL import Image

    from training.huggingface import load_towers

    source = request.getfixturevalue(kind)
    found = relevance(pairs, str(source), cache=tmp_path)
    towers = load_towers(str(source))[0].towers
    expected = []
    for one in pairs:
        pixels = np.asarray(Image.open(one.path))
        with torch.inference_mode():
            image = towers.embed_pixels(towers.pixels([pixels]))
            text = towers.embed_tokens(towers.tokenize([one.text]))
        expected.append(torch.nn.functional.cosine_similarity(image, text).item())
    # Stored features are of half precision.
    np.testing.assert_allclose(found.values, expected, atol=2e-3)


def test_photos_that_vanished_or_changed_have_no_relevance(clip_dir, folder, tmp_path):  # noqa: F811
    good = pair(folder / "sharp.png", SHARP)
    gone = Pair("0" * 64, str(tmp_path / "gone.png"), SHARP)
    changed = Pair("1" * 64, str(folder / "blurred.png"), SHARP)
    found = relevance([gone, good, changed], str(clip_dir), cache=tmp_path / "cache")
    assert found.values[0] is None
    assert found.values[2] is None
    assert found.values[1] is not None
    assert "No such file" in found.errors[gone.path]
    assert "changed" in found.errors[changed.path]


def test_each_photo_and_text_is_encoded_once_and_kept(clip_dir, pairs, tmp_path):  # noqa: F811
    model = open_model(str(clip_dir))
    images, texts = [p.path for p in pairs] * 3, [p.text for p in pairs] * 3
    looked = []
    encode = model.image.encode
    model.image.encode = lambda prepared: looked.append(1) or encode(prepared)
    first = relate(model, images, texts, tmp_path)
    again = relate(model, images, texts, tmp_path)
    assert len(looked) == 2
    assert np.array_equal(first.values, again.values)
    assert np.array_equal(first.values[:4], first.values[4:8])


def test_another_order_gives_the_same_values(clip_dir, pairs, tmp_path):  # noqa: F811
    forward = relevance(pairs, str(clip_dir), cache=tmp_path / "a")
    backward = relevance(pairs[::-1], str(clip_dir), cache=tmp_path / "b")
    assert forward.values == backward.values[::-1]
    assert forward.model == backward.model


def test_what_is_no_model_is_one_clear_error(tmp_path, pairs):
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match="holds no model"):
        relevance(pairs, str(tmp_path / "empty"), cache=tmp_path)
    with pytest.raises(InputError, match="cannot be loaded"):
        relevance(pairs, str(tmp_path / "nowhere"), cache=tmp_path)


def test_no_pairs_need_no_model():
    assert relevance([], "nowhere").values == []


def test_a_file_without_the_columns_is_refused(tmp_path):
    pq.write_table(pa.table({"image": ["a.png"]}), tmp_path / "in.parquet")
    command = [sys.executable, "-m", "training.relevance", "x", "--pairs", tmp_path / "in.parquet"]
    done = subprocess.run(
        [*command, "--out", tmp_path / "out.parquet"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 3
    assert "no column 'text'" in done.stdout
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "out.parquet").exists()
