"""Settings that change answers change the revision; others leave stored captions valid."""

from __future__ import annotations

import pytest

from curation.engines import make_engine
from curation.engines.changes import told_changes
from curation.engines.spec import ModelSpec


def test_only_what_changes_answers_is_told() -> None:
    assert told_changes(None, {}) == ""
    assert told_changes(None, {"gpu_memory_utilization": 0.5, "max_model_len": 99}) == ""
    assert told_changes(384, {}) == "+side384"
    one, two = (told_changes(None, {"dtype": kind}) for kind in ("bfloat16", "float16"))
    assert one != two
    assert told_changes(384, {"dtype": "float16"}) == "+side384" + two
    options = {"dtype": "float16", "mm_processor_kwargs": {"do_image_splitting": False}}
    assert told_changes(None, options) == told_changes(None, dict(reversed(options.items())))


@pytest.mark.parametrize("engine", ["transformers", "vllm"])
def test_a_pocket_models_revision_names_what_a_run_changed(engine: str) -> None:
    pytest.importorskip("transformers")
    usual = make_engine("pocket-a", engine=engine).revision
    assert "+" not in usual, "what pocket models come with is no change"
    smaller = make_engine(ModelSpec("pocket-a", max_side=256, context=2048), engine=engine)
    assert smaller.revision == f"{usual}+side256"
