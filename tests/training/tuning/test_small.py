"""Schedule, groups, average, augmentation, plan: pure functions and their neighbours."""

import math

import numpy as np
import pytest
import torch
from torch import nn

from training.encoders import GRID
from training.tuning.augment import View, draw_view, see, see_crop, see_whole
from training.tuning.ema import Ema, decay_at
from training.tuning.groups import layer_of, parameter_groups, rate_shares
from training.tuning.plan import Plan, draw_captions
from training.tuning.schedule import warmup_cosine


def test_warmup_and_cosine_have_the_known_values():
    shares = [warmup_cosine(step, 14, 4) for step in range(14)]
    assert shares[:4] == [0.25, 0.5, 0.75, 1.0]
    assert shares[4] == 1.0
    assert shares[9] == pytest.approx(0.5)
    assert shares[13] == pytest.approx((1 + math.cos(math.pi * 0.9)) / 2)
    assert warmup_cosine(14, 14, 4) == pytest.approx(0.0)
    assert shares[4:] == sorted(shares[4:], reverse=True)
    assert warmup_cosine(0, 10, 0) == 1.0


@pytest.mark.parametrize("wrong", [(-1, 10, 2), (0, 10, 10), (0, 0, 0)])
def test_impossible_schedules_are_refused(wrong):
    with pytest.raises(ValueError, match="no step"):
        warmup_cosine(*wrong)


NAMES = {
    "model.vision_model.embeddings.patch_embedding.weight": 0,
    "model.vision_model.pre_layrnorm.weight": 0,
    "model.vision_model.encoder.layers.0.mlp.fc1.weight": 1,
    "model.vision_model.encoder.layers.1.mlp.fc1.weight": 2,
    "model.vision_model.post_layernorm.weight": None,
    "model.text_model.embeddings.token_embedding.weight": 0,
    "model.text_model.encoder.layers.0.self_attn.q_proj.weight": 1,
    "text_model.encoder.layer.3.output.dense.weight": 4,
    "net._conv_stem.weight": 0,
    "net._bn0.weight": 0,
    "net._blocks.15._bn0.weight": 16,
    "net._conv_head.weight": None,
    "projections.image.weight": None,
    "model.logit_scale": None,
}


def test_layers_are_found_by_name():
    assert {name: layer_of(name) for name in NAMES} == NAMES


def test_lower_layers_learn_slower_and_the_top_at_full_rate():
    shares = rate_shares(NAMES, 0.5)
    vision = "model.vision_model."
    assert shares[f"{vision}post_layernorm.weight"] == 1.0
    assert shares[f"{vision}encoder.layers.1.mlp.fc1.weight"] == 0.5
    assert shares[f"{vision}encoder.layers.0.mlp.fc1.weight"] == 0.25
    assert shares[f"{vision}embeddings.patch_embedding.weight"] == 0.125
    assert shares["model.logit_scale"] == 1.0
    assert set(rate_shares(NAMES, 1.0).values()) == {1.0}
    with pytest.raises(ValueError, match="decay"):
        rate_shares(NAMES, 0.0)


def test_groups_hold_rate_and_decay_of_each_parameter():
    named = [
        ("net._conv_stem.weight", nn.Parameter(torch.zeros(2, 2))),
        ("net._blocks.0.x.weight", nn.Parameter(torch.zeros(2, 2))),
        ("net._blocks.0.x.bias", nn.Parameter(torch.zeros(2))),
        ("projections.image.weight", nn.Parameter(torch.zeros(2, 2))),
        ("frozen.weight", nn.Parameter(torch.zeros(2, 2), requires_grad=False)),
    ]
    groups = parameter_groups(
        named, lr=1.0, weight_decay=0.2, layer_decay=0.5, factors={"projections.": 10.0}
    )
    told = {n: (g["peak"], g["weight_decay"]) for g in groups for n in g["names"]}
    assert told == {
        "net._conv_stem.weight": (0.25, 0.2),
        "net._blocks.0.x.weight": (0.5, 0.2),
        "net._blocks.0.x.bias": (0.5, 0.0),
        "projections.image.weight": (10.0, 0.2),
    }


def test_the_average_follows_its_formula_and_can_be_put_on_and_off():
    module = nn.Linear(1, 1, bias=False)
    with torch.no_grad():
        module.weight.fill_(1.0)
    ema = Ema(module, 0.9)
    expected = 1.0
    for step, value in enumerate([2.0, 4.0, -1.0], start=1):
        with torch.no_grad():
            module.weight.fill_(value)
        ema.update()
        keep = decay_at(step, 0.9)
        expected = keep * expected + (1 - keep) * value
    assert float(ema.average["weight"]) == pytest.approx(expected, rel=1e-6)
    with ema.applied():
        assert module.weight.item() == pytest.approx(expected, rel=1e-6)
    assert module.weight.item() == -1.0
    ema.apply()
    assert module.weight.item() == pytest.approx(expected, rel=1e-6)
    assert decay_at(1, 0.999) == pytest.approx(2 / 11)
    assert decay_at(10**6, 0.999) == 0.999


def pixels(height=120, width=200):
    return np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8)


def test_views_are_a_pure_function_of_seed_step_and_photo():
    one = [draw_view(0, 3, f"photo {k}", "quality") for k in range(400)]
    assert one == [draw_view(0, 3, f"photo {k}", "quality") for k in range(400)]
    assert one != [draw_view(1, 3, f"photo {k}", "quality") for k in range(400)]
    assert one != [draw_view(0, 4, f"photo {k}", "quality") for k in range(400)]
    assert np.mean([view.whole for view in one]) == pytest.approx(1 / 6, abs=0.06)
    assert np.mean([view.flip for view in one]) == pytest.approx(1 / 2, abs=0.1)
    assert {view.crop for view in one} == set(range(len(GRID)))
    assert {view.kept for view in one} == {1.0}, "quality never loses a margin"


def test_quality_views_hold_the_photos_own_pixels_only():
    photo = pixels()
    for k in range(60):
        view = draw_view(0, k, "x", "quality")
        seen = see(photo, view, 32)
        upright = seen[:, ::-1] if view.flip else seen
        if view.whole:
            assert np.array_equal(upright, photo)
        else:
            assert seen.shape == (32, 32, 3)
            x, y = GRID[view.crop]
            left, top = round((200 - 32) * x), round((120 - 32) * y)
            assert np.array_equal(upright, photo[top : top + 32, left : left + 32])


def test_aesthetic_wholes_lose_at_most_a_tenth():
    photo = pixels()
    shapes = set()
    for k in range(60):
        view = draw_view(0, k, "x", "aesthetic")
        seen = see_whole(photo, view)
        shapes.add(seen.shape)
        assert 108 <= seen.shape[0] <= 120
        assert 180 <= seen.shape[1] <= 200
    assert len(shapes) > 5
    corner = see_whole(photo, View(True, 0, False, 0.9, 1.0, 1.0))
    assert np.array_equal(corner, photo[12:, 20:])
    assert see_crop(photo, View(True, 4, False), 32).shape == (32, 32, 3)


def test_a_plan_shows_everyone_once_per_epoch_and_nobody_alone():
    plan = Plan(33, 16, epochs=3, seed=5)
    assert plan.steps == 3 * plan.per_epoch == 6
    orders = []
    for epoch in range(3):
        steps = [plan.rows(epoch * 2 + k) for k in range(2)]
        assert min(map(len, steps)) > 1
        orders.append([row for rows in steps for row in rows])
        assert sorted(orders[-1]) == list(range(33))
    assert orders[0] != orders[1] != orders[2]
    assert Plan(33, 16, 3, 5).rows(4) == plan.rows(4) != Plan(33, 16, 3, 6).rows(4)
    spares = plan.spares(4, {plan.rows(5)[0]})
    assert set(spares) == set(range(33)) - set(plan.rows(4)) - {plan.rows(5)[0]}


def test_captions_are_drawn_without_repeats_by_weight_or_alike():
    weights = np.array([0.7, 0.2, 0.05, 0.05])

    def share(by_weight):
        drawn = [
            draw_captions(weights, 1, by_weight=by_weight, seed=0, step=s, key="x")[0]
            for s in range(1500)
        ]
        return np.bincount(drawn, minlength=4) / 1500

    assert share(True) == pytest.approx(weights, abs=0.04)
    assert share(False) == pytest.approx([0.25] * 4, abs=0.04)
    several = draw_captions(weights, 3, by_weight=True, seed=0, step=0, key="x")
    assert len(set(several)) == 3
    assert several == sorted(several)
    assert draw_captions(weights, 9, by_weight=True, seed=0, step=0, key="x") == [0, 1, 2, 3]
