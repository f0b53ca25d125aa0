"""What each command may be told, with its bounds; checked once, here, before any work.

Must not know how anything is done. A wrong value is a `UsageError` naming the option.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from pathlib import Path

from uniqa.errors import UsageError, nearest

METHODS = ("auto", "ridge", "adapter", "cues", "fused", "lora")
"""What `adapt` may learn; `auto` chooses among the others but `lora` inside the labels."""

PROTOCOLS = ("selection-free", "best-on-test")
"""What `evaluate` may keep: nothing chosen on the test, or also the epoch that is best there."""


def _need(right: bool, message: str) -> None:
    if not right:
        raise UsageError(message)


TOWERS = ("frozen", "tuned", "frozen-image", "frozen-text")
"""What learns: projections only; everything; everything but one tower (LiT, arXiv 2111.07991)."""


@dataclass(frozen=True, slots=True)
class PretrainConfig:
    """How the contrastive model is made: all that its weights depend on."""

    model: str = "compact"
    """`compact`, or a Hugging Face id or directory of a CLIP or SigLIP model."""
    towers: str = ""
    """One of `TOWERS`; with `frozen` on cached features, else on pixels.

    Empty: frozen for `compact`, tuned for others.
    """
    epochs: int = 0
    """Passes over the photos; 0: 30 with frozen towers, 5 with tuned ones (UniQA)."""
    lr: float = 0.0
    """Adam's step size; 0: the default of `lr_used`."""
    weight_decay: float = 0.2
    """AdamW's decay of weight matrices (UniQA)."""
    batch_size: int = 64
    """Photos contrasted with one another."""
    dim: int = 256
    """Length of the shared embedding of `compact`."""
    loss: str = "clip"
    """`clip`, `soft` or `sigmoid`; see `training.losses`."""
    beta: float = 0.0
    """Weight of photos with a similar score as further positives of `soft`; 0 is CLIP's loss."""
    sigma: float = 0.05
    """How near two unified scores must be to count as similar."""
    captions_per_photo: int = 1
    """Captions of a photo in one batch, all positive."""
    weigh: str = "draw"
    """Whether captions' weights weigh their `draw`, or the `loss` of their pair."""
    seed: int = 0
    """Same seed, same model, byte for byte, on one machine's CPU."""
    chunk: int = 0
    """Photos per forward of tuned towers, gradients cached; 0: the whole batch."""
    precision: str = "fp32"
    """`fp32`, or `bf16` for autocast."""
    recompute: bool = False
    """Gradient checkpointing."""
    layer_decay: float = 1.0
    """Factor of the learning rate per layer downwards."""
    lora: int = 0
    """Rank of low-rank matrices that learn in the towers' place; 0: none."""
    warmup: float = 0.0
    """Share of the steps in which the learning rate rises."""
    ema: float = 0.0
    """Decay of the weights' average that is kept in their place; 0: none."""

    def __post_init__(self) -> None:
        """Check every bound."""
        _need(self.epochs >= 0, f"--epochs is {self.epochs}; it must be 0 or more")
        _need(self.lr >= 0, f"--lr is {self.lr}; it must be 0 or more")
        _need(self.weight_decay >= 0, f"--weight-decay is {self.weight_decay}; it must be ≥ 0")
        _need(self.batch_size >= 2, f"--batch-size is {self.batch_size}; contrast needs 2 or more")
        _need(self.dim >= 2, f"--dim is {self.dim}; it must be 2 or more")
        _need(self.beta >= 0, f"--beta is {self.beta}; it must be 0 or more")
        _need(self.sigma > 0, f"--sigma is {self.sigma}; it must be above 0")
        _need(self.captions_per_photo >= 1, "--captions-per-photo must be 1 or more")
        _need(self.chunk >= 0, f"--chunk is {self.chunk}; it must be 0 or more")
        _need(0 < self.layer_decay <= 1, "--layer-decay must lie above 0 and be 1 or less")
        _need(self.lora >= 0, f"--lora is {self.lora}; it must be 0 or more")
        _need(0 <= self.warmup < 1, f"--warmup is {self.warmup}; it is a share, 0 to below 1")
        _need(0 <= self.ema < 1, f"--ema is {self.ema}; it must be 0 or more and below 1")
        for option, value, known in (
            ("--towers", self.towers or "tuned", TOWERS),
            ("--loss", self.loss, ("clip", "soft", "sigmoid")),
            ("--caption-weights", self.weigh, ("draw", "loss")),
            ("--precision", self.precision, ("fp32", "bf16")),
        ):
            if value not in known:
                raise UsageError(f"no {option} '{value}'", nearest(value, known))
        if not self.tuned:
            for option, name in _FOR_TUNED.items():
                if getattr(self, name) != _default(name):
                    raise UsageError(
                        f"{option} is for towers that learn", "Add --towers tuned, or leave it out"
                    )

    @property
    def tuned(self) -> bool:
        """Whether a tower learns."""
        return (self.towers or ("frozen" if self.model == "compact" else "tuned")) != "frozen"

    @property
    def tunes_image(self) -> bool:
        """Whether the photos' tower learns."""
        return self.tuned and self.towers != "frozen-image"

    @property
    def tunes_text(self) -> bool:
        """Whether the captions' tower learns."""
        return self.tuned and self.towers != "frozen-text"

    @property
    def epochs_used(self) -> int:
        """`epochs`, or the default for this kind of training."""
        return self.epochs or (5 if self.tuned else 30)

    @property
    def lr_used(self) -> float:
        """`lr`, or 3e-3 for projections, 1e-4 for LoRA, 5e-6 for whole towers (UniQA)."""
        return self.lr or ((1e-4 if self.lora else 5e-6) if self.tuned else 3e-3)


_FOR_TUNED = {
    "--chunk": "chunk",
    "--precision": "precision",
    "--recompute": "recompute",
    "--layer-decay": "layer_decay",
    "--lora": "lora",
    "--warmup": "warmup",
    "--ema": "ema",
}


def _default(name: str) -> object:
    return next(field.default for field in fields(PretrainConfig) if field.name == name)


@dataclass(frozen=True, slots=True)
class RunConfig:
    """How a tuning run is carried out: nothing here changes its weights."""

    out: Path | None = None
    """Model directory, in which checkpoints lie meanwhile; none: no checkpoints."""
    resume: bool = False
    """Insist on a checkpoint to go on from; without, one is used where it fits."""
    overwrite: bool = False
    """Start anew, whatever is there."""
    checkpoint_steps: int = 0
    """Steps between checkpoints; 0: by time alone."""
    checkpoint_minutes: float = 10.0
    """Minutes between checkpoints."""
    workers: int = 2
    """Threads that read photos ahead."""
    pixel_cache_gib: float = 8.0
    """Bound of the folder of decoded photos, in GiB."""
    tensorboard: bool = False
    """Write curves for TensorBoard as well."""

    def __post_init__(self) -> None:
        """Check every bound."""
        _need(self.checkpoint_steps >= 0, "--checkpoint-every must be 0 or more")
        _need(self.checkpoint_minutes > 0, "--checkpoint-minutes must be above 0")
        _need(self.workers >= 1, "--workers must be 1 or more")
        _need(self.pixel_cache_gib >= 0, "--pixel-cache must be 0 or more")


@dataclass(frozen=True, slots=True)
class AdaptConfig:
    """How a head is learned from ratings."""

    method: str = "auto"
    """One of `METHODS`."""
    labels: int = 0
    """How many ratings may be used, drawn by seed; 0: all."""
    epochs: int = 0
    """Passes over the ratings of `adapter` and `lora`; 0: the default of `epochs_used`."""
    lr: float = 0.0
    """Adam's step size of `adapter` and `lora`; 0: the default of `lr_used`."""
    batch_size: int = 8
    """Photos per step of `adapter` (UniQA) and `lora`."""
    seed: int = 0
    """Seed of the draw, of folds and of what starts at random."""
    lora_rank: int = 0
    """Rank of the low-rank matrices of `lora`; 0: 4."""

    def __post_init__(self) -> None:
        """Check every bound."""
        if self.method not in METHODS:
            raise UsageError(f"no --method '{self.method}'", nearest(self.method, METHODS))
        _need(self.labels == 0 or self.labels >= 2, f"--labels is {self.labels}; use 2 or more")
        _need(self.epochs >= 0, f"--epochs is {self.epochs}; it must be 0 or more")
        _need(self.lr >= 0, f"--lr is {self.lr}; it must be 0 or more")
        _need(self.batch_size >= 1, f"--batch-size is {self.batch_size}; it must be 1 or more")
        _need(self.lora_rank >= 0, f"--lora-rank is {self.lora_rank}; it must be 1 or more")
        if (self.epochs or self.lr) and self.method in ("ridge", "cues", "fused"):
            raise UsageError(
                f"--epochs and --lr say nothing to --method {self.method}", "Leave them out"
            )
        if self.lora_rank and self.method != "lora":
            raise UsageError(
                f"--lora-rank says nothing to --method {self.method}", "Add --method lora"
            )

    @property
    def epochs_used(self) -> int:
        """`epochs`, or 10 for `lora`, 30 for the adapter."""
        return self.epochs or (10 if self.method == "lora" else 30)

    @property
    def lr_used(self) -> float:
        """`lr`, or 1e-3 for `lora`, 2e-4 for the adapter (UniQA)."""
        return self.lr or (1e-3 if self.method == "lora" else 2e-4)

    @property
    def rank_used(self) -> int:
        """`lora_rank`, or 4."""
        return self.lora_rank or 4


@dataclass(frozen=True, slots=True)
class EvaluateConfig:
    """How methods are compared on photos they have not seen."""

    labels: tuple[int, ...] = ()
    """Label budgets; each is drawn `draws` times from the training pool."""
    draws: int = 10
    """Draws per budget."""
    test_fraction: float = 0.3
    """Share of photos held back where the table gives no splits."""
    bootstrap: int = 1000
    """Resamples of groups behind each 95 % interval."""
    protocol: str = "selection-free"
    """One of `PROTOCOLS`; the second adds the paper's optimistic number to the others."""
    confidence: float = 0.9
    """Of the intervals around single photos' scores, whose coverage is measured."""
    seed: int = 0
    """Seed of splits, draws and resamples."""

    def __post_init__(self) -> None:
        """Check every bound."""
        for count in self.labels:
            _need(count >= 2, f"--labels has {count}; a draw needs 2 or more")
        _need(self.draws >= 1, f"--draws is {self.draws}; it must be 1 or more")
        _need(0 < self.test_fraction < 1, "--test-fraction must lie between 0 and 1")
        _need(self.bootstrap >= 10, "--bootstrap must be 10 or more")
        _need(0 < self.confidence < 1, "--confidence must lie between 0 and 1")
        if self.protocol not in PROTOCOLS:
            raise UsageError(f"no --protocol '{self.protocol}'", nearest(self.protocol, PROTOCOLS))


def parse_labels(text: str) -> tuple[int, ...]:
    """``50,100,200`` → (50, 100, 200), sorted, each once.

    Raises:
        UsageError: anything else.
    """
    try:
        return tuple(sorted({int(part) for part in text.split(",") if part.strip()}))
    except ValueError:
        raise UsageError(f"--labels '{text}' is not a list of counts", "Write 50,100,200") from None
