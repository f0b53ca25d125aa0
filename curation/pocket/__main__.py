"""Build the pocket models from photographs, and examine them: ``python -m curation.pocket``."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Annotated

import typer

from curation.pocket.shipped import MODELS, POCKETS
from uniqa import console

app = typer.Typer(help="Make and examine the pocket models.", no_args_is_help=True)

# What a full build does; a rehearsal does a hundredth of it, to see that everything runs.
CROPS, NEAR, FAR, TALK = 3600, 3000, 1400, {"pocket-a": 2400, "pocket-b": 2400}


@app.command()
def build(
    work: Annotated[Path, typer.Option(help="Folder for photographs, pictures and checkpoints.")],
    out: Annotated[Path, typer.Option(help="Where the models' folders go.")] = MODELS,
    seed: Annotated[int, typer.Option(help="Decides everything that is drawn.")] = 0,
    rehearsal: Annotated[bool, typer.Option(help="A hundredth of the work, bad models.")] = False,
) -> None:
    """Make pictures, teach the eyes, teach both to talk, write the models.

    Killed and started again it goes on where it was. About 80 minutes on two cores.
    """
    import numpy as np

    from curation.pocket.assemble import make_tokenizer, save_model
    from curation.pocket.eyes import train_eyes, train_locally
    from curation.pocket.pictures import make_pictures
    from curation.pocket.sources import fetch_photographs
    from curation.pocket.talk import look_all, train_talk

    part = 0.01 if rehearsal else 1.0
    began = time.monotonic()

    def steps(count: int) -> int:
        return max(2, round(count * part))

    photographs = [path for _, path in fetch_photographs(work / "photographs")]
    folder = work / ("rehearsal" if rehearsal else "full") / f"seed-{seed}"
    images, rows = make_pictures(
        photographs, folder, crops=steps(CROPS), seed=seed, workers=os.cpu_count() or 2
    )
    near = train_locally(images, rows, folder / "near.pt", steps=steps(NEAR), seed=seed)
    eyes = train_eyes(images, rows, folder / "eyes.pt", steps=steps(FAR), first=near, seed=seed)
    sights = look_all(eyes, np.asarray(images))
    tokenizer = make_tokenizer(next(iter(sights.values())).readings, seed)
    for name in POCKETS:
        model = train_talk(
            name, sights[name], tokenizer, folder / f"{name}.pt", steps=steps(TALK[name]), seed=seed
        )
        save_model(name, model, eyes, tokenizer, out / name)
        console.say(f"wrote {out / name}")
    console.say(f"built in {(time.monotonic() - began) / 60:.0f} min")


@app.command()
def exam(
    model: Annotated[list[str], typer.Option(help="Pocket model, or a model directory.")] = list(
        POCKETS
    ),
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

    results = {name: examine(name, held_out(photos, limit), engine) for name in model}
    if as_json:
        console.print_json(results)
        return
    for name, result in results.items():
        report(name, result)


if __name__ == "__main__":
    console.run(app, "python -m curation.pocket")
