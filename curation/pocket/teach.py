"""The steps of a build that run two at a time, each in a process of its own.

Functions of a module of their own, so that such a process can find them.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from curation.pocket.eyes import Eyes


def teach_eyes(
    folder: Path,
    rows: NDArray[np.float32],
    near: Eyes,
    recolour: bool,
    steps: int,
    seed: int,
    threads: int,
) -> Eyes:
    """Teach one of the two pairs of eyes that are averaged, on the first pictures of the build.

    Args:
        folder: of the build, with its canvases and thumbnails.
        rows: the truth of the pictures to learn from, (n, targets.WIDTH).
        near: eyes that `train_locally` has taught.
        recolour, steps, seed: as for `train_eyes`.
        threads: to compute with.
    """
    import torch

    from curation.pocket.eyes import train_eyes

    torch.set_num_threads(threads)
    images = np.load(folder / "canvases.npy", mmap_mode="r")[: len(rows)]
    name = "recoloured" if recolour else "plain"
    return train_eyes(
        images, rows, folder / f"eyes-{name}.pt",
        steps=steps, first=near, recolour=recolour, seed=seed,
    )  # fmt: skip


def teach(name: str, folder: Path, out: Path, steps: int, seed: int, threads: int) -> Path:
    """Teach one model to talk and write it; everything it needs is in the build's folder.

    Returns:
        The model's directory, ``out/name``.
    """
    import torch
    from transformers import AutoTokenizer

    from curation.pocket.assemble import save_model
    from curation.pocket.eyes import Eyes
    from curation.pocket.talk import load_sight, train_talk

    torch.set_num_threads(threads)
    tokenizer = AutoTokenizer.from_pretrained(folder / "tokenizer", local_files_only=True)
    sight = load_sight(folder / "sights.pt", name)
    model = train_talk(name, sight, tokenizer, folder / f"{name}.pt", steps=steps, seed=seed)
    eyes = Eyes()
    eyes.load_state_dict(torch.load(folder / "seeing.pt", weights_only=True))
    save_model(name, model, eyes, tokenizer, out / name)
    return out / name
