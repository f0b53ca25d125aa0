"""The builder of the pocket models: known damage, honest targets, lessons, and a tiny build."""

from __future__ import annotations

import random
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from curation.demo.photos import colour_crops
from curation.measuring.measure import measure
from curation.pocket import targets
from curation.pocket.assemble import make_tokenizer, save_model
from curation.pocket.damage import Damage, amount, apply_damage, draw_damage, without
from curation.pocket.effort import Effort, effort_of
from curation.pocket.eyes import Eyes, averaged, canvas_frames, train_eyes, train_locally
from curation.pocket.incontext import exemplars_change
from curation.pocket.pictures import VARIANTS, canvas_of, make_pictures
from curation.pocket.reading import FAULTS, VALUES, Reading, random_reading
from curation.pocket.shape import CANVAS, SPECIAL, TILE, TILE_TOKENS
from curation.pocket.sources import CREDITS, photographs, read_photographs
from curation.pocket.talk import (
    Lessons,
    Sight,
    load_sight,
    look_all,
    save_sights,
    train_talk,
)
from uniqa.photos import Pixels


@pytest.fixture(scope="module")
def photo() -> Pixels:
    return colour_crops()[0]


@pytest.fixture(scope="module")
def readings() -> list[Reading]:
    rng = random.Random(0)
    return [random_reading(rng) for _ in range(60)]


@pytest.mark.parametrize("kind", FAULTS)
def test_damage_grows_with_severity_and_repeats(photo: Pixels, kind: str) -> None:
    far = [
        float(np.abs(apply_damage(photo, Damage({kind: s}, 3)).astype(float) - photo).mean())
        for s in (1.0, 3.0, 5.0)
    ]
    assert 0 < far[0] < far[1] < far[2]
    again = apply_damage(photo, Damage({kind: 3.0}, 3))
    assert np.array_equal(again, apply_damage(photo, Damage({kind: 3.0}, 3)))


def test_damage_costs_quality() -> None:
    assert Damage({}, 0).quality == 1
    one, two = Damage({"blur": 3.0}, 0), Damage({"blur": 3.0, "noise": 2.0}, 0)
    assert 1 > one.quality > two.quality > 0
    assert without(two, "noise") == one
    assert amount("blur", 0.0) == 0
    assert amount("compression", 2.5) == pytest.approx(26)


def test_kinds_come_about_equally() -> None:
    rng = np.random.default_rng(0)
    drawn = [draw_damage(rng) for _ in range(6000)]
    counts = [sum(kind in damage.faults for damage in drawn) for kind in FAULTS]
    assert max(counts) < 1.6 * min(counts)
    assert 0.13 < sum(not damage.faults for damage in drawn) / len(drawn) < 0.21


def test_targets_read_back_what_was_done(photo: Pixels) -> None:
    damage = Damage({"noise": 4.0, "colour_cast": 2.0}, 1)
    spoilt = apply_damage(photo, damage)
    row = targets.target_of(measure(spoilt), damage)
    assert row.shape == (targets.WIDTH,)
    assert np.isfinite(row).all()
    reading = targets.reading_of(row)
    assert reading.faults == (("noise", 4), ("colour_cast", 2))
    assert reading.noise in ("grainy", "very noisy")
    clean = targets.reading_of(targets.target_of(measure(photo), Damage({}, 1)))
    assert clean.faults == ()
    assert clean.quality == "perfect"
    for name, allowed in VALUES.items():
        value = getattr(clean, name)
        assert set(value if isinstance(value, tuple) else (value,)) <= set(allowed)


def test_canvas_is_what_the_processor_makes() -> None:
    from curation.pocket.shape import processor_of

    tokenizer = make_tokenizer([random_reading(random.Random(1))], texts=200)
    processor = processor_of(tokenizer)
    rng = np.random.default_rng(0)
    for shape in ((512, 512), (341, 512), (700, 480)):
        small = rng.integers(0, 256, (*(side // 8 for side in shape), 3), dtype=np.uint8)
        pixels = np.asarray(Image.fromarray(small).resize(shape[::-1], Image.Resampling.BICUBIC))
        made = processor(text="<image>", images=[[Image.fromarray(pixels)]], return_tensors="pt")
        frames = made["pixel_values"][0].permute(0, 2, 3, 1).numpy() * 127.5 + 127.5
        ours = np.stack(list(canvas_frames(canvas_of(pixels))))
        assert frames.shape == ours.shape == (5, TILE, TILE, 3)
        assert np.abs(frames - ours).mean() < 0.6
        assert (made["input_ids"] == SPECIAL.index("<image>")).sum() == 5 * TILE_TOKENS


def test_lessons_are_what_the_template_makes(readings: list[Reading]) -> None:
    tokenizer = make_tokenizer(readings, texts=400)
    sight = Sight(torch.zeros(len(readings), 5 * TILE_TOKENS, 160), readings)
    lessons = Lessons("pocket-a", sight, tokenizer, seed=0)
    shots = set()
    for index in range(12):
        prefix, pictures, exchanges = lessons.row(index, 1)
        shots.add(len(pictures) - 1)
        assert prefix.count(SPECIAL.index("<image>")) == 5 * TILE_TOKENS * len(pictures)
        for ids, length in exchanges:
            told = tokenizer.decode(ids[-length:])
            assert told.endswith(".<end_of_utterance>")
            assert tokenizer.decode(ids[:-length]).endswith("Assistant:")
        assert lessons.row(index, 1) == (prefix, pictures, exchanges)
    assert shots == {0, 1, 2}
    for start in range(0, 24, 4):
        together = {len(lessons.row(index, 4)[1]) for index in range(start, start + 4)}
        assert len(together) == 1


def test_answers_of_a_row_do_not_see_one_another(readings: list[Reading]) -> None:
    from transformers import Idefics3ForConditionalGeneration

    from curation.pocket.shape import config_of
    from curation.pocket.talk import _Talker

    tokenizer = make_tokenizer(readings, texts=400)
    torch.manual_seed(0)
    tokens = torch.randn(len(readings), 5 * TILE_TOKENS, 128)
    row = Lessons("pocket-b", Sight(tokens, readings), tokenizer, seed=0).row(0, 1)
    config = config_of("pocket-b", len(tokenizer))
    config._attn_implementation = "sdpa"
    talker = _Talker(Idefics3ForConditionalGeneration(config)).eval()
    prefix, pictures, exchanges = row
    counts = [length for _, length in exchanges]
    with torch.no_grad():
        together = float(talker([row], tokens, 0.0))
        alone = [
            float(talker([(prefix, pictures, [exchange])], tokens, 0.0)) for exchange in exchanges
        ]
    expected = sum(a * n for a, n in zip(alone, counts, strict=True)) / sum(counts)
    assert together == pytest.approx(expected, abs=1e-4)


@pytest.mark.slow
def test_a_tiny_build_resumes_and_speaks(tmp_path: Path, photo: Pixels) -> None:
    sources = []
    for number, pixels in enumerate(colour_crops()[:3]):
        sources.append(tmp_path / f"{number}.png")
        large = Image.fromarray(pixels).resize((1400, 1400), Image.Resampling.BICUBIC)
        large.save(sources[-1], compress_level=1)
    made = {"crops": 4, "seed": 0, "workers": 2, "others": sources[2:], "last": 1}
    images, rows = make_pictures(sources[:2], tmp_path / "set", **made)
    assert images.shape == (4 * VARIANTS, CANVAS, CANVAS, 3)
    log = tmp_path / "set" / "targets.jsonl"
    log.write_text("\n".join(log.read_text("utf-8").splitlines()[:2]) + "\n[3, [[0", "utf-8")
    again, rows_again = make_pictures(sources[:2], tmp_path / "set", **made)
    assert np.array_equal(images, again)
    assert np.array_equal(rows, rows_again)
    near = train_locally(images, rows, tmp_path / "near.pt", steps=2, batch=12)
    eyes = train_eyes(images, rows, tmp_path / "eyes.pt", steps=2, first=near, batch=4)
    resumed = train_eyes(images, rows, tmp_path / "eyes.pt", steps=2, first=near, batch=4)
    assert all(
        torch.equal(one, two)
        for one, two in zip(eyes.parameters(), resumed.parameters(), strict=True)
    )
    other = train_eyes(
        images, rows, tmp_path / "other.pt", steps=2, first=near, recolour=False, batch=4
    )
    eyes = averaged([eyes, other])
    save_sights(look_all(eyes, images, rows, VARIANTS), tmp_path / "sights.pt")
    sight = load_sight(tmp_path / "sights.pt", "pocket-b")
    tokenizer = make_tokenizer(sight.readings, texts=300)
    model = train_talk("pocket-b", sight, tokenizer, tmp_path / "talk.pt", steps=2, batch=2)
    save_model("pocket-b", model, Eyes(rows), tokenizer, tmp_path / "pocket-b")
    assert read_photographs(tmp_path / "pocket-b" / CREDITS) == photographs()
    tiny = Effort(near=3000, far=150, talk=2000).part(0.01)
    tiny.write(tmp_path / "pocket-b")
    assert effort_of(tmp_path / "pocket-b") == tiny == Effort(near=30, far=2, talk=20)
    assert (tmp_path / "pocket-b" / "model.safetensors").stat().st_size < 8_000_000
    result = exemplars_change(tmp_path / "pocket-b", "pocket-b", [photo], shots=1)
    assert result["brief_words"] > 0
