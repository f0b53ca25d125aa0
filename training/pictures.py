"""Two pictures of an evaluation: scores against ratings, and agreement by number of labels.

Colours are those of Okabe & Ito (2008), which people with colour-blindness tell apart; lines differ
in marker and dash too. Must not know how a number was made.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from training.logistic import Curve
from training.metrics import Estimate
from uniqa.errors import InputError
from uniqa.levels import Scale

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Values = NDArray[np.float64]

_BLUE, _ORANGE, _INK, _FAINT = "#0072B2", "#D55E00", "#222222", "#8A8A8A"
_COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
_MARKERS = "osD^vPXp"
_DASHES: tuple[Any, ...] = ("-", (0, (5, 1.5)), (0, (1, 1)), (0, (4, 1, 1, 1)), (0, (7, 2)))
_DPI = 160


@dataclass(frozen=True)
class Scatter:
    """What `draw_scatter` shows; scores and ratings (n,) unified."""

    method: str
    scores: Values
    truth: Values
    scale: Scale
    srcc: Estimate
    curve: Curve | None = None
    half_width: float | None = None
    confidence: float = 0.9


def check_installed() -> None:
    """Before the work: pictures can be drawn.

    Raises:
        InputError: matplotlib is not installed.
    """
    _figure(1, 1)


def draw_scatter(data: Scatter, path: Path) -> None:
    """One point per test photo: its score and its mean rating, on the rated scale.

    Raises:
        InputError: matplotlib is not installed.
    """
    scale = data.scale
    figure, axes = _figure(6.4, 6.7)
    x, y = scale.restore(data.scores), scale.restore(data.truth)
    ends = [scale.worst, scale.best]
    axes.plot(ends, ends, color=_FAINT, lw=1, ls=(0, (2, 3)), zorder=1)
    if data.half_width is not None:
        reach = data.half_width * scale.width
        low, high = min(ends), max(ends)
        line = np.linspace(low, high, 200)
        axes.fill_between(
            line,
            np.clip(line - reach, low, high),
            np.clip(line + reach, low, high),
            color=_BLUE,
            alpha=0.08,
            lw=0,
            zorder=0,
            label=f"{data.confidence:.0%} interval of single photos",
        )
    size = float(np.clip(2600 / max(len(x), 1), 5, 34))
    axes.scatter(x, y, s=size, color=_BLUE, alpha=0.55, edgecolors="white", linewidths=0.4)
    if data.curve is not None and data.curve.kind != "none":
        # Only where there are scores: beyond them the curve says nothing.
        reach_of = np.linspace(data.scores.min(), data.scores.max(), 200)
        axes.plot(
            scale.restore(reach_of),
            scale.restore(data.curve(reach_of)),
            color=_ORANGE,
            lw=2,
            label=f"{data.curve.kind} fitted on the labels",
        )
    _square(axes, scale)
    axes.set_xlabel(f"predicted score ({data.method})")
    axes.set_ylabel("mean rating")
    _title(
        axes,
        f"SRCC {data.srcc.value:.3f}  [{data.srcc.low:.3f}, {data.srcc.high:.3f}]",
        f"{len(x):,} test photos, none of them a label; 95 % interval over groups",
    )
    if axes.get_legend_handles_labels()[1]:
        axes.legend(frameon=False, loc="upper left", fontsize=9, labelcolor=_INK)
    _save(figure, path)


def _square(axes: Axes, scale: Scale) -> None:
    """The whole scale on both axes, worst at the origin; ticks on whole steps where few."""
    margin = 0.03 * (scale.best - scale.worst)
    ends = (scale.worst - margin, scale.best + margin)
    axes.set_xlim(*ends)
    axes.set_ylim(*ends)
    axes.set_aspect("equal")
    if 2 <= scale.width <= 12:
        ticks = np.arange(min(scale.worst, scale.best), max(scale.worst, scale.best) + 0.5)
        axes.set_xticks(ticks)
        axes.set_yticks(ticks)


def draw_labels(
    budgets: Mapping[str, Mapping[str, Mapping[str, float]]],
    path: Path,
    *,
    train: int,
    methods: Sequence[str],
    zero_shot: float | None = None,
    ceiling: Estimate | None = None,
    optimistic: str = "",
) -> None:
    """SRCC by number of labels, mean ± sd over draws, one line per method.

    Args:
        budgets: budget (a number, or ``all (n)``) → method → `srcc`, `sd`, `draws`.
        path: PNG to write.
        train: how many labels ``all`` means.
        methods: lines, in the order of the legend.
        zero_shot: SRCC without any label.
        ceiling: agreement of people.
        optimistic: the one of `methods` that was chosen on the test; drawn apart from the others.

    Raises:
        InputError: matplotlib is not installed.
    """
    figure, axes = _figure(8.0, 5.2)
    counts = [train if budget.startswith("all") else int(budget) for budget in budgets]
    shift = np.linspace(-0.03, 0.03, len(methods)) if len(methods) > 1 else [0.0]
    for number, method in enumerate(methods):
        means = np.array([budget[method]["srcc"] for budget in budgets.values()], dtype=float)
        spread = np.array([budget[method]["sd"] for budget in budgets.values()], dtype=float)
        apart = method == optimistic
        colour = _FAINT if apart else _COLOURS[number % len(_COLOURS)]
        at = np.array(counts) * np.exp(shift[number])
        axes.errorbar(
            at,
            means,
            yerr=np.nan_to_num(spread),
            color=colour,
            marker=_MARKERS[number % len(_MARKERS)],
            ls=_DASHES[number % len(_DASHES)],
            lw=1.8,
            ms=6,
            mfc="white" if apart else colour,
            capsize=3,
            elinewidth=1,
            label=f"{method} (optimistic)" if apart else method,
        )
    if ceiling is not None and np.isfinite(ceiling.value):
        _level(axes, ceiling.value, "human ceiling", _INK, (0, (6, 3)))
        if np.isfinite(ceiling.low):
            axes.axhspan(ceiling.low, ceiling.high, color=_FAINT, alpha=0.15, lw=0)
    if zero_shot is not None and np.isfinite(zero_shot):
        _level(axes, zero_shot, "no labels (zero-shot)", _FAINT, (0, (2, 2)))
    axes.set_xscale("log")
    axes.set_xticks(counts, [f"{count:,}" for count in counts])
    axes.minorticks_off()
    axes.set_xlim(min(counts) / 1.12, max(counts) * 1.12)
    axes.set_xlabel("ratings learned from (log scale)")
    axes.set_ylabel("SRCC on the test photos")
    most = int(max(v["draws"] for budget in budgets.values() for v in budget.values()))
    _title(
        axes, "Agreement by number of labels", f"mean ± sd over up to {most} draws of the labels"
    )
    axes.legend(frameon=False, loc="center left", bbox_to_anchor=(1.01, 0.5), fontsize=9.5)
    _save(figure, path)


def _level(axes: Axes, value: float, name: str, colour: str, dashes: Any) -> None:
    axes.axhline(value, color=colour, lw=1.2, ls=dashes, zorder=1, label=f"{name} {value:.3f}")


def _title(axes: Axes, head: str, below: str) -> None:
    axes.set_title(head, loc="left", pad=26, fontsize=13, weight="bold", color=_INK)
    axes.annotate(
        below,
        (0, 1),
        xytext=(0, 10),
        xycoords="axes fraction",
        textcoords="offset points",
        fontsize=9.5,
        color="#555555",
    )


def _figure(width: float, height: float) -> tuple[Figure, Axes]:
    try:
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
    except ImportError as error:
        raise InputError(
            "pictures need matplotlib, which is not installed", "pip install matplotlib"
        ) from error
    # Without pyplot: no window system, no state that outlives the picture.
    figure = Figure(figsize=(width, height), dpi=_DPI, facecolor="white")
    figure.set_layout_engine("constrained", w_pad=0.12, h_pad=0.12)
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    axes.spines[["top", "right"]].set_visible(False)
    axes.spines[["left", "bottom"]].set_color("#999999")
    axes.tick_params(colors="#444444", labelsize=9.5)
    axes.xaxis.label.set_color(_INK)
    axes.yaxis.label.set_color(_INK)
    axes.grid(color="#E6E6E6", lw=0.8)
    axes.set_axisbelow(True)
    return figure, axes


def _save(figure: Figure, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    # No date and no version inside: the same numbers give the same bytes.
    figure.savefig(path, format="png", metadata={"Software": None})
