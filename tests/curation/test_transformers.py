"""The transformers engine with a small random Idefics3, and which engine and models are chosen."""

from __future__ import annotations

import json
import random
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from curation import doctor, engines
from curation.corpus import Corpus
from curation.engines import default_models, make_engine
from curation.engines.base import Answer, Refused, Request, Sampling
from curation.engines.draws import draw
from curation.engines.locate import locate_model
from curation.engines.measured import MeasuredEngine
from curation.engines.transformers import TransformersEngine
from curation.pocket import shipped
from curation.pocket.shipped import POCKET_MAX_SIDE, POCKET_OPTIONS, shipped_models
from curation.prompts import Exemplar, PromptLibrary, Question
from tests import tiny_blip2, tiny_idefics3
from tests.conftest import Said
from uniqa.errors import EngineError, InputError, UsageError
from uniqa.levels import LEVELS

LIBRARY = PromptLibrary()


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_idefics3.build(tmp_path_factory.mktemp("models") / "tiny-idefics3")


@pytest.fixture(scope="module")
def engine(model: Path) -> Iterator[TransformersEngine]:
    engine = TransformersEngine(str(model))
    engine.start()
    yield engine
    engine.close()


@pytest.fixture
def pockets(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An installation with two pocket models."""
    folder = tmp_path / "shipped"
    for seed, name in enumerate(shipped.POCKETS):
        tiny_idefics3.build(folder / name, seed)
    monkeypatch.setattr(shipped, "MODELS", folder)
    return folder


@pytest.fixture
def no_pockets(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shipped, "MODELS", tmp_path / "nothing")


@pytest.fixture
def installed(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Says which packages are there, whatever really is."""

    def only(*names: str) -> None:
        monkeypatch.setattr(engines, "find_spec", lambda name: name in names or None)

    return only


def request(number: int, image: int = 0, text: str = "", **sampling: Any) -> Request:
    generator = np.random.default_rng(image)
    size = [(48, 64, 3), (64, 40, 3)][image % 2]
    pixels = generator.integers(0, 255, size, dtype=np.uint8)
    cue = ["overall", "noise", "sharpness"][number % 3]
    question = LIBRARY.question("quality", cue, image_id=f"{image}", level="", seed=number)
    if text:
        question = replace(question, text=text)
    settings = Sampling(**{"temperature": 0.0, "max_tokens": 12, **sampling})
    return Request(f"caption{number:03}", f"image{image}", pixels, question, settings, number)


def answers(results: list[Answer | Refused]) -> list[Answer]:
    assert all(isinstance(one, Answer) for one in results), results
    return [one for one in results if isinstance(one, Answer)]


# ---- texts ---------------------------------------------------------------------------------------


def test_greedy_texts_are_those_of_the_model_itself(
    engine: TransformersEngine, model: Path
) -> None:
    """Batches are padded on the left; a photo alone, without padding, gets the same words."""
    from transformers import AutoModelForImageTextToText, AutoProcessor

    processor = AutoProcessor.from_pretrained(model, local_files_only=True)
    plain = AutoModelForImageTextToText.from_pretrained(model, dtype=torch.float32).eval()

    def alone(question: Question, pixels: Any) -> tuple[str, int]:
        conversation = [
            {"role": "system", "content": [{"type": "text", "text": question.system}]},
            {"role": "user", "content": [
                {"type": "image", "image": Image.fromarray(pixels)},
                {"type": "text", "text": question.text}]},
        ]  # fmt: skip
        inputs = processor.apply_chat_template(
            conversation, add_generation_prompt=True, tokenize=True, return_dict=True,
            return_tensors="pt",
        )  # fmt: skip
        length = inputs["input_ids"].shape[1]
        tokens = plain.generate(**inputs, max_new_tokens=12, do_sample=False)[0, length:]
        return processor.decode(tokens, skip_special_tokens=True).strip(), length

    requests = [request(n, image=n % 4, text="is it sharp? " * (n + 1)) for n in range(9)]
    batch = answers(engine.generate(requests))
    assert len({one.prompt_tokens for one in batch}) == 9, "each row is padded differently"
    assert len({one.text for one in batch}) > 1
    for one, answer in zip(requests, batch, strict=True):
        assert (answer.text, answer.prompt_tokens) == alone(one.question, one.payload)


@pytest.mark.parametrize("top_p", [0.9, 1.0])
def test_a_sampled_text_does_not_depend_on_its_neighbours(
    engine: TransformersEngine, top_p: float
) -> None:
    hot = {"temperature": 1.0, "top_p": top_p}
    requests = [request(n, image=n % 3, **hot) for n in range(20)]
    together = {one.caption_id: one for one in engine.generate(requests)}
    assert len({one.text for one in answers(list(together.values()))}) > 15
    random.Random(0).shuffle(requests)
    mixed = [replace(one, sampling=Sampling(0.0)) for one in requests[:7]] + requests[7:]
    for some in ([requests[0]], requests[3:6], mixed[5:]):
        for wanted, got in zip(some, engine.generate(some), strict=True):
            if wanted.sampling.temperature:
                assert got == together[wanted.caption_id]


def test_another_seed_is_another_text_and_greedy_has_none(engine: TransformersEngine) -> None:
    def texts(**sampling: Any) -> set[str]:
        asked = [replace(request(0, **sampling), caption_id=f"c{n}", seed=n) for n in range(8)]
        return {one.text for one in answers(engine.generate(asked))}

    assert len(texts(temperature=1.0, top_p=1.0)) == 8
    assert len(texts(temperature=0.0)) == 1
    assert texts(temperature=1.0, top_p=1e-9) == texts(temperature=0.0)


def test_draws_follow_the_probabilities_within_top_p() -> None:
    scores = torch.log(torch.tensor([[0.05, 0.5, 0.15, 0.3]])).repeat(1000, 1)
    numbers = torch.arange(1000, dtype=torch.float64) / 1000
    whole = draw(scores, torch.ones(1000), numbers).bincount(minlength=4)
    assert whole.tolist() == pytest.approx([50, 500, 150, 300], abs=1)
    some = draw(scores, torch.full((1000,), 0.7), numbers).bincount(minlength=4)
    assert some.tolist() == pytest.approx([0, 625, 0, 375], abs=1)
    last = torch.full((1,), 1 - 2**-53, dtype=torch.float64)
    assert draw(scores[:1], torch.full((1,), 0.7), last).tolist() == [3]


def test_an_answer_ends_by_itself_or_by_its_own_limit(engine: TransformersEngine) -> None:
    hot = {"temperature": 2.0, "top_p": 1.0}
    requests = [request(n, max_tokens=1 + n % 40, **hot) for n in range(60)]
    results = answers(engine.generate(requests))
    assert {one.finish_reason for one in results} == {"stop", "length"}
    for wanted, got in zip(requests, results, strict=True):
        limit = wanted.sampling.max_tokens
        assert got.tokens is not None
        assert got.tokens == limit if got.finish_reason == "length" else got.tokens <= limit


# ---- what goes wrong -----------------------------------------------------------------------------


def test_bad_requests_are_refused_alone(engine: TransformersEngine) -> None:
    good = [request(n, image=n % 3) for n in range(5)]
    expected = engine.generate(good)
    empty = replace(request(5), payload=np.zeros((0, 8, 3), np.uint8))
    flat = replace(request(6), payload="no pixels")
    long = request(7, text="sharp " * 5000)
    mixed = engine.generate([empty, *good[:2], long, *good[2:], flat])
    assert [mixed[1], mixed[2], *mixed[4:7]] == expected
    for bad in (mixed[0], mixed[3], mixed[7]):
        assert isinstance(bad, Refused)
        assert (bad.kind, bad.permanent) == ("rejected", False)
        assert bad.message
    assert "2048" in mixed[3].message  # type: ignore[union-attr]


def test_the_context_bounds_an_answer(model: Path) -> None:
    engine = TransformersEngine(str(model), engine_options={"max_model_len": 400, "batch_size": 2})
    short, long = request(0, max_tokens=400), request(1, text="is it sharp? " * 100)
    first, second = engine.generate([short, long])
    assert isinstance(first, Answer)
    assert (first.tokens or 0) + (first.prompt_tokens or 0) <= 400
    assert isinstance(second, Refused)
    assert "400" in second.message
    engine.close()


def test_a_batch_that_fails_is_asked_one_by_one(
    engine: TransformersEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    requests = [request(n) for n in range(4)]
    expected = engine.generate(requests)
    assert engine._loaded is not None
    generate = engine._loaded.model.generate

    def scarce(**inputs: Any) -> Any:
        if len(inputs["input_ids"]) > 1 or inputs["input_ids"].shape[1] == longest:
            raise RuntimeError("can't allocate memory\nat some place")
        return generate(**inputs)

    longest = max(one.prompt_tokens or 0 for one in answers(expected))
    monkeypatch.setattr(engine._loaded.model, "generate", scarce)
    results = engine.generate(requests)
    refused = [one for one in results if isinstance(one, Refused)]
    assert 0 < len(refused) < 4
    assert {(one.kind, one.permanent) for one in refused} == {("engine_failed", False)}
    assert refused[0].message == "RuntimeError: can't allocate memory"
    assert all(one in expected for one in results if isinstance(one, Answer))


def test_scores_that_are_no_numbers_are_no_text(
    engine: TransformersEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert engine._loaded is not None
    head = engine._loaded.model.lm_head
    with monkeypatch.context() as patch:
        patch.setattr(head, "forward", lambda hidden: hidden @ head.weight.T * torch.nan)
        (refused,) = engine.generate([request(1, temperature=1.0)])
    assert isinstance(refused, Refused)
    assert refused.kind == "not_a_number"
    assert isinstance(engine.generate([request(1)])[0], Answer)


def test_an_interrupt_goes_through(
    engine: TransformersEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(**_inputs: Any) -> None:
        raise KeyboardInterrupt

    assert engine._loaded is not None
    monkeypatch.setattr(engine._loaded.model, "generate", interrupted)
    with pytest.raises(KeyboardInterrupt):
        engine.generate([request(1), request(2)])


def test_a_captioner_is_told_its_exemplars_and_says_levels(tmp_path: Path) -> None:
    """BLIP-2 takes one photo and no chat; its level words have several tokens and begin alike."""
    engine = TransformersEngine(str(tiny_blip2.build(tmp_path / "tiny-blip2")))
    shown = Exemplar("other", "other.jpg", "How good is it?", "It is bad.", "bad")
    plain = request(1)
    told = replace(
        plain,
        caption_id="told",
        question=replace(plain.question, exemplars=(shown,)),
        shots=(plain.payload,),
    )
    level = replace(told, question=replace(told.question, answer_start="The quality is"))
    level = replace(level, caption_id="level")
    few, many, word = answers(engine.generate([plain, told, level]))
    assert engine.context == 1024
    assert (many.prompt_tokens or 0) > (few.prompt_tokens or 0)
    assert word.levels is not None
    assert sum(word.levels) == pytest.approx(1)
    assert word.text in {f"The quality is {level}." for level in LEVELS}
    assert word.tokens == 2
    engine.close()


def test_closed_engines_hold_nothing_and_start_again(model: Path) -> None:
    engine = TransformersEngine(str(model))
    engine.close()
    first = engine.generate([request(1)])
    engine.close()
    engine.close()
    assert engine._loaded is None
    assert engine.generate([]) == []
    assert engine.generate([request(1)]) == first
    engine.close()


def test_a_model_that_cannot_load_is_one_error(model: Path, tmp_path: Path) -> None:
    broken = tmp_path / "broken"
    broken.mkdir()
    for file in model.iterdir():
        (broken / file.name).write_bytes(file.read_bytes())
    (broken / "model.safetensors").write_bytes(b"no weights")
    with pytest.raises(EngineError, match="could not load 'broken'"):
        TransformersEngine(str(broken)).start()


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"batch_sise": 4}, "no option 'batch_sise'.*batch_size"),
        ({"batch_size": 0}, "whole number above 0, not 0"),
        ({"max_model_len": "long"}, "whole number above 0, not 'long'"),
    ],
)
def test_options_are_checked(model: Path, options: dict[str, Any], says: str) -> None:
    with pytest.raises(UsageError, match=says):
        TransformersEngine(str(model), engine_options=options)


def test_reading_photos_needs_no_torch() -> None:
    """The image step's processes import the engine for `prepare`; torch would cost them seconds."""
    code = "import sys, curation.engines.transformers; sys.exit('torch' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)


# ---- which models, which engine ------------------------------------------------------------------


def test_pocket_models_are_found_by_name(pockets: Path) -> None:
    assert list(shipped_models()) == ["pocket-a", "pocket-b"]
    folder, name, revision = locate_model("pocket-a")
    assert (folder, name) == (pockets / "pocket-a", "pocket-a")
    assert revision.startswith("files-")
    assert revision != locate_model("pocket-b")[2]
    assert revision == locate_model(str(folder))[2]
    with pytest.raises(UsageError, match="'measured', 'pocket-a', 'pocket-b'"):
        locate_model("pocket-c")


def test_a_pocket_model_without_files_is_one_error(pockets: Path) -> None:
    (pockets / "pocket-b" / "model.safetensors").unlink()
    with pytest.raises(InputError, match="'pocket-b' did not come with this installation"):
        locate_model("pocket-b")
    (pockets / "pocket-b" / "config.json").unlink()
    assert list(shipped_models()) == ["pocket-a"]
    assert default_models()[0] == ["pocket-a"]


def test_the_engine_is_the_one_chosen_or_the_best_installed(
    pockets: Path, model: Path, installed: Callable[..., None]
) -> None:
    installed("transformers")
    engine = make_engine("pocket-a")
    assert isinstance(engine, TransformersEngine)
    assert (engine.model, engine.max_side) == ("pocket-a", POCKET_MAX_SIDE)
    assert make_engine(str(model)).max_side == 768
    assert isinstance(make_engine("measured", engine="transformers"), MeasuredEngine)
    installed("transformers", "vllm")
    assert isinstance(make_engine("pocket-a", engine="transformers"), TransformersEngine)


def test_vllm_gets_the_pocket_options_and_the_users_win(
    pockets: Path, installed: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    made: dict[str, Any] = {}

    def engine(_model: str, **options: Any) -> SimpleNamespace:
        made.update(options)
        return SimpleNamespace(revision="files-1")

    monkeypatch.setattr("curation.engines.vllm.VllmEngine", engine)
    installed("transformers", "vllm")
    make_engine("pocket-a", engine_options={"max_model_len": 512})
    assert made["engine_options"] == POCKET_OPTIONS | {"max_model_len": 512}
    assert made["max_side"] == POCKET_MAX_SIDE
    make_engine("/models/other", engine_options={"max_model_len": 512})
    assert made["engine_options"] == {"max_model_len": 512}


def test_models_by_default(pockets: Path, installed: Callable[..., None]) -> None:
    for there, engine in ((("vllm", "transformers"), "vllm"), (("transformers",), "transformers")):
        installed(*there)
        models, why = default_models()
        assert models == ["pocket-a", "pocket-b"]
        assert f"with {engine} " in why
    installed()
    models, why = default_models()
    assert models == ["measured"]
    assert "neither vLLM nor transformers is installed" in why
    assert default_models("vllm")[0] == ["pocket-a", "pocket-b"], "then the engine says it lacks"


def test_without_pocket_models_measured_is_the_default(no_pockets: None) -> None:
    for choice in engines.ENGINES:
        models, why = default_models(choice)
        assert models == ["measured"]
        assert "no multimodal model came with this installation" in why


def test_doctor_tells_engines_and_pocket_models(
    pockets: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = {finding.part: finding for finding in doctor.examine()}
    assert found["transformers"].usable
    assert found["pocket models"].found == "pocket-a, pocket-b"
    monkeypatch.setattr(shipped, "MODELS", pockets / "nothing")
    assert not doctor._pockets().usable
    assert "measured" in doctor._pockets().remedy


# ---- the command ---------------------------------------------------------------------------------


@pytest.fixture
def photos(make_photo: Callable[..., Path], tmp_path: Path) -> Path:
    for number in range(3):
        make_photo(tmp_path / "photos" / f"{number}.png", number)
    (tmp_path / "photos" / "broken.png").write_bytes(b"no photo")
    return tmp_path / "photos"


def test_generate_with_transformers_into_a_corpus(
    curate: Callable[..., Said], photos: Path, pockets: Path, tmp_path: Path
) -> None:
    corpus = tmp_path / "c.duckdb"
    ask = [
        "generate", photos, "--corpus", corpus, "--engine", "transformers", "--task", "quality",
        "--cue", "overall", "--cue", "noise", "--n", "2", "--max-tokens", "6", "--workers", "1",
        "--json", "--max-failure-rate", "0.5",
    ]  # fmt: skip
    said = curate(*ask)
    assert said.code == 0, said.err
    assert [(one["model"], one["made"]) for one in json.loads(said.out)] == [
        ("pocket-a", 12),
        ("pocket-b", 12),
    ]
    (line,) = [line for line in said.err.splitlines() if "no --model named" in line]
    assert "pocket-a and pocket-b" in line
    with Corpus(corpus) as store:
        rows = store.rows(
            "SELECT engine, model, count(*), count(DISTINCT seed), min(tokens), max(tokens) "
            "FROM captions GROUP BY ALL ORDER BY ALL"
        )
        assert [row[:4] for row in rows] == [
            ("transformers", "pocket-a", 12, 12),
            ("transformers", "pocket-b", 12, 12),
        ]
        assert all(0 < row[4] <= row[5] <= 6 for row in rows)
        ((config,),) = store.rows("SELECT config FROM runs")
    assert [one["id"] for one in json.loads(config)["models"]] == ["pocket-a", "pocket-b"]
    again = curate(*ask)
    assert [(one["made"], one["resumed"]) for one in json.loads(again.out)] == [(0, 12)] * 2


def test_generate_without_pocket_models_measures_and_says_so(
    curate: Callable[..., Said], photos: Path, no_pockets: None, tmp_path: Path
) -> None:
    said = curate("generate", photos, "--corpus", tmp_path / "c.duckdb", "--dry-run", "--json")
    assert [one["model"] for one in json.loads(said.out)] == ["measured"]
    assert sum("no --model named" in line for line in said.err.splitlines()) == 1
    named = curate(
        "generate", photos, "--corpus", tmp_path / "c.duckdb", "--model", "measured", "--dry-run"
    )
    assert "no --model named" not in named.err


def test_an_unknown_engine_is_met_with_the_nearest(
    curate: Callable[..., Said], photos: Path, tmp_path: Path
) -> None:
    said = curate("generate", photos, "--corpus", tmp_path / "c.duckdb", "--engine", "transformer")
    assert said.code == 2
    assert "Did you mean 'transformers'" in said.errors[0]


def test_an_unknown_engine_is_one_error() -> None:
    with pytest.raises(UsageError, match="unknown engine 'vlm'"):
        make_engine("pocket-a", engine="vlm")


def test_a_chosen_engine_that_is_missing_is_one_error(
    curate: Callable[..., Said],
    photos: Path,
    pockets: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("curation.engines.vllm.find_spec", lambda _name: None)
    said = curate("generate", photos, "--corpus", tmp_path / "c.duckdb", "--engine", "vllm")
    assert said.code == 5
    assert "--engine transformers" in said.errors[0]
    assert not (tmp_path / "c.duckdb").exists()
