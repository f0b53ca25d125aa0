"""The eyes of the pocket models: a small vision transformer taught to read photographs.

Before a word is learned, the transformer and one connector per model are trained to give the rows
of `targets`: which fault, how strong, how bright, which colours … from one tile and the thumbnail
of a picture. A linear layer on the mean image token is all that stands between tokens and row, so
that whatever is read lies open in the tokens that the language model gets.
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor, nn
from torch.nn import functional

from curation.pocket import targets
from curation.pocket.shape import CANVAS, PATCH, SIZES, TILE, config_of
from uniqa import console

_HUES = [
    targets.NUMBER.start + targets.NUMBERS.index("warmth"),
    *range(targets.COLOUR.start, targets.TINT.stop),
]
_FLIPPED = [targets.NUMBER.start + targets.NUMBERS.index(name) for name in ("light_right",)]
_MIRRORED = [targets.NUMBER.start + targets.NUMBERS.index(name) for name in ("subject_x",)]


class Eyes(nn.Module):
    """A vision transformer, and per model a connector and two linear readers.

    `scale` and `shift` are buffers that bring the numbers of a row to zero mean and unit variance.
    """

    def __init__(self, rows: NDArray[np.float32] | None = None) -> None:
        super().__init__()
        from transformers.models.idefics3.modeling_idefics3 import (
            Idefics3Connector,
            Idefics3VisionTransformer,
        )

        vision_config = config_of("pocket-a", 100).vision_config
        vision_config._attn_implementation = "sdpa"
        self.vision = Idefics3VisionTransformer(vision_config)
        self.connectors = nn.ModuleDict()
        self.tile_readers = nn.ModuleDict()
        self.thumbnail_readers = nn.ModuleDict()
        for name, size in SIZES.items():
            self.connectors[name] = Idefics3Connector(config_of(name, 100))
            self.tile_readers[name] = nn.Linear(size.hidden, targets.WIDTH)
            self.thumbnail_readers[name] = nn.Linear(size.hidden, targets.WIDTH)
        # Photographs' frequencies differ in strength by orders of magnitude. A layer that starts
        # from filters of equal output sees noise and blocks from the first step.
        with torch.no_grad():
            self.vision.embeddings.patch_embedding.weight.copy_(_filters())
            self.vision.embeddings.patch_embedding.bias.zero_()
            nn.init.normal_(self.vision.embeddings.position_embedding.weight, std=0.05)
        shift = np.zeros(targets.WIDTH) if rows is None else rows.mean(axis=0)
        scale = np.ones(targets.WIDTH) if rows is None else rows.std(axis=0) + 1e-4
        self.shift: Tensor
        self.scale: Tensor
        self.register_buffer("shift", torch.tensor(shift, dtype=torch.float32))
        self.register_buffer("scale", torch.tensor(scale, dtype=torch.float32))

    def level_filters(self, canvases: NDArray[np.uint8]) -> None:
        """Scale every filter so that its output on these canvases deviates by one half."""
        frames = torch.from_numpy(np.ascontiguousarray(canvases)).permute(0, 3, 1, 2)
        first = self.vision.embeddings.patch_embedding
        with torch.no_grad():
            spread = first(frames.float() / 127.5 - 1).std(dim=(0, 2, 3))
            first.weight.mul_(0.5 / spread.clamp(min=1e-3)[:, None, None, None])

    def see(self, frames: Tensor) -> Tensor:
        """Patch features of frames.

        Args:
            frames: (n, 3, TILE, TILE), uint8 or 0–255.

        Returns:
            (n, (TILE / PATCH)², vision hidden size).
        """
        pixels = frames.float() / 127.5 - 1
        side = TILE // PATCH
        mask = torch.ones(len(frames), side, side, dtype=torch.bool)
        features: Tensor = self.vision(pixel_values=pixels, patch_attention_mask=mask)[0]
        return features

    def see_part(self, crops: Tensor, places: Tensor) -> Tensor:
        """Patch features of crops smaller than a tile.

        Args:
            crops: (n, 3, side, side), 0–255.
            places: (n, patches), which cell of a tile each patch stands for.
        """
        first: Any = self.vision.embeddings
        patches = first.patch_embedding(crops.float() / 127.5 - 1).flatten(2).transpose(1, 2)
        hidden = self.vision.encoder(
            inputs_embeds=patches + first.position_embedding(places)
        ).last_hidden_state
        features: Tensor = self.vision.post_layernorm(hidden)
        return features

    def read(self, tiles: Tensor, thumbnails: Tensor) -> dict[str, Tensor]:
        """Rows, per model, from any number of tiles per picture and its thumbnail.

        Args:
            tiles: (n, t, 3, TILE, TILE).
            thumbnails: (n, 3, TILE, TILE).

        Returns:
            model → (n, targets.WIDTH); scores in the one-hot parts and for colours, standardised
            numbers elsewhere.
        """
        return self.rows_of(self.tokens_of(torch.cat([tiles, thumbnails[:, None]], dim=1)))

    def tokens_of(self, frames: Tensor) -> dict[str, Tensor]:
        """Image tokens, per model: (n, frames, tokens of a frame, hidden size of the model).

        Args:
            frames: (n, frames, 3, TILE, TILE), a picture's thumbnail last.
        """
        features = self.see(frames.flatten(0, 1))
        return {
            name: connect(features).unflatten(0, frames.shape[:2])
            for name, connect in self.connectors.items()
        }

    def rows_of(self, tokens: dict[str, Tensor]) -> dict[str, Tensor]:
        """As `read`, from the image tokens that `tokens_of` gives."""
        rows = {}
        for name, token in tokens.items():
            mean = token.float().mean(dim=2)
            tile = self.tile_readers[name](mean[:, :-1]).mean(dim=1)
            rows[name] = tile + self.thumbnail_readers[name](mean[:, -1])
        return rows

    def plain(self, rows: Tensor) -> NDArray[np.float32]:
        """Standardised rows as `calibrate` and `targets.reading_of` take them."""
        rows = rows.detach().float().clone()
        for part in (targets.SEVERITY, targets.NUMBER):
            rows[:, part] = rows[:, part] * self.scale[part] + self.shift[part]
        rows[:, targets.COLOUR] = rows[:, targets.COLOUR].sigmoid()
        return rows.numpy()


def loss_of(eyes: Eyes, predicted: Tensor, truth: Tensor) -> Tensor:
    """How far a batch of rows, (n, WIDTH) standardised, is from the truth, (n, WIDTH) plain."""
    predicted = predicted.float()

    def standard(part: slice) -> Tensor:
        return (truth[:, part] - eyes.shift[part]) / eyes.scale[part]

    main = functional.cross_entropy(
        predicted[:, targets.MAIN], truth[:, targets.MAIN], label_smoothing=0.02
    )
    severity = functional.mse_loss(predicted[:, targets.SEVERITY], standard(targets.SEVERITY))
    # Where hues were changed, what they were is not the truth any more.
    numbers = standard(targets.NUMBER)
    known = ~numbers.isnan()
    number = functional.smooth_l1_loss(predicted[:, targets.NUMBER][known], numbers[known])
    quality = functional.mse_loss(
        predicted[:, targets.NUMBER.start], standard(targets.NUMBER)[:, 0]
    )
    hue = ~truth[:, targets.TINT.start].isnan()
    colour = functional.binary_cross_entropy_with_logits(
        predicted[hue][:, targets.COLOUR], truth[hue][:, targets.COLOUR]
    )
    tint = functional.cross_entropy(predicted[hue][:, targets.TINT], truth[hue][:, targets.TINT])
    return main + 1.5 * severity + number + 0.3 * quality + colour + 0.3 * tint


def train_locally(
    images: NDArray[np.uint8],
    rows: NDArray[np.float32],
    checkpoint: Path,
    *,
    steps: int,
    batch: int = 512,
    side: int = 64,
    rate: float = 2e-3,
    seed: int = 0,
) -> Eyes:
    """Teach the transformer what faults look like from near: on small crops, each with its label.

    One label for a whole picture teaches little per second. Faults show everywhere in a picture,
    so hundreds of small crops of as many pictures make a batch here that costs as much as thirty
    pictures. What is learned is where `train_eyes` starts.

    Args:
        images, rows, checkpoint, steps, seed: as for `train_eyes`.
        batch: crops.
        side: of a crop, pixels.
    """
    torch.manual_seed(seed)
    eyes = Eyes(rows)
    eyes.level_filters(images[:: max(1, len(images) // 64)])
    reader = nn.Linear(eyes.vision.config.hidden_size, targets.WIDTH)
    both = nn.ModuleList([eyes.vision, reader])
    optimizer = make_optimizer(both, rate)
    start = 0
    if checkpoint.exists():
        state = torch.load(checkpoint, weights_only=True)
        both.load_state_dict(state["model"])
        optimizer.load_state_dict(state["optimizer"])
        start = state["step"]
    began, smooth, right = time.monotonic(), 0.0, 0.0
    with console.progress() as bar:
        task = bar.add_task("eyes, near", total=steps, completed=start, note="")
        for step in range(start, steps):
            for group in optimizer.param_groups:
                group["lr"] = _rate(step, steps, rate)
            crops, places, truth = _crops(images, rows, batch, side, seed, step)
            with torch.autocast("cpu", dtype=torch.bfloat16):
                features = eyes.see_part(crops, places)
                predicted = reader(features.mean(dim=1))
            loss = loss_of(eyes, predicted, truth)
            optimizer.zero_grad(set_to_none=True)
            loss.backward()
            nn.utils.clip_grad_norm_(both.parameters(), 1.0)
            optimizer.step()
            hits = predicted[:, targets.MAIN].argmax(1) == truth[:, targets.MAIN].argmax(1)
            keep = min(0.98, (step - start) / (step - start + 1))
            smooth = keep * smooth + (1 - keep) * float(loss.detach())
            right = keep * right + (1 - keep) * float(hits.float().mean())
            bar.update(task, advance=1, note=f"loss {smooth:.3f}")
            if (step + 1) % 200 == 0 or step + 1 == steps:
                spent = time.monotonic() - began
                console.say(
                    f"near {step + 1}/{steps} loss {smooth:.3f} right {right:.2f} {spent:.0f} s"
                )
                part = checkpoint.with_suffix(".part")
                torch.save(
                    {
                        "model": both.state_dict(),
                        "optimizer": optimizer.state_dict(),
                        "step": step + 1,
                    },
                    part,
                )
                part.replace(checkpoint)
    return eyes


def _crops(
    images: NDArray[np.uint8],
    rows: NDArray[np.float32],
    size: int,
    side: int,
    seed: int,
    step: int,
) -> tuple[Tensor, Tensor, Tensor]:
    rng = np.random.default_rng([seed, 3, step])
    chosen = np.sort(rng.choice(len(images), size, replace=size > len(images)))
    crops = np.empty((size, side, side, 3), dtype=np.uint8)
    corners = rng.integers(0, (CANVAS - side) // 8 + 1, (size, 2)) * 8
    turns = rng.random((size, 3)) < 0.5
    for place, (number, (top, left), (flip, mirror, swap)) in enumerate(
        zip(chosen, corners, turns, strict=True)
    ):
        crop = images[number, top : top + side, left : left + side]
        crop = crop[::-1] if flip else crop
        crop = crop[:, ::-1] if mirror else crop
        crops[place] = crop.transpose(1, 0, 2) if swap else crop
    # Somewhere on the tile: these patches take the places of any window of it.
    grid, window = TILE // PATCH, side // PATCH
    first = rng.integers(0, grid - window + 1, (size, 2))
    cells = np.arange(window)
    places = (first[:, :1, None] + cells[None, :, None]) * grid + first[:, 1:, None] + cells
    truth = rows[chosen].copy()
    matrices, swapped = _colour_changes(size, rng)
    truth[np.ix_(swapped, _HUES)] = np.nan
    return (
        _changed(torch.from_numpy(crops).permute(0, 3, 1, 2), torch.from_numpy(matrices)),
        torch.from_numpy(places.reshape(size, -1)),
        torch.from_numpy(truth),
    )


def make_optimizer(module: nn.Module, rate: float) -> torch.optim.AdamW:
    """AdamW that lets only matrices decay."""
    decayed = [p for p in module.parameters() if p.dim() > 1]
    plain = [p for p in module.parameters() if p.dim() <= 1]
    return torch.optim.AdamW(
        [{"params": decayed, "weight_decay": 0.05}, {"params": plain, "weight_decay": 0.0}],
        lr=rate, betas=(0.9, 0.98),
    )  # fmt: skip


def train_eyes(
    images: NDArray[np.uint8],
    rows: NDArray[np.float32],
    checkpoint: Path,
    *,
    steps: int,
    first: Eyes | None = None,
    recolour: bool = True,
    batch: int = 32,
    rate: float = 1e-3,
    seed: int = 0,
) -> Eyes:
    """Train, or go on training, and return the averaged eyes.

    Args:
        images: canvases, (n, CANVAS, CANVAS, 3).
        rows: the truth, (n, targets.WIDTH).
        checkpoint: written every 200 steps and read if it is there.
        steps: with ever new tiles and mirror images; the learning rate ends at zero.
        first: eyes that `train_locally` has taught.
        recolour: see `_colour_changes`.
    """
    torch.manual_seed(seed)
    thumbnails = thumbnails_of(images, checkpoint.parent)
    eyes, mean = Eyes(rows), Eyes(rows)
    if first is not None:
        eyes.vision.load_state_dict(first.vision.state_dict())
    mean.load_state_dict(eyes.state_dict())
    optimizer = make_optimizer(eyes, rate)
    start = 0
    if checkpoint.exists():
        state = torch.load(checkpoint, weights_only=True)
        eyes.load_state_dict(state["eyes"])
        mean.load_state_dict(state["mean"])
        optimizer.load_state_dict(state["optimizer"])
        start = state["step"]
    began = time.monotonic()
    smooth = 0.0
    with console.progress() as bar:
        task = bar.add_task("eyes", total=steps, completed=start, note="")
        for step in range(start, steps):
            for group in optimizer.param_groups:
                group["lr"] = _rate(step, steps, rate)
            tiles, small, truth = _batch(images, thumbnails, rows, batch, (seed, recolour), step)
            with torch.autocast("cpu", dtype=torch.bfloat16):
                predicted = eyes.read(tiles, small)
            loss = torch.stack([loss_of(eyes, p, truth) for p in predicted.values()]).mean()
            optimizer.zero_grad(set_to_none=True)
            loss.backward()
            nn.utils.clip_grad_norm_(eyes.parameters(), 1.0)
            optimizer.step()
            _average(mean, eyes, min(0.998, (step + 1) / (step + 10)))
            smooth = (
                float(loss.detach()) if not smooth else 0.98 * smooth + 0.02 * float(loss.detach())
            )
            bar.update(task, advance=1, note=f"loss {smooth:.3f}")
            if (step + 1) % 100 == 0:
                spent = time.monotonic() - began
                console.say(f"eyes {step + 1}/{steps} loss {smooth:.3f} {spent:.0f} s")
            if (step + 1) % 200 == 0 or step + 1 == steps:
                _save(checkpoint, eyes, mean, optimizer, step + 1)
    return mean.eval()


def averaged(several: Sequence[Eyes]) -> Eyes:
    """Eyes with the mean of the weights of eyes that began alike (Wortsman et al. 2022).

    Each has learned other accidents of the training scenes by heart; the mean has forgotten most.
    """
    mean = Eyes()
    states = [eyes.state_dict() for eyes in several]
    mean.load_state_dict(
        {key: torch.stack([state[key] for state in states]).mean(dim=0) for key in states[0]}
    )
    return mean.eval()


def canvas_frames(canvas: NDArray[np.uint8]) -> Iterator[NDArray[np.uint8]]:
    """The four tiles and the thumbnail of a canvas, as the processor cuts them: (TILE, TILE, 3)."""
    for top in (0, TILE):
        for left in (0, TILE):
            yield canvas[top : top + TILE, left : left + TILE]
    small = Image.fromarray(canvas).resize((TILE, TILE), Image.Resampling.LANCZOS)
    yield np.asarray(small, dtype=np.uint8)


def _batch(
    images: NDArray[np.uint8],
    thumbnails: NDArray[np.uint8],
    rows: NDArray[np.float32],
    size: int,
    draw: tuple[int, bool],
    step: int,
) -> tuple[Tensor, Tensor, Tensor]:
    seed, recolour = draw
    per_epoch = len(images) // size
    epoch, index = divmod(step, per_epoch)
    order = np.random.default_rng([seed, 1 + recolour, epoch]).permutation(len(images))
    chosen = np.sort(order[index * size : (index + 1) * size])
    rng = np.random.default_rng([seed, 4 + recolour, step])
    tiles = np.empty((size, TILE, TILE, 3), dtype=np.uint8)
    small = thumbnails[chosen]
    truth = rows[chosen].copy()
    for place, number in enumerate(chosen):
        # Steps of eight: where the blocks of a JPEG lie within a tile is worth knowing.
        top, left = (8 * int(v) for v in rng.integers(0, (CANVAS - TILE) // 8 + 1, 2))
        tiles[place] = images[number, top : top + TILE, left : left + TILE]
        if rng.random() < 0.5:
            tiles[place] = tiles[place][:, ::-1]
            small[place] = small[place][:, ::-1]
            truth[place, _FLIPPED] *= -1
            truth[place, _MIRRORED] = 1 - truth[place, _MIRRORED]
    matrices, swapped = _colour_changes(size, rng)
    if not recolour:
        matrices[:], swapped[:] = np.eye(3), False
    truth[np.ix_(swapped, _HUES)] = np.nan
    change = torch.from_numpy(matrices)
    return (
        _changed(torch.from_numpy(tiles).permute(0, 3, 1, 2), change)[:, None],
        _changed(torch.from_numpy(np.ascontiguousarray(small)).permute(0, 3, 1, 2), change),
        torch.from_numpy(truth),
    )


def _colour_changes(
    count: int, rng: np.random.Generator
) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """Matrices that change colours, (count, 3, 3), and which of them change hues for others.

    A few dozen scenes can be learned by heart: their colours, too. Slight gains and saturation as
    between cameras, and channels that change places in a third of all cases, leave faults what
    they are and make every scene many scenes.
    """
    gains = np.exp(rng.normal(0, 0.045, (count, 3)) + rng.normal(0, 0.06, (count, 1)))
    saturation = np.exp(rng.normal(0, 0.12, (count, 1, 1)))
    swapped = rng.random(count) < 0.35
    matrices = np.empty((count, 3, 3), dtype=np.float32)
    for number in range(count):
        order = rng.permutation(3) if swapped[number] else np.arange(3)
        matrices[number] = gains[number, :, None] * np.eye(3)[order]
    mix = saturation * np.eye(3) + (1 - saturation) / 3
    return (mix @ matrices).astype(np.float32), swapped


def _changed(frames: Tensor, matrices: Tensor) -> Tensor:
    """Frames, (n, 3, h, w) 0–255, with their colours changed by a matrix each."""
    changed = torch.bmm(matrices, frames.float().flatten(2)).view(frames.shape)
    return changed.clamp_(0, 255)


def thumbnails_of(images: NDArray[np.uint8], folder: Path) -> NDArray[np.uint8]:
    """The thumbnails of canvases, (n, TILE, TILE, 3), made once and kept in the folder."""
    path = folder / "thumbnails.npy"
    if not path.exists():
        part = path.with_suffix(".part.npy")
        small = np.lib.format.open_memmap(
            part, mode="w+", dtype=np.uint8, shape=(len(images), TILE, TILE, 3)
        )
        for number, canvas in enumerate(images):
            *_, small[number] = canvas_frames(canvas)
        small.flush()
        part.replace(path)
    loaded: NDArray[np.uint8] = np.load(path, mmap_mode="r")
    return loaded


def _filters() -> Tensor:
    """Starting filters, (hidden, 3, PATCH, PATCH), whose outputs on photos are about equally large.

    Slow cosines of light and colour over the whole patch, and cosines of all frequencies on
    windows of 8 and 4 pixels, scaled by frequency: photos' amplitudes fall with it (Field 1987).
    """
    rng = np.random.default_rng(0)
    count = config_of("pocket-a", 100).vision_config.hidden_size
    luma = np.array([0.299, 0.587, 0.114])
    opponents = (np.array([0.5, -0.42, -0.08]), np.array([-0.17, -0.33, 0.5]))
    filters = []
    for u in range(5):
        for v in range(5 - u):
            filters.append(luma[:, None, None] * _cosine(PATCH, u, v, 1.0 + 2.2 * (u + v)))
    for opponent in opponents:
        for u, v in ((0, 0), (0, 1), (1, 0)):
            filters.append(opponent[:, None, None] * _cosine(PATCH, u, v, 3.0 + 4.0 * (u + v)))
    while len(filters) < count:
        side = 8 if rng.random() < 0.6 else 4
        u, v = (int(n) for n in rng.integers(0, side, 2))
        if u + v == 0:
            continue
        top, left = (int(n) for n in rng.integers(0, PATCH - side + 1, 2))
        window = np.zeros((PATCH, PATCH))
        frequency = (u + v) * 8 / side
        window[top : top + side, left : left + side] = _cosine(side, u, v, 1.5 + 2.5 * frequency)
        filters.append(luma[:, None, None] * window)
    return torch.tensor(np.stack(filters), dtype=torch.float32)


def _cosine(side: int, u: int, v: int, gain: float) -> NDArray[np.float64]:
    place = (np.arange(side) + 0.5) * np.pi / side
    wave = np.outer(np.cos(u * place), np.cos(v * place))
    scaled: NDArray[np.float64] = wave / np.linalg.norm(wave) / side * gain
    return scaled


def _rate(step: int, steps: int, rate: float) -> float:
    warm = min(1.0, (step + 1) / 100)
    return rate * warm * 0.5 * (1 + math.cos(math.pi * step / steps))


def _average(mean: nn.Module, model: nn.Module, keep: float) -> None:
    with torch.no_grad():
        for old, new in zip(mean.parameters(), model.parameters(), strict=True):
            old.lerp_(new, 1 - keep)


def _save(path: Path, eyes: Eyes, mean: Eyes, optimizer: Any, step: int) -> None:
    part = path.with_suffix(".part")
    torch.save(
        {
            "eyes": eyes.state_dict(),
            "mean": mean.state_dict(),
            "optimizer": optimizer.state_dict(),
            "step": step,
        },
        part,
    )
    part.replace(path)
