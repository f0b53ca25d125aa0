"""Who rated reaches what is learned: pairs inside a dataset, levels spread as the votes were."""

import json

import numpy as np
import pytest
import torch
from PIL import Image, ImageOps
from torch.nn.functional import normalize

from tests.training.conftest import manifest_rows, write_manifest
from training import adapt as heads
from training import cue_adapter
from training.commands import adapt
from training.config import AdaptConfig
from training.cue_adapter import fit_cue_adapter
from training.data import read_rated
from training.model import load_model
from training.ordinal import soft_levels
from training.panels import Panel
from uniqa.levels import Scale

SCALE = torch.tensor(20.0)


@pytest.fixture
def learn_cues():
    """Fit the cue adapter to 40 toy ratings; what else is known of them is given."""
    generator = torch.Generator().manual_seed(0)
    embeddings = torch.randn(40, 12, generator=generator)
    prompts = normalize(torch.randn(2, 5, 12, generator=generator), dim=-1)
    told = (0.5 + 0.6 * normalize(embeddings, dim=-1)[:, 0]).clamp(0, 1)
    scores = told.double().numpy()
    folds = [list(range(k, 40, 5)) for k in range(5)]

    def call(panel=None):
        return fit_cue_adapter(embeddings, scores, folds, prompts, SCALE, panel=panel)[0], scores

    return call


@pytest.fixture
def heard(monkeypatch):
    """Pairs and soft levels that the cue adapter's losses were asked with."""
    asked = {"pairs": [], "targets": []}
    pair_loss, level_loss = cue_adapter.fidelity_loss, cue_adapter.soft_level_loss

    def fidelity(scores, truth, pairs, spread):
        asked["pairs"].append(pairs)
        return pair_loss(scores, truth, pairs, spread)

    def soft(shares, targets):
        asked["targets"].append(targets)
        return level_loss(shares, targets)

    monkeypatch.setattr(cue_adapter, "fidelity_loss", fidelity)
    monkeypatch.setattr(cue_adapter, "soft_level_loss", soft)
    return asked


def test_no_pair_of_the_cue_adapter_straddles_two_datasets(learn_cues, heard):
    names = ["kind", "harsh"] * 20
    learn_cues(Panel(names, np.full(40, np.nan)))
    pairs = heard["pairs"][0]
    assert len(pairs) == 2 * (20 * 19 // 2)
    assert ((pairs[:, 0] - pairs[:, 1]) % 2 == 0).all()


def test_one_photo_of_each_dataset_leaves_no_pair_to_learn_from(learn_cues, heard):
    adapter, _ = learn_cues(Panel([f"d{k}" for k in range(40)], np.full(40, np.nan)))
    assert heard["pairs"][0].shape == (0, 2)
    assert all(bool(torch.isfinite(tensor).all()) for tensor in vars(adapter).values())


def test_levels_spread_as_the_votes_did_and_by_half_a_level_where_unknown(learn_cues, heard):
    stds = np.where(np.arange(40) % 2, np.nan, 0.3)
    _, scores = learn_cues(Panel(["one"] * 40, stds))
    truth = 1 + 4 * torch.from_numpy(scores).float()
    spread = torch.tensor([1.2, 0.5] * 20)
    assert torch.allclose(heard["targets"][0], soft_levels(truth, spread), atol=1e-6)


def test_nothing_known_is_half_a_level_of_one_dataset(learn_cues):
    plain, told, other = (
        learn_cues(panel)[0]
        for panel in (
            None,
            Panel(["one"] * 40, np.full(40, 0.125)),
            Panel(["one"] * 40, np.full(40, 0.3)),
        )
    )
    for name, value in vars(plain).items():
        assert torch.equal(vars(told)[name], value), name
    assert any(not torch.equal(vars(other)[name], value) for name, value in vars(plain).items())


def test_a_table_s_deviations_are_read_on_the_unified_scale(tiny):
    path = tiny / "votes.csv"
    cells = ["1.2,30", ",30", "-1,30", "0,30", "0.7,1", "x,30"]
    rows = manifest_rows(tiny)
    lines = [f"{row['image']},{row['mos']},{cell}" for row, cell in zip(rows, cells, strict=False)]
    path.write_text("image,mos,std,votes\n" + "\n".join(lines))
    rated = read_rated(path, scale=Scale(5, 1))
    nan = float("nan")
    assert rated.stds == pytest.approx([0.3, nan, nan, 0, nan, nan], nan_ok=True)
    assert rated.take([3, 0]).stds == pytest.approx([0, 0.3])


def test_a_table_without_deviations_has_none(tiny):
    path = tiny / "plain.csv"
    path.write_text(
        "image,mos\n" + "\n".join(f"{r['image']},{r['mos']}" for r in manifest_rows(tiny))
    )
    assert np.isnan(read_rated(path).stds).all()


def test_adapt_carries_deviations_to_the_shared_scale(
    tiny, cache, model_dir, tmp_path, monkeypatch
):
    rated = read_rated(tiny / "tiny.parquet")
    lines = ["image,mos,std,group"]
    some = rated.take(range(1, 24, 2))
    for path, score, group in zip(some.images, some.scores, some.groups, strict=True):
        ImageOps.mirror(Image.open(path)).save(tmp_path / f"other {path.name}")
        lines.append(f"other {path.name},{40 + 50 * score:.3f},8,{group}")
    (tmp_path / "other.csv").write_text("\n".join(lines))
    other = read_rated(tmp_path / "other.csv", scale=Scale(0, 100))
    panels = []
    real = heads.fit_cue_adapter

    def fit(*given, panel, **more):
        panels.append(panel)
        return real(*given, panel=panel, **more)

    monkeypatch.setattr(heads, "fit_cue_adapter", fit)
    config = AdaptConfig(method="cues")
    _, head = adapt(load_model(model_dir), rated, config, cache, [other])
    gain = head.facts["datasets"]["other"]["gain"]
    assert gain != pytest.approx(1)
    known = {"tiny": 0.125, "other": 0.08 / gain}
    whole, *parts = panels
    assert set(whole.datasets) == {"tiny", "other"}
    assert whole.stds == pytest.approx([known[name] for name in whole.datasets])
    assert {len(part.datasets) for part in parts} < set(range(len(whole.datasets)))


def test_evaluate_knows_them_too(tiny, uniqa_train, model_dir, monkeypatch):
    seen = []
    real = heads.fit_cue_adapter

    def fit(*given, panel, **more):
        seen.append(panel)
        return real(*given, panel=panel, **more)

    monkeypatch.setattr(heads, "fit_cue_adapter", fit)
    rows = [row | {"mos_std": 0.9} for row in manifest_rows(tiny)]
    path = write_manifest(rows, tiny / "spread.parquet")
    code, out, err = uniqa_train("evaluate", model_dir, "--ratings", path, "--json")
    assert code == 0, err
    assert json.loads(out)["train"] == 18
    assert seen
    assert all(panel.stds == pytest.approx(0.225) for panel in seen)
