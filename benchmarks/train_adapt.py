"""Adapting on stored features against running both towers at every step.

    python benchmarks/train_adapt.py MODEL RATINGS [--labels 100] [--task T]

Both learn UniQA's adapter from the same labels: the same start, order of batches, number of epochs
and step size. One reads each photo's features once, from fixed crops, and the prompts' once. The
other does as the method is described (arXiv 2406.01069, section 3.4): at every step a new random
crop of 224 pixels of each photo goes through the image tower and every level prompt through the
text tower. Photos are decoded beforehand for both. Tested on groups that neither learned from;
writes a section of RESULTS.md.
"""

from __future__ import annotations

import argparse
import math
import os
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

import numpy as np
import pandas as pd
import torch
from torch.nn.functional import normalize

if __package__ is None:
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from benchmarks.results import told_arguments, write_section
from training.adapter import Adapter, fit_adapters, start
from training.config import AdaptConfig
from training.cues import LEVEL_VALUES, cue_prompts, cue_scores
from training.data import draw, hold_back, read_rated
from training.encoders import CROP, MAX_SIDE, Lite0Tower, shrink
from training.features import photo_features
from training.metrics import srcc
from training.model import Model, load_model
from training.views import views_of
from uniqa.photos import Pixels, read_photo


def main() -> None:
    """Parse, run both, write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("model", type=Path)
    parser.add_argument("ratings", type=Path)
    parser.add_argument("--labels", type=int, default=100)
    parser.add_argument("--task", default="")
    parser.add_argument("--images-root", type=Path)
    parser.add_argument("--group-column", default="")
    options = parser.parse_args()
    model, config = load_model(options.model), AdaptConfig()
    assert isinstance(model.image, Lite0Tower)
    rated = read_rated(options.ratings, task=options.task, images_root=options.images_root)
    if options.group_column:
        told = pd.read_csv(options.ratings).set_index("image")[options.group_column]
        rated = replace(rated, groups=[str(told[name]) for name in rated.names])
    pool, test = hold_back(rated, 0.4, 0)
    rows = [pool[k] for k in draw([rated.names[r] for r in pool], options.labels, 0)]
    task = rated.task or model.task
    truth, labels = rated.scores[test], rated.scores[rows]

    with tempfile.TemporaryDirectory() as folder:
        cache = Path(folder)
        began = time.perf_counter()
        seen = photo_features([rated.images[r] for r in rows], model.image, cache)
        views = views_of(model, seen.values, task, cache)
        looked = time.perf_counter() - began
        began = time.perf_counter()
        everything = [list(range(len(rows)))]
        ours = fit_adapters(
            views.embeddings, labels, everything, views.prompts, views.scale, config
        )[0]
        learned = time.perf_counter() - began
        photos = [read_photo(rated.images[r], max_side=MAX_SIDE).pixels for r in rows]
        began = time.perf_counter()
        theirs = run_both_towers(model, photos, labels, task, config)
        every_step = time.perf_counter() - began
        unseen = photo_features([rated.images[r] for r in test], model.image, cache)
        there = views_of(model, unseen.values, task, cache)
        found = {
            name: srcc(head.predict(there.embeddings, there.prompts, there.scale), truth)
            for name, head in (("stored", ours), ("every step", theirs))
        }
    zero = srcc(there.zero_shot, truth)
    body = "\n".join(
        [
            f"{len(rows)} labels, {config.epochs_used} epochs of batches of {config.batch_size}; "
            f"tested on {len(test)} photos (zero-shot {zero:.3f}).",
            "",
            "| way | seconds | SRCC | times faster |",
            "|---|---:|---:|---:|",
            f"| both towers at every step | {every_step:.1f} | {found['every step']:.3f} | 1 |",
            f"| features and prompts read once, then learned | {looked + learned:.1f} | "
            f"{found['stored']:.3f} | {every_step / (looked + learned):.1f} |",
            f"| new ratings of photos already read | {learned:.2f} | {found['stored']:.3f} | "
            f"{every_step / learned:.0f} |",
        ]
    )
    print(body)
    write_section(
        f"Adapting on stored features: {options.ratings.resolve().parent.name}",
        body,
        f"python benchmarks/train_adapt.py {told_arguments()}",
    )


def run_both_towers(
    model: Model, photos: list[Pixels], labels: np.ndarray, task: str, config: AdaptConfig
) -> Adapter:
    """The adapter learned with random crops through the towers at every step."""
    assert isinstance(model.image, Lite0Tower)
    first, second, values = (
        tensor.clone().requires_grad_()
        for tensor in vars(start(model.projections.text.out_features, config.seed)).values()
    )
    optimizer = torch.optim.Adam([first, second, values], lr=config.lr_used)
    steps = config.epochs_used * math.ceil(len(photos) / config.batch_size)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, T_max=steps)
    order_rng = torch.Generator().manual_seed(config.seed)
    crop_rng = np.random.default_rng(config.seed)
    truth = torch.from_numpy(labels).float()
    assert len(LEVEL_VALUES) == len(values)
    for _ in range(config.epochs_used):
        for batch in torch.randperm(len(photos), generator=order_rng).split(config.batch_size):
            with torch.no_grad():
                prompts = model.projections.embed_texts(
                    torch.from_numpy(model.text.encode(cue_prompts(task)))
                ).unflatten(0, (-1, 5))
                crops = np.stack([_crop(photos[int(k)], crop_rng) for k in batch])
                seen = (torch.from_numpy(crops).permute(0, 3, 1, 2).float() - 127) / 128
                # One pass for the crop, which stands for both of the tower's views.
                features = torch.cat(model.image.pool(seen) * 2, dim=1)
                unit = normalize(model.projections.embed_images(features), dim=-1)
            hidden = (unit @ first.T).relu()
            moved = normalize(unit + (hidden @ second.T).relu(), dim=-1)
            told = cue_scores(moved, prompts, model.projections.scale, values).mean(-1)
            loss = (told - truth[batch]).square().mean()
            optimizer.zero_grad(set_to_none=True)
            loss.backward()
            optimizer.step()
            schedule.step()
    return Adapter(first.detach(), second.detach(), values.detach())


def _crop(pixels: Pixels, rng: np.random.Generator) -> Pixels:
    """224 × 224 native pixels at a random place; smaller photos are enlarged."""
    if min(pixels.shape[:2]) < CROP:
        pixels = shrink(pixels, CROP)
    height, width = pixels.shape[:2]
    top = int(rng.integers(0, max(1, height - CROP + 1)))
    left = int(rng.integers(0, max(1, width - CROP + 1)))
    return pixels[top : top + CROP, left : left + CROP]


if __name__ == "__main__":
    main()
