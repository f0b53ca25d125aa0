"""`uniqa-train pretrain`: parses, calls, prints."""

from __future__ import annotations

from math import isfinite
from pathlib import Path
from typing import Annotated

import typer

from training.options import CacheOption, OverwriteOption, SeedOption
from uniqa.console import print_json, say


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
    from training.commands.pretrain import last_validation

    trained, history = work.pretrain(rows, config, cache or default_cache())
    save_model(trained, out)
    kept = last_validation(history)
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


def _plain(values: dict[str, float]) -> dict[str, float | None]:
    return {name: value if isfinite(value) else None for name, value in values.items()}
