import numpy as np
import pytest
import torch
from torch.nn.functional import normalize

from training.cue_adapter import CHECKPOINTS, fit_cue_adapter, start
from training.cues import LEVEL_VALUES, cue_scores

SCALE = torch.tensor(20.0)


def world(rng, n=60, d=16, cues=3):
    generator = torch.Generator().manual_seed(int(rng.integers(1 << 30)))
    embeddings = torch.randn(n, d, generator=generator)
    prompts = normalize(torch.randn(cues, 5, d, generator=generator), dim=-1)
    return embeddings, prompts


def folds(n, count=5):
    return [list(range(k, n, count)) for k in range(count)]


def zero_shot(embeddings, prompts):
    values = torch.tensor(LEVEL_VALUES)
    return cue_scores(normalize(embeddings, dim=-1), prompts, SCALE, values).mean(-1)


def test_before_learning_it_is_the_zero_shot_score(rng):
    embeddings, prompts = world(rng)
    told = start(16, 3, 0).predict(embeddings, prompts, SCALE)
    assert np.allclose(told, zero_shot(embeddings, prompts), atol=1e-6)


def test_labels_that_agree_with_zero_shot_up_to_a_line_leave_it_alone(rng):
    embeddings, prompts = world(rng)
    y = (0.2 + 0.5 * zero_shot(embeddings, prompts)).double().numpy()
    adapter, step, errors = fit_cue_adapter(embeddings, y, folds(60), prompts, SCALE)
    assert step == 0
    assert errors[0] < 1e-3
    assert torch.equal(adapter.second, torch.zeros_like(adapter.second))


def test_it_learns_what_zero_shot_lacks(rng):
    embeddings, prompts = world(rng, n=200)
    y = (0.5 + 0.15 * normalize(embeddings, dim=-1)[:, 0] * 4).clamp(0, 1).double().numpy()
    adapter, step, errors = fit_cue_adapter(embeddings[:150], y[:150], folds(150), prompts, SCALE)
    told = adapter.predict(embeddings[150:], prompts, SCALE)
    before = zero_shot(embeddings[150:], prompts).numpy()
    assert step in CHECKPOINTS[1:]
    assert min(errors) < 0.9 * errors[0]
    assert np.corrcoef(told, y[150:])[0, 1] > np.corrcoef(before, y[150:])[0, 1] + 0.3


def test_the_length_of_a_feature_is_a_cue(rng):
    embeddings, prompts = world(rng, n=100)
    lengths = torch.linspace(0.5, 2, 100)
    embeddings = normalize(embeddings, dim=-1) * lengths[:, None]
    y = lengths.log().double().numpy() / 3 + 0.5
    adapter, _, _ = fit_cue_adapter(embeddings, y, folds(100), prompts, SCALE)
    assert adapter.line[2] > 0.01


def test_an_order_the_labels_contradict_is_flattened_not_turned(rng):
    embeddings, prompts = world(rng)
    y = (1 - zero_shot(embeddings, prompts)).double().numpy()
    adapter, _, _ = fit_cue_adapter(embeddings, y, [], prompts, SCALE)
    assert adapter.line[0].exp() > 0


def test_few_labels_only_fit_the_line(rng):
    embeddings, prompts = world(rng, n=6)
    y = np.linspace(0.1, 0.9, 6)
    adapter, step, _ = fit_cue_adapter(embeddings, y, [], prompts, SCALE)
    assert step == 0
    assert torch.equal(adapter.rows, torch.zeros(3))


def test_the_same_seed_gives_the_same_adapter(rng):
    embeddings, prompts = world(rng)
    y = np.random.default_rng(1).random(60)
    first, second = (fit_cue_adapter(embeddings, y, folds(60), prompts, SCALE)[0] for _ in "ab")
    assert all(
        torch.equal(a, b) for a, b in zip(vars(first).values(), vars(second).values(), strict=True)
    )


def test_weights_of_cues_are_learned(rng):
    """One cue tells the truth, the others noise: its weight grows."""
    embeddings, prompts = world(rng, n=300)
    values = torch.tensor(LEVEL_VALUES)
    per_cue = cue_scores(normalize(embeddings, dim=-1), prompts, SCALE, values)
    y = per_cue[:, 1].double().numpy()
    adapter, _, _ = fit_cue_adapter(embeddings, y, folds(300), prompts, SCALE)
    assert int(adapter.rows.argmax()) == 1
    assert adapter.rows.softmax(0)[1] == pytest.approx(float(adapter.rows.softmax(0).max()))
