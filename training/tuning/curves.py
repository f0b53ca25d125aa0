"""A run's curves as pictures: loss and retrieval over steps, or epochs, drawn by Pillow."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont

Points = list[tuple[float, float]]

_WIDTH, _HEIGHT = 960, 540
_LEFT, _RIGHT, _TOP, _BOTTOM = 90, 30, 56, 60
_INK, _GRID = (60, 60, 60), (225, 225, 225)
_COLOURS = ((31, 119, 180), (214, 39, 40), (44, 160, 44))


def write_curves(records: Sequence[dict[str, float]], folder: Path) -> list[Path]:
    """Write ``loss.png`` and ``retrieval.png`` where there is something to draw.

    Args:
        records: windows (`step`, `loss`) and epochs (`epoch`, `train_loss`, `val_loss`, `val_r1`,
            `val_r1_text`, and `step` where there are windows).
        folder: an existing folder.

    Returns:
        The pictures written.
    """
    windows = any("epoch" not in record for record in records)
    axis = "step" if windows else "epoch"
    pictures = (
        (
            "loss.png",
            "Loss",
            {
                "training": _points(records, axis, "loss" if windows else "train_loss"),
                "validation": _points(records, axis, "val_loss"),
            },
            False,
        ),
        (
            "retrieval.png",
            "R@1 on validation photos",
            {
                "image → text": _points(records, axis, "val_r1"),
                "text → image": _points(records, axis, "val_r1_text"),
            },
            True,
        ),
    )
    written = []
    for name, title, lines, share in pictures:
        drawn = {label: points for label, points in lines.items() if points}
        if drawn:
            plot(title, axis, drawn, share=share).save(folder / name)
            written.append(folder / name)
    return written


def _points(records: Sequence[dict[str, float]], axis: str, name: str) -> Points:
    return [
        (record[axis], record[name])
        for record in records
        if axis in record and math.isfinite(record.get(name, math.nan))
    ]


def plot(title: str, axis: str, lines: dict[str, Points], *, share: bool) -> Image.Image:
    """Lines with axes, ticks and a legend.

    Args:
        title: above the picture.
        axis: what runs to the right.
        lines: name → points in their order; none empty.
        share: the values are shares, shown in per cent from 0.
    """
    xs = [x for points in lines.values() for x, _ in points]
    ys = [y for points in lines.values() for _, y in points]
    x_ticks = ticks(min(xs), max(xs))
    y_ticks = ticks(0.0 if share else min(ys), max(ys))
    image = Image.new("RGB", (_WIDTH, _HEIGHT), "white")
    pen = ImageDraw.Draw(image)
    font, small = ImageFont.load_default(22), ImageFont.load_default(16)

    def place(x: float, y: float) -> tuple[float, float]:
        right = (x - x_ticks[0]) / (x_ticks[-1] - x_ticks[0])
        up = (y - y_ticks[0]) / (y_ticks[-1] - y_ticks[0])
        across, down = _WIDTH - _LEFT - _RIGHT, _HEIGHT - _TOP - _BOTTOM
        return _LEFT + right * across, _HEIGHT - _BOTTOM - up * down

    for y in y_ticks:
        start, end = place(x_ticks[0], y), place(x_ticks[-1], y)
        pen.line([start, end], fill=_GRID)
        label = f"{y:.0%}" if share and y_ticks[-1] >= 0.05 else f"{y:.4g}"
        pen.text((start[0] - 8, start[1]), label, fill=_INK, font=small, anchor="rm")
    for x in x_ticks:
        at = place(x, y_ticks[0])
        pen.line([at, (at[0], at[1] + 5)], fill=_INK)
        pen.text((at[0], at[1] + 8), f"{x:,.4g}", fill=_INK, font=small, anchor="ma")
    pen.text((_LEFT, 16), title, fill=_INK, font=font)
    pen.text((_WIDTH - _RIGHT, _HEIGHT - 10), axis, fill=_INK, font=small, anchor="rs")
    right = float(_WIDTH - _RIGHT)
    for (name, points), colour in reversed(list(zip(lines.items(), _COLOURS, strict=False))):
        spots = [place(x, y) for x, y in points]
        pen.line(spots, fill=colour, width=2, joint="curve")
        if len(spots) <= 60:
            for x, y in spots:
                pen.ellipse((x - 3, y - 3, x + 3, y + 3), fill=colour)
        right -= pen.textlength(name, font=small)
        pen.text((right, 22), name, fill=colour, font=small)
        right -= 24
    return image


def ticks(low: float, high: float) -> list[float]:
    """Three to seven round numbers, evenly spaced, from `low` or below to `high` or above."""
    if high <= low:
        low, high = low - 0.5, high + 0.5
    raw = (high - low) / 5
    size = 10.0 ** math.floor(math.log10(raw))
    step = next(size * m for m in (1, 2, 5, 10) if size * m >= raw)
    first, last = math.floor(low / step), math.ceil(high / step)
    return [number * step for number in range(first, last + 1)]
