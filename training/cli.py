"""`uniqa-train`: parses, calls, prints.

Only words live here; heavy libraries are imported inside commands so that --help is quick.
"""

from __future__ import annotations

from math import isfinite
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Optional

import typer

from uniqa.console import print_json, print_table, run, say, warn, warn_each

if TYPE_CHECKING:
    from training.evaluate import Report
    from training.score import Scored
    from uniqa.levels import Scale

app = typer.Typer(
    help="Learn from trusted captions, adapt to a few ratings, score photos.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)

CacheOption = Annotated[
    Optional[Path],  # noqa: UP045 - typer reads this at run time
    typer.Option("--cache", help="Folder of stored features [default: the user's cache folder]."),
]
RootOption = Annotated[
    Optional[Path],  # noqa: UP045
    typer.Option("--images-root", help="Folder that image names are relative to."),
]
RatingsOption = Annotated[
    Path, typer.Option("--ratings", help="Ratings table, or a manifest.", show_default=False)
]
ScaleOption = Annotated[
    str, typer.Option("--scale", help="Ends of the rating scale, WORST:BEST, like 1:5.")
]
TaskOption = Annotated[
    str, typer.Option("--task", help="quality or aesthetic [default: the table's, the model's].")
]
ImageColumn = Annotated[str, typer.Option("--image-column", help="Column with the image names.")]
ScoreColumn = Annotated[str, typer.Option("--score-column", help="Column with the scores.")]
SeedOption = Annotated[int, typer.Option("--seed", help="Same seed, same result.")]
OverwriteOption = Annotated[bool, typer.Option("--overwrite", help="Replace a model in --out.")]


def main() -> None:
    """Entry point of the console script."""
    run(app, "uniqa-train")


@app.command()
def pretrain(
    manifest: Annotated[Path, typer.Argument(help="Manifest from uniqa-curate filter.")],
    out: Annotated[Path, typer.Option("--out", help="Model directory to write.")],
    model: Annotated[
        str, typer.Option("--model", help="compact, or a Hugging Face CLIP/SigLIP id or folder.")
    ] = "compact",
    towers: Annotated[
        str, typer.Option("--towers", help="frozen or tuned [default: frozen for compact].")
    ] = "",
    epochs: Annotated[int, typer.Option("--epochs", help="0: 30 frozen, 5 tuned.")] = 0,
    lr: Annotated[float, typer.Option("--lr", help="0: 3e-3 frozen, 5e-6 tuned.")] = 0.0,
    weight_decay: Annotated[float, typer.Option("--weight-decay")] = 0.2,
    batch_size: Annotated[int, typer.Option("--batch-size")] = 64,
    dim: Annotated[int, typer.Option("--dim", help="Shared embedding of compact.")] = 256,
    loss: Annotated[
        str, typer.Option("--loss", help="clip (InfoNCE) or soft (MOS-aware targets).")
    ] = "clip",
    beta: Annotated[float, typer.Option("--beta", help="Weight of photos rated alike.")] = 0.1,
    sigma: Annotated[float, typer.Option("--sigma", help="Width of alike, 0–1 scale.")] = 0.05,
    seed: SeedOption = 0,
    cache: CacheOption = None,
    overwrite: OverwriteOption = False,
    as_json: Annotated[bool, typer.Option("--json", help="Facts on stdout as JSON.")] = False,
) -> None:
    """Bring photos and their captions into one space."""
    from training.config import PretrainConfig
    from training.data import read_manifest
    from training.features import default_cache
    from training.model import new_directory, save_model
    from uniqa.errors import UsageError, nearest

    if loss not in ("soft", "clip"):
        raise UsageError(f"no --loss '{loss}'", nearest(loss, ("soft", "clip")))
    config = PretrainConfig(
        model=model,
        towers=towers,
        epochs=epochs,
        lr=lr,
        weight_decay=weight_decay,
        batch_size=batch_size,
        dim=dim,
        beta=0.0 if loss == "clip" else beta,
        sigma=sigma,
        seed=seed,
    )
    new_directory(out, overwrite=overwrite)
    rows = read_manifest(manifest)
    from training import commands as work

    trained, history = work.pretrain(rows, config, cache or default_cache())
    save_model(trained, out)
    kept = work.last_validation(history)
    photos = trained.provenance["photos"]
    validation = (
        f"kept {history.kept}); validation: loss {kept['val_loss']:.3f}, own caption nearest "
        f"(R@1) {kept['val_r1']:.1%} of {photos['val']}"
        if photos["val"]
        else "the last one kept: no photo in the val split to choose by)"
    )
    say(
        f"pre-trained on {photos['train']} photos ({config.epochs_used} epochs, {validation}; "
        f"model in {out}"
    )
    if as_json:
        print_json({"out": str(out), "kept": _plain(kept), "provenance": trained.provenance})


@app.command()
def adapt(
    directory: Annotated[Path, typer.Argument(metavar="DIR", help="Pre-trained model.")],
    ratings: RatingsOption,
    out: Annotated[Path, typer.Option("--out", help="Model directory to write.")],
    labels: Annotated[int, typer.Option("--labels", help="Ratings to draw; 0: all.")] = 0,
    method: Annotated[
        str, typer.Option("--method", help="auto, ridge, fused or adapter.")
    ] = "auto",
    epochs: Annotated[int, typer.Option("--epochs", help="Of the adapter.")] = 30,
    lr: Annotated[float, typer.Option("--lr", help="Of the adapter.")] = 2e-4,
    scale: ScaleOption = "",
    task: TaskOption = "",
    image_column: ImageColumn = "",
    score_column: ScoreColumn = "",
    images_root: RootOption = None,
    seed: SeedOption = 0,
    cache: CacheOption = None,
    overwrite: OverwriteOption = False,
    as_json: Annotated[bool, typer.Option("--json", help="Facts on stdout as JSON.")] = False,
) -> None:
    """Learn a head from a few ratings."""
    from training.config import AdaptConfig
    from training.features import default_cache
    from training.model import load_model, new_directory, save_model

    config = AdaptConfig(method=method, labels=labels, epochs=epochs, lr=lr, seed=seed)
    new_directory(out, overwrite=overwrite)
    rated = _rated(ratings, image_column, score_column, images_root, scale, task)
    from training import commands as work

    model, head = work.adapt(load_model(directory), rated, config, cache or default_cache())
    save_model(model, out)
    say(f"adapted to {head.facts['labels']} ratings by {head.method}; model in {out}")
    if as_json:
        print_json({"out": str(out), "method": head.method, **head.facts})


@app.command()
def evaluate(
    directory: Annotated[Path, typer.Argument(metavar="DIR", help="Pre-trained model.")],
    ratings: RatingsOption,
    labels: Annotated[str, typer.Option("--labels", help="Budgets, like 50,100,200.")] = "",
    draws: Annotated[int, typer.Option("--draws", help="Draws per budget.")] = 10,
    test_fraction: Annotated[
        float, typer.Option("--test-fraction", help="Held back where the table has no splits.")
    ] = 0.3,
    bootstrap: Annotated[int, typer.Option("--bootstrap", help="Resamples of groups.")] = 1000,
    scale: ScaleOption = "",
    task: TaskOption = "",
    image_column: ImageColumn = "",
    score_column: ScoreColumn = "",
    images_root: RootOption = None,
    seed: SeedOption = 0,
    cache: CacheOption = None,
    as_json: Annotated[bool, typer.Option("--json", help="All numbers as JSON.")] = False,
) -> None:
    """Compare zero-shot, ridge, fused, adapter and auto on photos none of them has seen."""
    from training.config import AdaptConfig, EvaluateConfig, parse_labels
    from training.features import default_cache
    from training.model import load_model

    config = EvaluateConfig(
        labels=parse_labels(labels),
        draws=draws,
        test_fraction=test_fraction,
        bootstrap=bootstrap,
        seed=seed,
    )
    rated = _rated(ratings, image_column, score_column, images_root, scale, task)
    model = load_model(directory)
    from training import commands as work

    report, facts = work.evaluate(
        model, rated, config, AdaptConfig(seed=seed), cache or default_cache()
    )
    if as_json:
        print_json(facts | report.as_json())
    else:
        _print_report(report, facts)


@app.command()
def score(
    directory: Annotated[Path, typer.Argument(metavar="DIR", help="Model.")],
    images: Annotated[list[Path], typer.Argument(help="Photos, folders or tables.")],
    out: Annotated[Path, typer.Option("-o", "--out", help="CSV to write.")] = Path("scores.csv"),
    scale: Annotated[
        str, typer.Option("--scale", help="Scores on WORST:BEST instead of 0–1, like 1:5.")
    ] = "",
    show: Annotated[int, typer.Option("--show", min=0, help="Print the K best and K worst.")] = 0,
    manifest: Annotated[
        Optional[Path],  # noqa: UP045
        typer.Option("--manifest", help="Where --show takes a caption of each photo from."),
    ] = None,
    task: Annotated[str, typer.Option("--task", help="Whose cues to report.")] = "",
    images_root: RootOption = None,
    cache: CacheOption = None,
    as_json: Annotated[bool, typer.Option("--json", help="The rows as JSON too.")] = False,
) -> None:
    """Score photos into a CSV; exit code 1 only if none could be scored."""
    from training.cues import cue_names
    from training.data import find_images, read_manifest
    from training.score import Scorer, check_output, write_csv
    from uniqa.levels import Scale

    ends = Scale.parse(scale) if scale else Scale(0.0, 1.0)
    check_output(out)
    paths = find_images(images, images_root)
    captions = {}
    if manifest is not None:
        listed = read_manifest(manifest)
        captions = dict(zip(listed.ids, listed.captions, strict=True))
    scorer = Scorer.load(directory, task=task, cache=cache)
    results = scorer.score(paths)
    warn_each([f"{result.image}: {result.error}" for result in results if result.error])
    write_csv(out, results, cue_names(scorer.task), ends)
    done = [result for result in results if result.score is not None]
    say(f"scored {len(done)} of {len(results)} photos by {scorer.method}; {out}")
    if show and not as_json:
        told = {i: max(c, key=lambda x: x.weight).text for i, c in captions.items() if c}
        _print_best_and_worst(done, show, ends, told, with_captions=manifest is not None)
    if as_json:
        print_json([_row(result, ends) for result in results])
    if not done:
        raise typer.Exit(1)


def _rated(
    path: Path,
    image_column: str,
    score_column: str,
    images_root: Path | None,
    scale: str,
    task: str,
) -> Any:
    from training.data import read_rated
    from uniqa.levels import Scale

    return read_rated(
        path,
        image_column=image_column or None,
        score_column=score_column or None,
        images_root=images_root,
        scale=Scale.parse(scale) if scale else None,
        task=task,
    )


def _print_report(report: Report, facts: dict[str, Any]) -> None:
    def shown(estimate: Any) -> str:
        return f"{estimate.value:.3f} [{estimate.low:.3f}, {estimate.high:.3f}]"

    columns = ["method", "SRCC", "PLCC", "KRCC", "RMSE", "pairs right"]
    rows = []
    for method, metrics in report.full.items():
        name = method
        if method == "auto":
            name = f"auto ({next(iter(report.chosen))})"
        rows.append([name, *(shown(estimate) for estimate in metrics.values())])
    print_table(
        f"{facts['task']}: {report.train} labels, tested on {report.test} photos in "
        f"{report.test_groups} groups never learned from, 95 % intervals over groups",
        columns,
        rows,
        right=columns[1:],
    )
    if report.budgets:
        methods = list(report.full)
        lines = []
        for budget, values in report.budgets.items():
            draws = int(max(v["draws"] for v in values.values()))
            cells = []
            for method in methods:
                v = values[method]
                sd = "" if not isfinite(v["sd"]) else f" ± {v['sd']:.3f}"
                cells.append(f"{v['srcc']:.3f}{sd}")
            picks = ", ".join(f"{m} {n}×" for m, n in report.auto_picks[budget].items())
            lines.append([budget, str(draws), *cells, picks])
        print_table(
            "SRCC by number of labels, mean ± sd over draws",
            ["labels", "draws", *methods, "auto picked"],
            lines,
            right=["labels", "draws", *methods],
        )
    for budget, count in report.skipped.items():
        warn(f"{count} draws of {budget} labels left out: their ratings were all the same")
    say(f"auto: {report.why}", "dim")


def _print_best_and_worst(
    done: list[Scored], count: int, scale: Scale, captions: dict[str, str], *, with_captions: bool
) -> None:
    ranked = sorted(done, key=lambda r: (-(r.score or 0.0), str(r.image)))
    best = ranked[:count]
    worst = ranked[max(count, len(ranked) - count) :]
    columns = ["", "photo", "score", "level", *(["caption"] if with_captions else [])]
    rows = [
        [
            which,
            result.image.name,
            f"{float(scale.restore(result.score or 0.0)):.3f}",
            result.level,
            *([captions.get(result.image_id, "–")] if with_captions else []),
        ]
        for which, part in (("best", best), ("worst", worst))
        for result in part
    ]
    print_table("Best and worst", columns, rows, right=["score"])


def _row(result: Scored, scale: Scale) -> dict[str, Any]:
    value = None if result.score is None else round(float(scale.restore(result.score)), 6)
    return {
        "image": str(result.image),
        "image_id": result.image_id,
        "score": value,
        "level": result.level,
        "cues": {name: round(v, 6) for name, v in result.cues.items()},
        "error": result.error,
    }


def _plain(values: dict[str, float]) -> dict[str, float | None]:
    return {name: value if isfinite(value) else None for name, value in values.items()}
