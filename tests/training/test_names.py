import numpy as np
import pytest

from training.encoders import Lite0Tower, MiniLMTower
from training.names import class_descriptions, named_views
from uniqa.photos import read_photo


def test_every_class_is_described_once():
    told = class_descriptions()
    assert len(told) == 1000
    assert len(set(told)) == 1000
    assert told[0].startswith("tench")
    assert all(": " in line for line in told)


@pytest.fixture(scope="module")
def seen(tmp_path_factory):
    """A cat and a cup of coffee, as features."""
    from PIL import Image
    from skimage import data

    folder, tower = tmp_path_factory.mktemp("named"), Lite0Tower()
    rows = []
    for name in ("chelsea", "coffee"):
        Image.fromarray(getattr(data, name)()).save(folder / f"{name}.png")
        rows.append(tower.encode(tower.prepare(read_photo(folder / f"{name}.png").pixels)))
    return tower, np.stack(rows)


def test_the_classifier_reads_the_features_as_the_net_itself_does(seen):
    tower, features = seen
    shares = tower.classify(features)
    assert shares.shape == (2, 2, 1000)
    assert np.allclose(shares.sum(-1), 1, atol=1e-5)
    told = class_descriptions()
    assert "cat" in told[int(shares[0, 0].argmax())]
    assert any(word in told[int(shares[1, 0].argmax())] for word in ("espresso", "cup", "coffee"))


def test_a_photo_lies_near_texts_about_it(seen, cache):
    tower, features = seen
    text = MiniLMTower()
    views = named_views(features, tower, text, cache)
    assert views.shape == (2, 2 * text.dim)
    cat, coffee = text.encode(["a photo of a cat", "a cup of coffee"])
    whole = views[:, : text.dim]
    assert whole[0] @ cat > whole[0] @ coffee
    assert whole[1] @ coffee > whole[1] @ cat


def test_a_tower_without_classes_names_nothing(seen, cache):
    _, features = seen
    assert named_views(features, object(), MiniLMTower(), cache).shape == (2, 0)
