"""What each command may be told, with its bounds; checked once, here, before any work.

Must not know how anything is done. A wrong value is a `UsageError` naming the option.
"""

from __future__ import annotations

from dataclasses import dataclass

from uniqa.errors import UsageError, nearest

METHODS = ("auto", "ridge", "adapter", "cues", "fused")
"""What `adapt` may learn; `auto` chooses among the others inside the labels."""

PROTOCOLS = ("selection-free", "best-on-test")
"""What `evaluate` may keep: nothing chosen on the test, or also the epoch that is best there."""


def _need(right: bool, message: str) -> None:
    if not right:
        raise UsageError(message)


@dataclass(frozen=True, slots=True)
class PretrainConfig:
    """How the contrastive model is made."""

    model: str = "compact"
    """`compact`, or a Hugging Face id or directory of a CLIP or SigLIP model."""
    towers: str = ""
    """`frozen`: only projections learn, on cached features; `tuned`: everything learns, on pixels.

    Empty: frozen for `compact`, tuned for others.
    """
    epochs: int = 0
    """Passes over the photos; 0: 30 with frozen towers, 5 with tuned ones (UniQA)."""
    lr: float = 0.0
    """Adam's step size; 0: 3e-3 with frozen towers, 5e-6 with tuned ones (UniQA)."""
    weight_decay: float = 0.2
    """AdamW's decay of weight matrices (UniQA)."""
    batch_size: int = 64
    """Image–caption pairs contrasted with one another."""
    dim: int = 256
    """Length of the shared embedding of `compact`."""
    beta: float = 0.0
    """Weight of photos with a similar score as further positives; 0 is CLIP's loss."""
    sigma: float = 0.05
    """How near two unified scores must be to count as similar."""
    seed: int = 0
    """Same seed, same model, byte for byte, on one machine's CPU."""

    def __post_init__(self) -> None:
        """Check every bound."""
        _need(self.epochs >= 0, f"--epochs is {self.epochs}; it must be 0 or more")
        _need(self.lr >= 0, f"--lr is {self.lr}; it must be 0 or more")
        _need(self.weight_decay >= 0, f"--weight-decay is {self.weight_decay}; it must be ≥ 0")
        _need(self.batch_size >= 2, f"--batch-size is {self.batch_size}; contrast needs 2 or more")
        _need(self.dim >= 2, f"--dim is {self.dim}; it must be 2 or more")
        _need(self.beta >= 0, f"--beta is {self.beta}; it must be 0 or more")
        _need(self.sigma > 0, f"--sigma is {self.sigma}; it must be above 0")
        if self.towers and self.towers not in ("frozen", "tuned"):
            raise UsageError(
                f"no --towers '{self.towers}'", nearest(self.towers, ("frozen", "tuned"))
            )
        if self.model == "compact" and self.towers == "tuned":
            raise UsageError(
                "the towers of 'compact' are frozen", "Leave --towers out, or name another --model"
            )

    @property
    def tuned(self) -> bool:
        """Whether the towers themselves learn."""
        return (self.towers or ("frozen" if self.model == "compact" else "tuned")) == "tuned"

    @property
    def epochs_used(self) -> int:
        """`epochs`, or the default for this kind of training."""
        return self.epochs or (5 if self.tuned else 30)

    @property
    def lr_used(self) -> float:
        """`lr`, or the default for this kind of training."""
        return self.lr or (5e-6 if self.tuned else 3e-3)


@dataclass(frozen=True, slots=True)
class AdaptConfig:
    """How a head is learned from ratings."""

    method: str = "auto"
    """One of `METHODS`."""
    labels: int = 0
    """How many ratings may be used, drawn by seed; 0: all."""
    epochs: int = 30
    """The adapter's passes over the ratings."""
    lr: float = 2e-4
    """The adapter's Adam step size (UniQA)."""
    batch_size: int = 8
    """The adapter's batch (UniQA)."""
    seed: int = 0
    """Seed of the draw, of folds and of the adapter's start."""

    def __post_init__(self) -> None:
        """Check every bound."""
        if self.method not in METHODS:
            raise UsageError(f"no --method '{self.method}'", nearest(self.method, METHODS))
        _need(self.labels == 0 or self.labels >= 2, f"--labels is {self.labels}; use 2 or more")
        _need(self.epochs >= 1, f"--epochs is {self.epochs}; it must be 1 or more")
        _need(self.lr > 0, f"--lr is {self.lr}; it must be above 0")
        _need(self.batch_size >= 1, f"--batch-size is {self.batch_size}; it must be 1 or more")


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
