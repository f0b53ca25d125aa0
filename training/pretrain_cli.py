"""`uniqa-train pretrain`: parses, calls, prints."""

from __future__ import annotations

import os
from math import isfinite
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from training.options import CacheOption, OverwriteOption, SeedOption, refuse_idle
from uniqa.console import print_json, say

if TYPE_CHECKING:
    from training.config import PretrainConfig


def pretrain(
    context: typer.Context,
    manifest: Annotated[Path, typer.Argument(help="Manifest from uniqa-curate filter.")],
    out: Annotated[Path, typer.Option("--out", help="Model directory to write.")],
    model: Annotated[
        str, typer.Option("--model", help="compact, or a Hugging Face CLIP/SigLIP id or folder.")
    ] = "compact",
    towers: Annotated[
        str,
        typer.Option(
            "--towers",
            help="frozen, tuned, frozen-image or frozen-text [default: frozen for compact, else "
            "tuned].",
        ),
    ] = "",
    epochs: Annotated[int, typer.Option("--epochs", help="0: 30 frozen, 5 tuned.")] = 0,
    lr: Annotated[
        float, typer.Option("--lr", help="0: 3e-3 frozen, 5e-6 tuned, 1e-4 with --lora.")
    ] = 0.0,
    weight_decay: Annotated[float, typer.Option("--weight-decay")] = 0.2,
    batch_size: Annotated[
        int, typer.Option("--batch-size", help="Photos contrasted with one another.")
    ] = 64,
    dim: Annotated[int, typer.Option("--dim", help="Shared embedding of compact.")] = 256,
    loss: Annotated[
        str,
        typer.Option("--loss", help="clip (InfoNCE), soft (MOS-aware targets), sigmoid (SigLIP)."),
    ] = "clip",
    beta: Annotated[
        float, typer.Option("--beta", help="Of soft: weight of photos rated alike.")
    ] = 0.1,
    sigma: Annotated[
        float, typer.Option("--sigma", help="Of soft: width of alike, 0–1 scale.")
    ] = 0.05,
    captions_per_photo: Annotated[
        int, typer.Option("--captions-per-photo", help="In one batch, all positive.")
    ] = 1,
    weigh: Annotated[
        str, typer.Option("--caption-weights", help="Weigh the draw, or the loss of the pair.")
    ] = "draw",
    seed: SeedOption = 0,
    chunk: Annotated[
        int,
        typer.Option(
            "--chunk", help="Tuned: photos per forward, gradients cached; 0: the whole batch."
        ),
    ] = 0,
    precision: Annotated[
        str, typer.Option("--precision", help="Tuned: fp32, or bf16 autocast.")
    ] = "fp32",
    recompute: Annotated[
        bool, typer.Option("--recompute", help="Tuned: gradient checkpointing, less memory.")
    ] = False,
    layer_decay: Annotated[
        float, typer.Option("--layer-decay", help="Tuned: factor of the lr per layer downwards.")
    ] = 1.0,
    lora: Annotated[
        int, typer.Option("--lora", help="Tuned: rank of low-rank matrices; 0: whole towers.")
    ] = 0,
    warmup: Annotated[
        float, typer.Option("--warmup", help="Tuned: share of the steps in which lr rises.")
    ] = 0.0,
    ema: Annotated[
        float, typer.Option("--ema", help="Tuned: keep the weights' average, like 0.999.")
    ] = 0.0,
    resume: Annotated[
        bool,
        typer.Option("--resume", help="Insist on a checkpoint in --out; one that fits is used."),
    ] = False,
    checkpoint_every: Annotated[
        int, typer.Option("--checkpoint-every", help="Steps between checkpoints; 0: by time.")
    ] = 0,
    checkpoint_minutes: Annotated[
        float, typer.Option("--checkpoint-minutes", help="Minutes between checkpoints.")
    ] = 10.0,
    workers: Annotated[int, typer.Option("--workers", help="Threads that read photos.")] = 2,
    pixel_cache: Annotated[
        float, typer.Option("--pixel-cache", help="GiB of decoded photos kept in the cache.")
    ] = 8.0,
    tensorboard: Annotated[
        bool, typer.Option("--tensorboard", help="Write TensorBoard curves into --out.")
    ] = False,
    cache: CacheOption = None,
    overwrite: OverwriteOption = False,
    as_json: Annotated[bool, typer.Option("--json", help="Facts on stdout as JSON.")] = False,
) -> None:
    """Bring photos and their captions into one space."""
    from training.config import PretrainConfig, RunConfig

    config = PretrainConfig(
        model=model,
        towers=towers,
        epochs=epochs,
        lr=lr,
        weight_decay=weight_decay,
        batch_size=batch_size,
        dim=dim,
        loss=loss,
        beta=beta if loss == "soft" else 0.0,
        sigma=sigma,
        captions_per_photo=captions_per_photo,
        weigh=weigh,
        seed=seed,
        chunk=chunk,
        precision=precision,
        recompute=recompute,
        layer_decay=layer_decay,
        lora=lora,
        warmup=warmup,
        ema=ema,
    )
    refuse_idle(context, _idle(config))
    run = RunConfig(
        out=out,
        resume=resume,
        overwrite=overwrite,
        checkpoint_steps=checkpoint_every,
        checkpoint_minutes=checkpoint_minutes,
        workers=workers,
        pixel_cache_gib=pixel_cache,
        tensorboard=tensorboard,
    )
    from training import commands as work
    from training.commands.pretrain import check_place, last_validation
    from training.data import read_manifest
    from training.features import default_cache
    from training.model import save_model
    from training.tuning.curves import write_curves

    check_place(config, run)
    rows = read_manifest(manifest)
    trained, history = work.pretrain(rows, config, cache or default_cache(), run)
    if not first_process():
        return
    save_model(trained, out)
    write_curves(history.records, out)
    kept = last_validation(history)
    photos = trained.provenance["photos"]
    validation = (
        f"kept {history.kept}); validation: loss {kept['val_loss']:.3f}, R@1 image→text "
        f"{kept['val_r1']:.1%}, text→image {kept['val_r1_text']:.1%} of {photos['val']}"
        if photos["val"]
        else "the last one kept: no photo in the val split to choose by)"
    )
    say(
        f"pre-trained on {photos['train']} photos ({config.epochs_used} epochs, {validation}; "
        f"model in {out}"
    )
    if as_json:
        print_json({"out": str(out), "kept": _plain(kept), "provenance": trained.provenance})


def _idle(config: PretrainConfig) -> dict[str, tuple[str, str]]:
    idle = {}
    if config.loss != "soft":
        for name in ("beta", "sigma"):
            idle[name] = (f"--{name}", "Add --loss soft, or leave it out")
    if config.model != "compact":
        idle["dim"] = ("--dim", f"{config.model} has a space of its own: leave it out")
    if not config.tuned:
        for name in ("checkpoint_every", "checkpoint_minutes", "workers", "pixel_cache"):
            option = "--" + name.replace("_", "-")
            idle[name] = (option, "It is for towers that learn: add --towers tuned")
    return idle


def first_process() -> bool:
    """Whether this one writes and speaks; `torchrun` may have started others."""
    return os.environ.get("RANK", "0") == "0"


def _plain(values: dict[str, float]) -> dict[str, float | None]:
    return {name: value if isfinite(value) else None for name, value in values.items()}
