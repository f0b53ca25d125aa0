from __future__ import annotations

import ast
from pathlib import Path

import pyarrow as pa
import pytest

import curation
from curation import text_signals, truth
from curation.corpus import Corpus
from tests.conftest import caption_row, image_rows

HERE = Path(curation.__file__).parent


def imported(module: str, seen: set[str]) -> set[str]:
    """Modules of `curation` that a module reads, itself included, at any depth."""
    if module in seen or not (HERE / f"{module}.py").is_file():
        return seen
    seen.add(module)
    for node in ast.walk(ast.parse((HERE / f"{module}.py").read_text())):
        if isinstance(node, ast.ImportFrom) and node.module:
            if node.module == "curation":
                for name in node.names:
                    imported(name.name, seen)
            elif node.module.startswith("curation."):
                imported(node.module.removeprefix("curation."), seen)
    return seen


@pytest.mark.parametrize(
    ("rules", "roots"),
    [
        (text_signals._RULES, ("hygiene", "informative", "claims", "implied")),
        (truth._RULES, ("grounding",)),
    ],
)
def test_every_module_that_decides_is_part_of_the_revision(
    rules: tuple[str, ...], roots: tuple[str, ...]
) -> None:
    needed: set[str] = set()
    for root in roots:
        imported(root, needed)
    assert needed <= set(rules)


def test_captions_are_read_once_per_revision_in_a_pool_as_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    texts = ["The photo is sharp.", "As an AI model, I cannot see the image.", "nice nice"]
    with Corpus(tmp_path / "c.duckdb", write=True) as store:
        store.add("images", [image_rows(1)[0]])
        store.add("captions", [caption_row(n, 1, text=texts[n % 3]) for n in range(30)])
        assert text_signals.read_texts(store, "en") == 30
        assert text_signals.read_texts(store, "en") == 0
        alone = store.table("SELECT * FROM text_signals ORDER BY caption_id")
        store.empty("text_signals")
        monkeypatch.setattr(text_signals, "_POOL_FROM", 1)
        monkeypatch.setattr(text_signals, "_CHUNK", 4)
        told: list[tuple[str, int, int]] = []
        assert text_signals.read_texts(store, "en", lambda *step: told.append(step)) == 30
        assert sum(done for _, done, _ in told) == 30
        pooled = store.table("SELECT * FROM text_signals ORDER BY caption_id")
        assert pooled.equals(alone)
        assert text_signals.read_texts(store, "de") == 30
    assert pa.compute.sum(pa.compute.list_value_length(alone["problems"])).as_py() == 10


def test_only_its_own_prompt_leaks_into_a_caption() -> None:
    asked = "Describe how the light falls on the subject and what it does to the mood."
    other = "Say how sharp the photo is, and where its fine detail is lost to blur or noise."
    rows = [("a", asked, "stop", asked), ("b", asked, "stop", other)]
    found = text_signals.read_chunk(rows, "r", "en")["problems"].to_pylist()
    assert found == [["prompt_leak"], []]
