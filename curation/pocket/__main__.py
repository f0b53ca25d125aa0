"""Build the pocket models from photographs, and examine them: ``python -m curation.pocket``."""

from __future__ import annotations

import os
import time
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import Annotated

import typer

from curation.pocket.effort import FULL, THOROUGH
from curation.pocket.shipped import MODELS, POCKETS
from uniqa import console

app = typer.Typer(help="Make and examine the pocket models.", no_args_is_help=True)

# What a full build does; a rehearsal does a hundredth of it, to see that everything runs.
CROPS = 3000
APART = 900
"""Crops of photographs that the eyes do not learn from."""
LOOKS = 7200
"""Pictures to talk about: all of those, and the last of the others."""


@app.command()
def build(
    work: Annotated[Path, typer.Option(help="Folder for photographs, pictures and checkpoints.")],
    out: Annotated[Path, typer.Option(help="Where the models' folders go.")] = MODELS,
    seed: Annotated[int, typer.Option(help="Decides everything that is drawn.")] = 0,
    rehearsal: Annotated[bool, typer.Option(help="A hundredth of the work, bad models.")] = False,
    thorough: Annotated[
        bool, typer.Option(help="As many steps as the shipped models had: a quarter more time.")
    ] = False,
) -> None:
    """Make pictures, teach the eyes, teach both to talk, write and examine the models.

    Killed and started again it goes on where it was. It takes 82 minutes on two cores.
    """
    import torch

    from curation.pocket.assemble import make_tokenizer
    from curation.pocket.eyes import averaged, thumbnails_of, train_locally
    from curation.pocket.pictures import VARIANTS, make_pictures
    from curation.pocket.sources import apart, fetch_photographs
    from curation.pocket.talk import load_sight, look_all, save_sights
    from curation.pocket.teach import teach, teach_eyes

    part = 0.01 if rehearsal else 1.0
    cores = os.cpu_count() or 2
    began = time.monotonic()

    effort = (THOROUGH if thorough else FULL).part(part)

    def share(count: int) -> int:
        return max(2, round(count * part))

    learned, others = apart([path for _, path in fetch_photographs(work / "photographs")])
    kind = ("rehearsal" if rehearsal else "full") + ("-thorough" if thorough else "")
    folder = work / kind / f"seed-{seed}"
    crops, last = share(CROPS), share(APART)
    images, rows = make_pictures(
        learned, folder, crops=crops + last, seed=seed, workers=cores, others=others, last=last
    )
    own, own_rows = images[: crops * VARIANTS], rows[: crops * VARIANTS]
    near = train_locally(own, own_rows, folder / "near.pt", steps=effort.near, seed=seed)
    thumbnails_of(own, folder)
    # Two by two, side by side: steps of so small models are too short for more than a few threads
    # to meet.
    threads = max(1, cores // 2)
    with ProcessPoolExecutor(2, get_context("spawn")) as pool:
        pairs = [
            pool.submit(teach_eyes, folder, own_rows, near, recolour, effort.far, seed, threads)
            for recolour in (False, True)
        ]
        eyes = averaged([pair.result() for pair in pairs])
    if not (folder / "sights.pt").exists():
        # The sights come last: where they are, this step is complete.
        torch.save(eyes.state_dict(), folder / "seeing.pt")
        looks = share(LOOKS)
        seen = look_all(eyes, images[-looks:], rows[-looks:], last * VARIANTS)
        save_sights(seen, folder / "sights.pt")
    readings = load_sight(folder / "sights.pt", POCKETS[0]).readings
    if not (folder / "tokenizer").exists():
        make_tokenizer(readings, seed).save_pretrained(folder / "tokenizer")
    with ProcessPoolExecutor(len(POCKETS), get_context("spawn")) as pool:
        jobs = [
            pool.submit(teach, name, folder, out, effort.talk, seed, threads) for name in POCKETS
        ]
        for job in jobs:
            effort.write(job.result())
            console.say(f"wrote {job.result()}")
    console.say(f"built in {(time.monotonic() - began) / 60:.0f} min")
    if not rehearsal:
        exam([str(out / name) for name in POCKETS])


@app.command()
def exam(
    model: Annotated[
        list[str] | None, typer.Option(help="Pocket model, or a model directory; default: both.")
    ] = None,
    photos: Annotated[
        Path | None,
        typer.Option(help="Clean photos to damage; default: those that installed packages bring."),
    ] = None,
    limit: Annotated[int, typer.Option(help="Use so many of them.")] = 60,
    engine: Annotated[str, typer.Option(help="auto, vllm or transformers.")] = "auto",
    as_json: Annotated[bool, typer.Option("--json", help="Everything, for machines.")] = False,
) -> None:
    """Examine models on photos that they did not learn from."""
    from curation.pocket.examine import examine, held_out, report

    results = {name: examine(name, held_out(photos, limit), engine) for name in model or POCKETS}
    if as_json:
        console.print_json(results)
        return
    for name, result in results.items():
        report(name, result)


if __name__ == "__main__":
    console.run(app, "python -m curation.pocket")
