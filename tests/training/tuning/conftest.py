"""A few photos with a manifest, and small models, that loops are tried on."""

from __future__ import annotations

import pytest
import torch

from tests.training.conftest import manifest_rows, write_manifest
from tests.training.tiny_models import make_clip, make_siglip
from training.data import read_manifest


@pytest.fixture(scope="session")
def few_path(tiny):
    """12 train and 6 val photos with two captions each."""
    rows = [row for row in manifest_rows(tiny) if row["split"] != "test"]
    return write_manifest(rows, tiny / "tuning.parquet")


@pytest.fixture(scope="session")
def few(few_path):
    return read_manifest(few_path)


@pytest.fixture(scope="session")
def clip_dir(tmp_path_factory):
    """Two layers, no dropout."""
    return make_clip(tmp_path_factory.mktemp("clip"), layers=2)


@pytest.fixture(scope="session")
def dropping_dir(tmp_path_factory):
    """The same with dropout."""
    return make_clip(tmp_path_factory.mktemp("dropping"), dropout=0.3)


@pytest.fixture(scope="session")
def siglip_dir(tmp_path_factory):
    return make_siglip(tmp_path_factory.mktemp("siglip"))


@pytest.fixture(scope="session", autouse=True)
def one_thread():
    """Sums are split by threads: the same bits want the same number everywhere."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)
