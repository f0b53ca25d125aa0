import numpy as np
import pytest
import torch
from torch.nn.functional import normalize

from training.adapter import fit_adapters, start
from training.config import AdaptConfig
from training.cues import CUES, LEVEL_VALUES, cue_names, cue_prompts, cue_scores
from uniqa.errors import UsageError


def world(n=30, d=16, seed=0):
    rng = torch.Generator().manual_seed(seed)
    embeddings = torch.randn(n, d, generator=rng)
    prompts = normalize(torch.randn(3, 5, d, generator=rng), dim=-1)
    scores = torch.sigmoid(embeddings @ torch.randn(d, generator=rng)).double().numpy()
    return embeddings, prompts, torch.tensor(14.0), scores


def test_cue_scores_by_hand():
    embeddings, prompts, scale, _ = world(2)
    unit = normalize(embeddings, dim=-1)
    values = torch.tensor(LEVEL_VALUES)
    found = cue_scores(unit, prompts, scale, values)
    assert found.shape == (2, 3)
    share = torch.softmax(scale * (prompts[1] @ unit[0]), 0)
    assert torch.allclose(found[0, 1], (share * values).sum())
    assert float(found.min()) >= 0.2
    assert float(found.max()) <= 1.0


def test_the_adapter_starts_as_zero_shot():
    embeddings, prompts, scale, _ = world()
    zero = cue_scores(normalize(embeddings, dim=-1), prompts, scale, torch.tensor(LEVEL_VALUES))
    begun = start(embeddings.shape[1], seed=1).predict(embeddings, prompts, scale)
    assert np.allclose(begun, zero.mean(-1).numpy(), atol=5e-3)


def test_shapes_are_the_papers():
    adapter = start(16, seed=0)
    assert adapter.first.shape == (8, 16)
    assert adapter.second.shape == (16, 8)
    assert torch.allclose(adapter.values, torch.tensor([0.2, 0.4, 0.6, 0.8, 1.0]))


def test_learning_lowers_the_error_and_repeats():
    embeddings, prompts, scale, scores = world()
    config = AdaptConfig(epochs=100, lr=5e-3)
    rows = [list(range(30))]
    one = fit_adapters(embeddings, scores, rows, prompts, scale, config)[0]
    two = fit_adapters(embeddings, scores, rows, prompts, scale, config)[0]
    assert torch.equal(one.second, two.second)
    before = start(16, config.seed).predict(embeddings, prompts, scale)
    after = one.predict(embeddings, prompts, scale)
    assert np.mean((after - scores) ** 2) < 0.5 * np.mean((before - scores) ** 2)


def test_replicas_learn_as_if_alone():
    embeddings, prompts, scale, scores = world()
    config = AdaptConfig(epochs=3)
    subsets = [list(range(20)), list(range(10, 30)), list(range(7))]
    together = fit_adapters(embeddings, scores, subsets, prompts, scale, config)
    for rows, adapter in zip(subsets, together, strict=True):
        alone = fit_adapters(embeddings, scores, [rows], prompts, scale, config)[0]
        assert torch.allclose(adapter.first, alone.first, atol=1e-5)
        assert torch.allclose(adapter.values, alone.values, atol=1e-5)


@pytest.mark.parametrize("task", list(CUES))
def test_cue_rows_are_five_distinct_wordings(task):
    assert len(cue_prompts(task)) == 5 * len(cue_names(task))
    for prompts in CUES[task].values():
        assert len(set(prompts)) == 5


def test_unknown_task():
    with pytest.raises(UsageError, match="aesthetic"):
        cue_names("aesthetics")
