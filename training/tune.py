"""Pre-training of whole Hugging Face towers on pixels, as UniQA does it.

A step sees each photo once, with one caption drawn by weight, through one of the fixed views that
scoring sees too (the whole, or a native crop), drawn by seed. Must not know heads or ratings.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import torch
from torch.nn.functional import normalize

from training.config import PretrainConfig
from training.data import Manifest
from training.encoders import GRID, MAX_SIDE, fixed_crops
from training.huggingface import Towers, temperature
from training.losses import soft_target_loss, soft_targets
from training.pretrain import Pairs, batches, draw_captions, make_optimizer
from uniqa.errors import InputError
from uniqa.photos import PhotoError, Pixels, read_photo


def tune_towers(
    towers: Towers,
    manifest: Manifest,
    rows: Sequence[int],
    pairs: Pairs,
    config: PretrainConfig,
    tell: Callable[[dict[str, float]], None],
) -> None:
    """Train both towers and the temperature in place.

    Args:
        towers: what learns.
        manifest: where the photos and captions are.
        rows: its rows to learn from, readable photos only.
        pairs: the same photos in the same order, for captions and targets; features unused.
        config: epochs, lr, weight decay, batch size, β, σ, seed.
        tell: hears each epoch's record: epoch, train_loss, scale.

    Raises:
        InputError: fewer than two photos, or one that vanished since it was first read.
    """
    if len(rows) < 2:
        raise InputError("fewer than two photos to learn from", "Give more photos")
    torch.manual_seed(config.seed)
    rng = np.random.default_rng(config.seed)
    model = towers.model
    optimizer = make_optimizer(model, config)
    steps = config.epochs_used * math.ceil(len(rows) / config.batch_size)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, T_max=steps)
    model.train()

    def look(place: tuple[Path, int]) -> Pixels:
        return _view(place[0], place[1], towers.side)

    with ThreadPoolExecutor(2) as pool:
        for epoch in range(config.epochs_used):
            losses = []
            for batch in batches(len(rows), config.batch_size, rng):
                numbers = rng.integers(0, 1 + len(GRID), len(batch))
                places = [
                    (manifest.images[rows[k]], int(v)) for k, v in zip(batch, numbers, strict=True)
                ]
                seen = list(pool.map(look, places))
                picks = draw_captions(pairs, batch, rng)
                texts = [
                    manifest.captions[rows[k]][pick].text
                    for k, pick in zip(batch, picks, strict=True)
                ]
                image = normalize(towers.embed_pixels(towers.pixels(seen)), dim=-1)
                text = normalize(towers.embed_tokens(towers.tokenize(texts)), dim=-1)
                targets = soft_targets(
                    torch.tensor(batch),
                    pairs.scores[batch],
                    pairs.comparable(batch, picks),
                    beta=config.beta,
                    sigma=config.sigma,
                )
                logits = temperature(model) * image @ text.T
                loss = soft_target_loss(logits, targets.to(logits.device))
                optimizer.zero_grad(set_to_none=True)
                loss.backward()
                optimizer.step()
                schedule.step()
                losses.append(float(loss.detach()))
            record = {"epoch": float(epoch + 1), "train_loss": float(np.mean(losses))}
            tell(record | {"scale": float(temperature(model).detach())})
    model.eval()


def _view(path: Path, number: int, side: int) -> Pixels:
    try:
        pixels = read_photo(path, max_side=MAX_SIDE).pixels
    except PhotoError as error:
        raise InputError(str(error), "It could be read a moment ago; run again") from error
    return pixels if number == 0 else fixed_crops(pixels, side)[number - 1]
