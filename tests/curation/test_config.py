"""Run files: what they say, what they may not say, and that the command line wins."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest
import yaml

from curation.config import RunConfig, merge_config, read_config
from curation.engines import make_engine
from curation.engines.base import Sampling
from curation.engines.measured import MeasuredEngine
from curation.engines.secret_options import refuse_secrets
from curation.engines.spec import ModelSpec
from uniqa.errors import InputError, UniqaError, UsageError
from uniqa.levels import Scale

RUN = {
    "datasets": [
        {"images": "a", "ratings": "a/scores.csv", "scale": "1:5", "dataset": "first"},
        {"images": ["b", "c"], "ratings_task": "aesthetic", "scale": "100:0"},
    ],
    "corpus": "out/corpus.duckdb",
    "tasks": ["quality"],
    "cues": "sharpness",
    "n": 2,
    "temperature": 1,
    "models": [
        "measured",
        {
            "id": "org/model",
            "revision": "main",
            "dtype": "bfloat16",
            "context": 4096,
            "shots": 0,
            "max_tokens": 80,
            "options": {"gpu-memory-utilization": 0.8},
        },
    ],
}


def written(folder: Path, content: Any) -> Path:
    path = folder / "run.yaml"
    path.write_text(content if isinstance(content, str) else yaml.safe_dump(content))
    return path


def merged(file: Path | None, **changes: Any) -> RunConfig:
    said: dict[str, Any] = {"images": [], "source": {}, "models": [], "every_model": {}, "run": {}}
    return merge_config(file, **{**said, **changes})


def test_a_run_file_says_everything(tmp_path: Path) -> None:
    config = read_config(written(tmp_path, RUN))
    first, second = config.sources
    assert first.images == (tmp_path / "a",)
    assert first.ratings == tmp_path / "a/scores.csv"
    assert (first.scale, first.dataset) == (Scale(1, 5), "first")
    assert second.images == (tmp_path / "b", tmp_path / "c")
    assert (second.scale, second.ratings_task) == (Scale(100, 0), "aesthetic")
    assert config.corpus == tmp_path / "out/corpus.duckdb"
    assert (config.tasks, config.cues, config.n) == (("quality",), ("sharpness",), 2)
    measured, model = config.models
    assert measured == ModelSpec(id="measured")
    assert (model.revision, model.dtype, model.context, model.shots) == (
        "main",
        "bfloat16",
        4096,
        0,
    )
    assert model.options == {"gpu_memory_utilization": 0.8}
    assert model.sampling(config.sampling) == Sampling(1.0, 0.95, 80)


def test_a_model_directory_is_relative_to_the_run_file(tmp_path: Path) -> None:
    (tmp_path / "models" / "own").mkdir(parents=True)
    config = read_config(written(tmp_path, {"images": "a", "models": ["models/own", "org/other"]}))
    assert [model.id for model in config.models] == [str(tmp_path / "models/own"), "org/other"]


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("[1, 2]", ["not a YAML mapping"]),
        ("a: [", ["cannot be read as YAML"]),
        ({"temprature": 1}, ["unknown key 'temprature'", "temperature"]),
        ({"models": [{"id": "x", "dtyp": "y"}]}, ["models[0]", "'dtyp'", "dtype"]),
        ({"models": [{"engine": "vllm"}]}, ["models[0]", "lacks 'id'"]),
        ({"models": "pocket-a"}, ["'models' is not a list"]),
        ({"datasets": [{"images": "a", "scale": 65}]}, ["'scale'", "in quotes"]),
        ({"datasets": [{"images": "a"}, 3]}, ["datasets[1]", "not a mapping"]),
        ({"n": 0}, ["'n' cannot be 0", "whole number above 0"]),
        ({"n": True}, ["'n' cannot be true"]),
        ({"guided": "yes please"}, ["'guided'", "true or false"]),
        ({"temperature": 9}, ["temperature (--temperature) cannot be 9"]),
        ({"top_p": 0}, ["top_p (--top-p) cannot be 0"]),
        ({"models": [{"id": "x", "temperature": 9}]}, ["[0]: 'temperature' cannot be 9", "0 to 5"]),
        ({"models": ["y", {"id": "x", "top_p": 0}]}, ["models[1]: 'top_p' cannot be 0"]),
        ({"models": [{"id": "x", "deadline": 0}]}, ["models[0]: 'deadline' cannot be 0"]),
        ({"models": [{"id": "x", "deadline": math.inf}]}, ["'deadline' cannot be inf"]),
        ({"models": [{"id": "x", "temperature": math.nan}]}, ["'temperature' cannot be nan"]),
        ({"models": [{"id": "x", "shots": 33}]}, ["'shots' cannot be 33"]),
        ({"tasks": ["beauty"]}, ["unknown task 'beauty'"]),
        ({"on_existing": "replcae"}, ["on_existing", "replace"]),
        ({"images": 3}, ["'images'", "a path or a list of paths"]),
    ],
)
def test_what_a_run_file_may_not_say(tmp_path: Path, content: Any, words: list[str]) -> None:
    path = written(tmp_path, content)
    with pytest.raises((InputError, UsageError)) as caught:
        read_config(path)
    for word in [*words, "run.yaml"]:
        assert word in str(caught.value)


def test_a_missing_run_file_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no run file at"):
        read_config(tmp_path / "nowhere.yaml")


def test_the_command_line_wins(tmp_path: Path) -> None:
    file = written(tmp_path, RUN)
    config = merged(
        file,
        images=[Path("photos")],
        source={"scale": Scale(0, 10), "dataset": None},
        models=["pocket-a"],
        every_model={"gpus": "2", "url": ""},
        run={"n": 5, "temperature": 0.0, "seed": None, "guided": False, "cues": ()},
    )
    (source,) = config.sources
    assert (source.images, source.scale, source.dataset) == ((Path("photos"),), Scale(0, 10), None)
    assert config.models == (ModelSpec(id="pocket-a", gpus="2"),)
    assert (config.n, config.temperature, config.guided) == (5, 0.0, False)
    assert (config.cues, config.seed) == (("sharpness",), 0)


def test_an_option_for_one_dataset_does_not_go_to_two(tmp_path: Path) -> None:
    file = written(tmp_path, RUN)
    with pytest.raises(UsageError, match="names 2 datasets: of which does --score-column speak"):
        merged(file, source={"score_column": "mos"})


def test_without_photos_nothing_is_done() -> None:
    with pytest.raises(UsageError, match="no photos are named"):
        merged(None)


@pytest.mark.parametrize(
    ("spec", "words"),
    [
        (ModelSpec("pocket-a", engine="vlm"), "unknown engine 'vlm'"),
        (ModelSpec("gpt", engine="server"), "no server is named"),
        (ModelSpec("pocket-a", engine="transformers", url="http://x"), "has no server"),
        (ModelSpec("pocket-a", engine="transformers", dtype="float16"), "has no 'dtype'"),
        (ModelSpec("m", engine="server", url="http://x/v1", tensor_parallel=2), "tensor_parallel"),
        (ModelSpec("measured", options={"window": 8}), "measured has no 'options'"),
        (ModelSpec("measured", window=8), "measured has no 'window'"),
        (ModelSpec("m", engine="vllm", gpus="2", options={"tensor_parallel_size": "two"}), "'two'"),
        (ModelSpec("m", engine="vllm", gpus="2", options={"tensor_parallel_size": 0}), "not 0"),
        (ModelSpec("m", engine="vllm", options={"tensor_parallel_size": True}), "not True"),
    ],
)
def test_settings_an_engine_cannot_have(spec: ModelSpec, words: str) -> None:
    with pytest.raises(UniqaError, match=words):
        make_engine(spec)


def test_measured_needs_nothing() -> None:
    assert isinstance(make_engine(ModelSpec("measured", shots=4)), MeasuredEngine)


def test_a_key_that_stands_twice_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="'images' stands there twice"):
        read_config(written(tmp_path, "images: a\nimages: b\n"))


@pytest.mark.parametrize(
    "options",
    [
        {"hf_token": "hf_Very0Secret"},
        {"api_key": "sk-Very0Secret"},
        {"extra": {"extra_headers": {"Authorization": "Bearer Very0Secret"}}},
        {"extra": {"X-Api-Key": "Very0Secret"}},
    ],
)
@pytest.mark.parametrize("model", ["measured", "pocket-a"])
def test_secrets_are_no_options(model: str, options: dict[str, Any]) -> None:
    with pytest.raises(UsageError, match="Set HF_TOKEN in the environment") as caught:
        make_engine(model, engine_options=options)
    assert "Very0Secret" not in str(caught.value)
    with pytest.raises(UsageError, match="would store a secret"):
        make_engine(ModelSpec(model, options=options))


def test_what_only_sounds_like_a_secret_is_an_option() -> None:
    refuse_secrets({"hf_token": True, "max_num_batched_tokens": 2048, "tokenizer": "name"})
    refuse_secrets({"extra": {"prompt_cache_key": "photos", "stop_token_ids": [1]}})
