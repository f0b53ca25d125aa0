"""`uniqa-train`: the commands in one place, each from its own module.

Only words live in these; heavy libraries are imported inside commands so that --help is quick.
"""

from __future__ import annotations

import typer

from training.adapt_cli import adapt
from training.evaluate_cli import evaluate
from training.pretrain_cli import pretrain
from training.score_cli import score
from uniqa.console import run

app = typer.Typer(
    help="Learn from trusted captions, adapt to a few ratings, score photos.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
for command in (pretrain, adapt, evaluate, score):
    app.command()(command)


def main() -> None:
    """Entry point of the console script."""
    run(app, "uniqa-train")
