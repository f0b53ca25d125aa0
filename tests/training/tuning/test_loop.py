import math
import shutil
from dataclasses import replace
from types import SimpleNamespace

import pytest
import torch

from tests.training.conftest import manifest_rows, write_manifest
from tests.training.tuning.worker import make_loop
from training.config import PretrainConfig
from training.data import read_manifest
from training.losses import clip_loss
from training.tuning.checkpoint import check_same, find, read, write
from training.tuning.learners import finish, learning_mode
from training.tuning.loop import Hooks, Interrupted
from uniqa.errors import InputError, UsageError


def config(folder, **options):
    given = {"epochs": 2, "lr": 1e-3, "batch_size": 6} | options
    return PretrainConfig(model=str(folder), **given)


def gradients(loop):
    loop.backward()
    return {n: p.grad.clone() for n, p in loop.learner.named_parameters() if p.grad is not None}


def weights(loop):
    return {name: p.detach().clone() for name, p in loop.learner.named_parameters()}


def same(one, other, **tolerance):
    assert one.keys() == other.keys()
    for name, value in one.items():
        torch.testing.assert_close(value, other[name], **tolerance, msg=name)


def test_the_first_loss_is_the_clip_loss_of_the_embeddings(clip_dir, few, cache):
    loop = make_loop(config(clip_dir, batch_size=12, loss="soft", beta=0.0), few, cache)
    loop.backward()
    rows = loop.plan.rows(0)
    prepared = loop.reader.finish(0, rows, again=False)
    texts = [few.captions[few.rows("train")[r]][loop._draw(r, 0)[0]].text for r in rows]
    with torch.no_grad():
        image = loop.learner.embed_images(loop.learner.collate([prepared[r] for r in rows]))
        text = loop.learner.embed_texts(loop.learner.tokenize(texts))
        known = clip_loss(loop.learner.scale() * image @ text.T)
    assert loop._loss == pytest.approx(float(known), abs=1e-7)


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"loss": "soft", "beta": 0.5, "captions_per_photo": 2},
        {"loss": "sigmoid", "captions_per_photo": 2, "weigh": "loss"},
    ],
)
def test_chunks_have_the_whole_batchs_gradients(clip_dir, few, cache, options):
    whole = gradients(make_loop(config(clip_dir, batch_size=12, **options), few, cache))
    for chunk in (5, 1):
        cut = make_loop(config(clip_dir, batch_size=12, chunk=chunk, **options), few, cache)
        same(gradients(cut), whole, rtol=1e-4, atol=2e-6)


def test_chunks_with_dropout_agree_with_one_graph_over_all_chunks(dropping_dir, few, cache):
    loop = make_loop(config(dropping_dir, batch_size=12, chunk=5), few, cache)
    learning_mode(loop.learner)
    cached = gradients(loop)
    calls = []
    embed_images, embed_texts = loop.learner.embed_images, loop.learner.embed_texts

    def remember(embed):
        def call(given):
            if torch.is_grad_enabled():
                return embed(given)
            with torch.enable_grad():
                calls.append(embed(given))
            return calls[-1].detach()

        return call

    loop.learner.embed_images, loop.learner.embed_texts = map(remember, (embed_images, embed_texts))
    loop.backward()
    image, text = torch.cat(calls[:3]), torch.cat(calls[3:])
    learning = [p for p in loop.learner.parameters() if p.grad is not None]
    loss = clip_loss(loop.learner.scale() * image @ text.T)
    known = torch.autograd.grad(loss, learning)
    names = [n for n, p in loop.learner.named_parameters() if p.grad is not None]
    same(cached, dict(zip(names, known, strict=True)), rtol=1e-4, atol=2e-6)
    learning_mode(loop.learner)
    plain = make_loop(config(dropping_dir, batch_size=12, chunk=5), few, cache)
    without = gradients(plain)
    assert not torch.allclose(without[names[3]], cached[names[3]], atol=1e-4), "dropout was on"


def test_recomputed_activations_change_nothing(clip_dir, few, cache):
    loops = [make_loop(config(clip_dir, batch_size=12), few, cache) for _ in range(2)]
    loops[1].learner.recompute()
    for loop in loops:
        learning_mode(loop.learner)
    same(*map(gradients, loops), rtol=1e-5, atol=1e-8)


def test_bf16_is_near_fp32_but_not_it(clip_dir, few, cache):
    exact = gradients(make_loop(config(clip_dir, batch_size=12), few, cache))
    rough = gradients(make_loop(config(clip_dir, batch_size=12, precision="bf16"), few, cache))
    flat = [torch.cat([g.flatten() for g in one.values()]) for one in (exact, rough)]
    assert torch.cosine_similarity(*flat, dim=0) > 0.97
    assert not torch.equal(*flat)


def test_training_lowers_the_loss_and_its_schedule_ends(clip_dir, few, cache):
    loop = make_loop(config(clip_dir, epochs=30, lr=3e-3, batch_size=12, warmup=0.1), few, cache)
    records = loop.run()
    epochs = [record for record in records if "epoch" in record]
    assert [record["epoch"] for record in epochs] == list(range(1, 31))
    assert epochs[-1]["train_loss"] < epochs[0]["train_loss"] - 0.2
    windows = [record for record in records if "epoch" not in record]
    assert [record["step"] for record in windows] == [10, 20, 30]
    assert windows[-1]["lr"] == pytest.approx(3e-3 * (1 + math.cos(math.pi * 26 / 27)) / 2)
    assert loop.warmup == 3


def test_the_temperature_stays_inside_its_bounds(clip_dir, few, cache):
    loop = make_loop(config(clip_dir, epochs=1, batch_size=12), few, cache)
    with torch.no_grad():
        loop.learner.logit_scale().fill_(9.0)
    loop.step()
    assert loop.learner.scale().item() == pytest.approx(100.0)


def test_the_average_is_what_is_left_at_the_end(clip_dir, few, cache):
    loops = {ema: make_loop(config(clip_dir, ema=ema), few, cache) for ema in (0.0, 0.9)}
    for loop in loops.values():
        loop.run()
    assert loops[0.9].ema.steps == loops[0.9].plan.steps == 4
    averaged, last = weights(loops[0.9]), weights(loops[0.0])
    start = weights(make_loop(config(clip_dir), few, cache))
    name = "model.visual_projection.weight"
    far = (last[name] - start[name]).norm()
    assert 0 < (averaged[name] - start[name]).norm() < far
    same({name: averaged[name]}, {name: loops[0.9].ema.average[name]}, rtol=0, atol=0)


@pytest.mark.parametrize(
    ("towers", "still", "moving"),
    [("frozen-image", "vis", "text_"), ("frozen-text", "text_", "vis")],
)
def test_a_frozen_tower_keeps_its_bytes(clip_dir, few, cache, towers, still, moving):
    start = weights(make_loop(config(clip_dir), few, cache))
    loop = make_loop(config(clip_dir, towers=towers, chunk=4, weight_decay=0.5), few, cache)
    loop.run()
    moved = {name for name, value in weights(loop).items() if not torch.equal(value, start[name])}
    assert not any(name.startswith(f"model.{still}") for name in moved)
    assert any(name.startswith(f"model.{moving}") for name in moved)


def test_lora_learns_little_and_merges_to_the_same_outputs(clip_dir, few, cache):
    start = make_loop(config(clip_dir), few, cache)
    loop = make_loop(config(clip_dir, lora=2, lr=1e-2), few, cache)
    names = {n for n, p in loop.learner.named_parameters() if p.requires_grad}
    assert {name.rpartition("lora_")[1] for name in names} == {"lora_", ""}
    assert {n for n in names if "lora_" not in n} == {"model.logit_scale"}
    pixels = loop.learner.collate(list(loop.reader.finish(0, [0, 1, 2], again=False).values()))
    tokens = loop.learner.tokenize(["a sharp photo", "blurry"])
    loop.run()

    def outputs(learner):
        learner.eval()
        with torch.no_grad():
            return {"image": learner.embed_images(pixels), "text": learner.embed_texts(tokens)}

    before = outputs(loop.learner)
    assert not torch.allclose(before["image"], outputs(start.learner)["image"], atol=1e-3)
    finish(loop.learner, lora=True)
    same(outputs(loop.learner), before, rtol=1e-4, atol=1e-5)
    assert set(weights(loop)) == set(weights(start)), "nothing of it is left"


def test_lower_layers_move_less_with_layer_decay(clip_dir, few, cache):
    start = weights(make_loop(config(clip_dir), few, cache))

    def moved(decay):
        options = {"epochs": 1, "weight_decay": 0.0, "layer_decay": decay}
        loop = make_loop(config(clip_dir, batch_size=12, **options), few, cache)
        loop.run()
        after = weights(loop)
        where = "model.vision_model.encoder.layers.{}.mlp.fc1.weight"
        return [
            float((after[n] - start[n]).norm())
            for n in (where.format(0), where.format(1), "model.visual_projection.weight")
        ]

    plain, layered = moved(1.0), moved(0.1)
    ratios = [b / a for a, b in zip(plain, layered, strict=True)]
    assert ratios == pytest.approx([0.01, 0.1, 1.0], rel=1e-2)


@pytest.mark.parametrize("weigh", ["draw", "loss"])
def test_weights_of_captions_matter(clip_dir, few, cache, weigh):
    tilted = replace(
        few,
        captions=[
            [replace(c, weight=c.weight * (20.0 if k else 1.0)) for k, c in enumerate(captions)]
            for captions in few.captions
        ],
    )
    losses = []
    for manifest in (few, tilted):
        loop = make_loop(config(clip_dir, epochs=1, batch_size=12, weigh=weigh), manifest, cache)
        losses.append(loop.run()[-1]["train_loss"])
    assert losses[0] != losses[1]


def test_vanished_and_broken_photos_are_skipped_and_replaced(clip_dir, tiny, tmp_path):
    rows = [row for row in manifest_rows(tiny) if row["split"] == "train"]
    for row in rows:
        shutil.copy(tiny / row["image"], tmp_path)
    (tmp_path / rows[1]["image"]).unlink()
    (tmp_path / rows[4]["image"]).write_bytes(b"half a photo")
    manifest = read_manifest(write_manifest(rows, tmp_path / "m.parquet"))
    for chunk in (0, 2):
        told = []
        loop = make_loop(
            config(clip_dir, epochs=3, batch_size=6, chunk=chunk), manifest, tmp_path / "c"
        )
        loop.reader.report = told.append
        learning_mode(loop.learner)
        sizes = [loop.step()[1] for _ in range(loop.plan.steps)]
        assert sizes == [6] * 6, "others stood in: a batch does not shrink"
        assert loop.reader.broken == {1, 4}
        assert len(told) == 2


def test_a_run_without_photos_ends_in_one_line(clip_dir, tiny, tmp_path):
    rows = [row | {"image": f"gone {k}.png"} for k, row in enumerate(manifest_rows(tiny)[:4])]
    shutil.copy(tiny / manifest_rows(tiny)[0]["image"], tmp_path / "gone 0.png")
    manifest = read_manifest(write_manifest(rows, tmp_path / "m.parquet"))
    with pytest.raises(InputError, match="fewer than two photos"):
        make_loop(config(clip_dir), manifest, tmp_path / "c").run()


def test_a_loss_that_is_no_number_ends_in_one_line(clip_dir, few, cache):
    loop = make_loop(config(clip_dir, epochs=9), few, cache)
    with torch.no_grad():
        loop.learner.model.visual_projection.weight.fill_(float("nan"))
    with pytest.raises(InputError, match="not a number at step 1"):
        loop.run()


@pytest.mark.parametrize("options", [{}, {"lora": 2}, {"towers": "frozen-image", "chunk": 4}])
def test_stopped_and_resumed_is_uninterrupted_bit_for_bit(
    dropping_dir, few, cache, tmp_path, options
):
    settings = config(dropping_dir, epochs=4, ema=0.9, warmup=0.2, **options)
    whole = make_loop(settings, few, cache)
    known = whole.run()
    saved = []
    hooks = Hooks(save=saved.append, stop=lambda: bool(saved) or first.done == 3)
    first = make_loop(settings, few, cache, hooks=hooks)
    with pytest.raises(Interrupted) as stopped:
        first.run()
    assert stopped.value.step == 3
    write(tmp_path, saved[-1])
    second = make_loop(settings, few, cache)
    second.restore(read(find(tmp_path)))
    records = second.run()
    same(weights(second), weights(whole), rtol=0, atol=0)
    timeless = [{k: v for k, v in r.items() if "per_second" not in k} for r in (*records, *known)]
    half = len(timeless) // 2
    epochs = [r for r in timeless[:half] if "epoch" in r]
    assert epochs == [r for r in timeless[half:] if "epoch" in r]


def test_checkpoints_are_whole_and_the_last_is_kept(clip_dir, few, cache, tmp_path):
    loop = make_loop(
        config(clip_dir), few, cache,
        hooks=Hooks(save=lambda checkpoint: write(tmp_path, checkpoint)), checkpoint_steps=1,
    )  # fmt: skip
    loop.run()
    folder = tmp_path / "checkpoint"
    assert [path.name for path in folder.iterdir()] == ["step-000000004"]
    (folder / ".part-killed").mkdir()
    (folder / "step-000000009").mkdir()
    assert find(tmp_path).name == "step-000000004", "what is not whole does not count"
    (folder / "step-000000004" / "weights.safetensors").write_bytes(b"half")
    with pytest.raises(InputError, match="cannot be read"):
        read(find(tmp_path))


def test_other_settings_and_manifests_are_refused_in_one_line(tmp_path):
    about = {"config": {"lr": 1e-3, "seed": 0}, "manifest": "a" * 64}
    check_same(about, about, tmp_path)
    with pytest.raises(UsageError, match=r"config lr 0.001, here it is 0.1") as wrong:
        check_same(about, about | {"config": {"lr": 0.1, "seed": 0}}, tmp_path)
    assert "\n" not in str(wrong.value)
    with pytest.raises(UsageError, match="manifest"):
        check_same(about, about | {"manifest": "b" * 64}, tmp_path)


def test_the_pace_counts_photos_and_time_of_the_same_steps(clip_dir, few, cache, monkeypatch):
    """A step takes a second, validation a hundred; an epoch ends in the middle of each window."""
    now = [0.0]
    monkeypatch.setattr("training.tuning.loop.time", SimpleNamespace(monotonic=lambda: now[0]))

    def validate():
        now[0] += 100
        return {}

    hooks = Hooks(validate=validate)
    loop = make_loop(config(clip_dir, epochs=7, batch_size=4), few, cache, hooks=hooks)
    real = loop.step

    def step():
        now[0] += 1
        return real()

    loop.step = step
    assert loop.plan.per_epoch == 3
    records = loop.run()
    rates = {r["step"]: r["images_per_second"] for r in records if "images_per_second" in r}
    assert rates == pytest.approx({10: 4, 20: 4, 21: 4})
