"""From a model and stored features to the views that heads and zero-shot scores are read from."""

from __future__ import annotations

from pathlib import Path

from training.adapt import Views, make_views
from training.cues import cue_prompts
from training.encoders import Features
from training.features import text_features
from training.model import Model


def views_of(model: Model, features: Features, task: str, cache: Path) -> Views:
    """(n, p) features of photos → embeddings, a task's cue values and prompts.

    Raises:
        UsageError: an unknown task.
    """
    prompts = text_features(cue_prompts(task), model.text, cache, label="cue prompts")
    return make_views(
        features, model.projections, prompts, model.image.blocks, model.image.families
    )
