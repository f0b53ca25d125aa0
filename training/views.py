"""From a model and stored features to the views that heads and zero-shot scores are read from."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from training.adapt import Views, make_views
from training.cues import cue_prompts
from training.encoders import Features
from training.features import text_features
from training.model import Model


def views_of(
    model: Model, features: Features, task: str, cache: Path, ids: Sequence[str] = ()
) -> Views:
    """(n, p) features of photos → embeddings, a task's cue values and prompts.

    With `ids` (n,), photos learned from in pre-training get the embedding of a model that had not
    seen them: what heads must be learned on.

    Raises:
        UsageError: an unknown task.
    """
    prompts = text_features(cue_prompts(task), model.text, cache, label="cue prompts")
    instead = {row: model.crossfit[key] for row, key in enumerate(ids) if key in model.crossfit}
    return make_views(
        features, model.projections, prompts, model.image.blocks, model.image.families, instead
    )
