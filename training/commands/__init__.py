"""The whole of each command but its words: manifests and ratings in, model directories out.

The `*_cli` modules parse and print; the modules above know one thing each; here they are joined.
Progress and warnings go to people, nothing to stdout.
"""

from training.commands.adapt import adapt
from training.commands.evaluate import Extras, evaluate
from training.commands.pretrain import pretrain

__all__ = ["Extras", "adapt", "evaluate", "pretrain"]
