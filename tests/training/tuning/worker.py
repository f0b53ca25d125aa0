"""One process of a run: ``python -m tests.training.tuning.worker MODEL OUT MANIFEST …``."""

from __future__ import annotations

import sys
from pathlib import Path

import torch

from training.config import PretrainConfig
from training.data import read_manifest
from training.model import make_towers
from training.tuning.data import Examples
from training.tuning.learners import HuggingFaceLearner, choose_what_learns
from training.tuning.loop import Loop
from training.tuning.photos import PixelCache
from training.tuning.world import World, joined


def make_loop(config: PretrainConfig, manifest, cache: Path, **options) -> Loop:
    """A loop over a Hugging Face model, as the command makes it."""
    image, _ = make_towers("huggingface", config.model)
    learner = HuggingFaceLearner(image.towers, biased=config.loss == "sigmoid")
    choose_what_learns(
        learner,
        image=config.tunes_image,
        text=config.tunes_text,
        lora=config.lora,
        seed=config.seed,
    )
    examples = Examples.of(manifest, manifest.rows("train"))
    return Loop(learner, examples, config, PixelCache(cache, 2**24), **options)


def learn(model: str, manifest: str, cache: Path, world: World) -> dict[str, torch.Tensor]:
    """Gradients of the first step, and weights after all steps of plain descent.

    Adam would turn gradients that are zero but for rounding into whole steps.
    """
    config = PretrainConfig(
        model=model, epochs=2, lr=0.5, batch_size=5, chunk=2, loss="soft", beta=0.5,
        captions_per_photo=2, weigh="loss",
    )  # fmt: skip
    loop = make_loop(config, read_manifest(Path(manifest)), cache, world=world)
    loop.optimizer = torch.optim.SGD(loop.optimizer.param_groups, lr=0.5)
    loop.backward()
    named = dict(loop.learner.named_parameters())
    found = {f"gradient {n}": p.grad.clone() for n, p in named.items() if p.grad is not None}
    found["loss"] = torch.tensor(loop._loss)
    loop.run()
    found["broken"] = torch.tensor(sorted(loop.reader.broken), dtype=torch.int64)
    return found | {f"weight {n}": p.detach().clone() for n, p in named.items()}


def main() -> None:
    """Run as one of several, and keep what was learned."""
    from safetensors.torch import save_file

    model, out, *manifests = sys.argv[1:]
    with joined() as world:
        assert world.size == 2
        for manifest in manifests:
            found = learn(
                model, manifest, Path(out) / f"cache {Path(manifest).stem} {world.rank}", world
            )
            save_file(found, Path(out) / f"{Path(manifest).stem} {world.rank}.safetensors")


if __name__ == "__main__":
    main()
