"""What a classifying tower sees, said in the text tower's words.

The image tower's own 1,000 classes have names, and the text tower knows what names mean: the mean
of the class descriptions' embeddings, weighed by the classes' probabilities, places a photo among
texts although the two towers never met (ConSE, Norouzi et al., arXiv 1312.5650). It holds what a
photo is of, which a few dozen ratings could not teach. Must not know ratings.
"""

from __future__ import annotations

from functools import cache
from importlib.resources import files
from pathlib import Path

import numpy as np

from training.encoders import Features, ImageTower, TextTower
from training.features import text_features


@cache
def class_descriptions() -> tuple[str, ...]:
    """ImageNet-1k's classes in the order of their outputs: words and WordNet's definition."""
    text = files("training.names").joinpath("imagenet.txt").read_text(encoding="utf-8")
    return tuple(text.splitlines())


def read_names(image: ImageTower, text: TextTower, folder: Path) -> Features | None:
    """(classes, q) embeddings of the classes' descriptions; None for a tower without classes."""
    if not hasattr(image, "classify"):
        return None
    return text_features(class_descriptions(), text, folder, label="class names")


def named_views(features: Features, image: ImageTower, text: TextTower, folder: Path) -> Features:
    """Photos among texts: per view of a photo the expected embedding of what is on it.

    Args:
        features: (n, p) of the image tower.
        image: a tower; one that does not tell classes gives no columns.
        text: what reads the classes' descriptions.
        folder: the feature cache.

    Returns:
        (n, views · q), q being the text tower's length; (n, 0) without classes.
    """
    meanings = read_names(image, text, folder)
    classify = getattr(image, "classify", None)
    if meanings is None or classify is None:
        return np.zeros((len(features), 0), dtype=np.float32)
    shares = classify(features)
    expected: Features = (shares @ meanings).reshape(len(features), -1).astype(np.float32)
    return expected
