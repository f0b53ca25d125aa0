"""The last step of a build, for one model, in a process of its own."""

from __future__ import annotations

from pathlib import Path


def teach(name: str, folder: Path, out: Path, steps: int, seed: int, threads: int) -> Path:
    """Teach one model to talk and write it; everything it needs is in the build's folder.

    A function of its own module, so that a process of its own can find it.

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
