"""``uniqa-curate prompts``: parses, calls and prints; see `curation.prompts` and `render`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from curation.cli_options import DEFAULT_CORPUS, JsonOption, one_of
from uniqa.console import print_json, print_table, say
from uniqa.errors import UsageError
from uniqa.levels import LEVELS

app = typer.Typer(
    help="Look at the prompt library: list what can be asked, show its wordings, render what a "
    "model gets.",
    no_args_is_help=True,
)

FolderOption = Annotated[
    Path | None,
    typer.Option("--prompts", help="Folder of your own templates.", show_default="the shipped"),
]


@app.command("list")
def list_prompts(folder: FolderOption = None, as_json: JsonOption = False) -> None:
    """Every task and cue: whether it is asked by default, what answers it, how many wordings."""
    from curation.prompts import PromptLibrary

    prompts = PromptLibrary(folder).overview()
    if as_json:
        print_json(prompts)
        return
    prompts = [one | {"default": "yes" if one["default"] else ""} for one in prompts]
    numbers = ["guided", "unguided", "temperature"]
    columns = ["task", "cue", "default", "kind", *numbers]
    print_table(
        "Prompts",
        columns,
        [[one[column] for column in columns] for one in prompts],
        right=numbers,
    )


@app.command()
def show(
    name: Annotated[str, typer.Argument(help="A task, or TASK/CUE such as quality/sharpness.")],
    folder: FolderOption = None,
    as_json: JsonOption = False,
) -> None:
    """All wordings of a cue, or of a whole task."""
    from curation.prompts import PromptLibrary

    library = PromptLibrary(folder)
    task, cues = library.named(name)
    prompts = library.tasks[task]
    wordings = [one for cue in cues for one in prompts.wordings(cue)]
    if as_json:
        known = list(prompts.known)
        print_json(
            {"task": task, "system": prompts.system.strip(), "known": known, "wordings": wordings}
        )
        return
    say(f"System message of {task}: {prompts.system.strip()}")
    columns = ["cue", "form", "index", "wording"]
    rows = [[one[column] for column in columns] for one in wordings]
    rows += [["", "known", index, text] for index, text in enumerate(prompts.known)]
    print_table(f"Wordings of {name}", columns, rows, right=["index"])


@app.command()
def render(
    name: Annotated[str, typer.Argument(help="TASK/CUE, such as quality/sharpness.")],
    image: Annotated[Path, typer.Argument(help="The photo asked about.")],
    level: Annotated[str, typer.Option(help="Level told to the model: bad … perfect.")] = "",
    known: Annotated[str, typer.Option(help="What else is known, like 'JPEG compression'.")] = "",
    model: Annotated[
        str | None,
        typer.Option(
            help="Pocket model, directory or hub id whose exact prompt to show; '' for none.",
            show_default="pocket-a",
        ),
    ] = None,
    seed: Annotated[int, typer.Option(help="Another seed, another wording and exemplars.")] = 0,
    index: Annotated[
        int | None, typer.Option(help="This wording instead of the one that the photo gets.")
    ] = None,
    exemplars: Annotated[
        Path | None, typer.Option(help="Bank of exemplars to show before, .yaml or .jsonl.")
    ] = None,
    shots: Annotated[
        int | None,
        typer.Option(
            min=1,
            help="Exemplars shown: of the bank, or else as drawn from the corpus.",
            show_default="2 with --exemplars",
        ),
    ] = None,
    sets: Annotated[int, typer.Option(min=1, help="Exemplar sets.")] = 4,
    corpus: Annotated[
        Path, typer.Option(help="The corpus that exemplars are drawn from without --exemplars.")
    ] = DEFAULT_CORPUS,
    folder: FolderOption = None,
    as_json: JsonOption = False,
) -> None:
    """What a model gets when it is asked about a photo: messages, exact prompt, token counts."""
    from curation.incontext import exemplars_for
    from curation.pocket.shipped import shipped_models
    from curation.prompts import PromptLibrary
    from curation.render import photo_id, render

    library = PromptLibrary(folder)
    task, cues = library.named(name)
    if "/" not in name:
        raise UsageError(f"'{name}' is a task, not a prompt", f"Name one, like {task}/{cues[0]}")
    if level:
        one_of(level, LEVELS, "--level")
    image_id = photo_id(image)
    how_many = shots or (2 if exemplars is not None else 0)
    shown = exemplars_for(
        image_id, task, library, shots=how_many, sets=sets, seed=seed, bank=exemplars, corpus=corpus
    )
    if index is None:
        question = library.question(
            task,
            cues[0],
            image_id=image_id,
            level=level,
            seed=seed,
            known=known,
            exemplars=shown,
        )
    else:
        question = library.worded(task, cues[0], index, level=level, known=known, exemplars=shown)
    if model is None:
        model = next(iter(shipped_models()), "")
    rendered = render(question, image, model)
    if as_json:
        print_json(rendered.as_dict())
        return
    say(f"{question.template}, prompt {question.prompt_id}")
    print_table(
        "Messages",
        ["role", "photo", "text"],
        [[turn.role, turn.photo.shown if turn.photo else "", turn.text] for turn in rendered.turns],
    )
    if rendered.tokens:
        counted = rendered.tokens
        typer.echo(rendered.prompt)
        say(
            f"{rendered.model}: {counted.total:,} tokens, {counted.text:,} of text and "
            f"{counted.image:,} of photos"
        )
