"""What a model gets to see, in code and at the command line."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import typer

from curation.pocket.shipped import shipped_models
from curation.prompts import Exemplar, PromptLibrary
from curation.prompts_cli import app
from curation.render import Rendered, render
from tests.conftest import Said
from uniqa.console import run
from uniqa.errors import InputError, UsageError
from uniqa.photos import image_id_of

LIBRARY = PromptLibrary()
START = LIBRARY.cue("quality", "score").answer_start
needs_pocket = pytest.mark.skipif(
    "pocket-a" not in shipped_models(), reason="the pocket models are not in this checkout"
)


@pytest.fixture
def photo(tmp_path: Path, make_photo: Callable[..., Path]) -> Path:
    return make_photo(tmp_path / "photo.png", size=(900, 600))


@pytest.fixture
def shots(tmp_path: Path, make_photo: Callable[..., Path]) -> tuple[Exemplar, ...]:
    paths = [make_photo(tmp_path / f"shot{n}.png", seed=n + 1, size=(60, 40)) for n in range(2)]
    return tuple(
        Exemplar(image_id_of(path), str(path), "How is it?", f"Answer {n}.", "fair")
        for n, path in enumerate(paths)
    )


def ask(cue: str = "sharpness", **more: Any) -> Any:
    return LIBRARY.worded("quality", cue, 0, **more)


# ---- in code ------------------------------------------------------------------------------------


def test_turns_hold_what_is_said_and_photos_as_they_are_shrunk(
    photo: Path, shots: tuple[Exemplar, ...]
) -> None:
    question = ask(level="good", exemplars=shots)
    rendered = render(question, photo)
    assert [turn.role for turn in rendered.turns] == [
        "system", "user", "assistant", "user", "assistant", "user"
    ]  # fmt: skip
    assert [turn.photo and Path(turn.photo.path).name for turn in rendered.turns] == [
        None, "shot0.png", None, "shot1.png", None, "photo.png"
    ]  # fmt: skip
    last = rendered.turns[-1]
    assert last.text == question.text
    assert last.photo is not None
    assert (last.photo.width, last.photo.height) == (768, 512)
    assert last.photo.shown == "photo.png 768×512 (of 900×600)"
    assert last.photo.image_id == image_id_of(photo)
    assert (rendered.prompt, rendered.tokens) == ("", None)


def test_a_question_for_the_level_ends_with_an_answer_begun(photo: Path) -> None:
    rendered = render(ask("score"), photo)
    assert (rendered.turns[-1].role, rendered.turns[-1].text) == ("assistant", START)
    assert rendered.turns[-2].photo is not None


def test_what_cannot_be_shown_says_why(photo: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="No such file"):
        render(ask(), tmp_path / "none.png")
    with pytest.raises(UsageError, match="'measured' reads no prompts"):
        render(ask(), photo, "measured")
    with pytest.raises(UsageError, match="unknown model 'pocket-z'"):
        render(ask(), photo, "pocket-z")
    gone = Exemplar("x", str(tmp_path / "gone.png"), "?", "!")
    with pytest.raises(InputError, match=r"gone\.png"):
        render(ask(exemplars=(gone,)), photo)


@needs_pocket
def test_the_prompt_and_its_tokens_are_those_of_the_engine(
    photo: Path, shots: tuple[Exemplar, ...]
) -> None:
    pytest.importorskip("transformers")
    from curation.engines.base import Answer, Request, Sampling
    from curation.engines.transformers import TransformersEngine
    from uniqa.photos import read_photo

    question = ask()
    rendered = render(question, photo, "pocket-a")
    engine = TransformersEngine("pocket-a", max_side=512)
    payload = engine.prepare(read_photo(photo, max_side=engine.max_side))
    request = Request("c", "i", payload, question, Sampling(0.0, 1.0, 4), 0)
    (answer,) = engine.generate([request])
    engine.close()
    assert isinstance(answer, Answer)
    assert rendered.tokens is not None
    assert rendered.tokens.total == answer.prompt_tokens
    assert rendered.tokens.text + rendered.tokens.image == rendered.tokens.total
    assert rendered.model == f"pocket-a@{engine.revision}"
    assert question.system in rendered.prompt
    assert rendered.prompt.rstrip().endswith("Assistant:")
    with_shots = render(ask(exemplars=shots), photo, "pocket-a")
    assert with_shots.tokens is not None
    # Three photos of as many tiles each.
    assert with_shots.tokens.image == 3 * rendered.tokens.image
    assert with_shots.prompt.index("Answer 0.") < with_shots.prompt.index("Answer 1.")


@needs_pocket
def test_the_prompt_of_a_question_for_the_level_goes_on(photo: Path) -> None:
    pytest.importorskip("transformers")
    rendered = render(ask("score"), photo, "pocket-a")
    assert rendered.prompt.endswith(f"Assistant: {START}")


def test_a_model_without_a_chat_template_gets_one_photo_and_a_text(
    photo: Path, shots: tuple[Exemplar, ...], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    import numpy as np

    from curation import render as module

    class Tokenizer:
        chat_template = None

        def __call__(self, text: str, **_: Any) -> dict[str, Any]:
            return {"input_ids": text.split()}

    class Captioner:
        chat_template = None
        tokenizer = Tokenizer()
        image_processor = None

        def __call__(self, text: list[str], images: list[Any], **_: Any) -> dict[str, Any]:
            assert len(images) == 1
            return {"attention_mask": np.ones((1, len(text[0].split()) + 32))}

    monkeypatch.setattr(module, "locate_model", lambda name: (tmp_path, name, "r1"))
    monkeypatch.setattr(module, "_processor", lambda *_: Captioner())
    rendered: Rendered = render(ask("score", exemplars=shots), photo, "captioner")
    (turn,) = rendered.turns
    assert turn.photo is not None
    assert Path(turn.photo.path) == photo
    assert turn.text == rendered.prompt
    assert "Answer 1." in rendered.prompt
    assert rendered.prompt.endswith(START)
    assert rendered.tokens is not None
    assert rendered.tokens.image == 32


# ---- at the command line ------------------------------------------------------------------------


@pytest.fixture
def prompts(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> Callable[..., Said]:
    def call(*arguments: object) -> Said:
        monkeypatch.setattr(sys, "argv", ["prompts", *map(str, arguments)])
        capfd.readouterr()
        with pytest.raises(SystemExit) as ended:
            run(app, "prompts")
        said = capfd.readouterr()
        code = ended.value.code
        return Said(code if isinstance(code, int) else 1, said.out, said.err)

    return call


@pytest.mark.parametrize("command", ["list", "show", "render"])
def test_every_command_has_help(prompts: Callable[..., Said], command: str) -> None:
    assert prompts(command, "--help").code == 0
    described = typer.main.get_command(app).commands[command]  # type: ignore[attr-defined]
    assert described.help
    assert all(getattr(one, "help", None) for one in described.params)


def test_list_names_every_cue(prompts: Callable[..., Said]) -> None:
    rows = json.loads(prompts("list", "--json").out)
    cues = {(row["task"], row["cue"]) for row in rows}
    assert {("quality", "sharpness"), ("quality", "score"), ("aesthetic", "light")} <= cues
    score = next(row for row in rows if (row["task"], row["cue"]) == ("quality", "score"))
    assert (score["kind"], score["temperature"], score["guided"]) == ("level", 0, 0)
    said = prompts("list")
    assert said.code == 0
    assert all(cue in said.out for _, cue in cues)


def test_show_prints_the_wordings_of_a_cue_or_a_task(prompts: Callable[..., Said]) -> None:
    noise = LIBRARY.tasks["quality"].cues["noise"]
    shown = json.loads(prompts("show", "quality/noise", "--json").out)
    assert [one["wording"] for one in shown["wordings"]] == [*noise.guided, *noise.unguided]
    assert shown["known"] == list(LIBRARY.tasks["quality"].known)
    whole = json.loads(prompts("show", "quality", "--json").out)
    assert {one["cue"] for one in whole["wordings"]} == set(LIBRARY.tasks["quality"].all_cues)
    assert noise.unguided[0] in prompts("show", "quality/noise").out


def test_show_and_list_look_into_a_folder_of_ones_own(
    prompts: Callable[..., Said], tmp_path: Path
) -> None:
    (tmp_path / "mine.yaml").write_text(
        "task: quality\nsystem: Look.\ncues:\n  grain:\n    default: true\n"
        "    guided: ['It is {level}. Grain?']\n    unguided: ['Grain?']\n"
    )
    rows = json.loads(prompts("list", "--prompts", tmp_path, "--json").out)
    assert [(row["task"], row["cue"]) for row in rows] == [("quality", "grain")]
    assert "Grain?" in prompts("show", "quality/grain", "--prompts", tmp_path).out


def test_render_prints_messages(prompts: Callable[..., Said], photo: Path) -> None:
    arguments = ["render", "quality/sharpness", photo, "--level", "good", "--known", "blur"]
    data = json.loads(prompts(*arguments, "--json").out)
    assert [one["role"] for one in data["messages"]] == ["system", "user"]
    assert "good" in data["messages"][1]["text"]
    assert "blur" in data["messages"][1]["text"]
    asked = LIBRARY.question(
        "quality", "sharpness", image_id=image_id_of(photo), level="good", seed=0, known="blur"
    )
    assert (data["template"], data["prompt_id"]) == (asked.template, asked.prompt_id)
    said = prompts(*arguments)
    assert (said.code, asked.template in said.err) == (0, True)
    alone = json.loads(prompts(*arguments, "--model", "", "--json").out)
    assert (alone["model"], alone["tokens"]) == (None, None)
    third = json.loads(prompts("render", "quality/noise", photo, "--index", "2", "--json").out)
    assert third["template"] == "quality/noise/unguided/2"


@needs_pocket
def test_render_prints_the_exact_prompt_of_a_model(
    prompts: Callable[..., Said], photo: Path
) -> None:
    pytest.importorskip("transformers")
    said = prompts("render", "quality/noise", photo)
    assert said.code == 0
    assert "<image>" in said.out
    assert "pocket-a@" in said.err
    assert "tokens" in said.err
    assert prompts("render", "quality/noise", photo, "--model", "pocket-a") == said


def test_render_shows_exemplars_but_never_the_photo_itself(
    prompts: Callable[..., Said], photo: Path, make_photo: Callable[..., Path]
) -> None:
    lines = []
    for number in range(3):
        path = make_photo(photo.parent / f"other{number}.png", seed=number + 5)
        item = {"image": path.name, "task": "quality", "answer": f"Answer {number}."}
        lines.append(json.dumps(item))
    lines.append(json.dumps({"image": photo.name, "task": "quality", "answer": "My own."}))
    (photo.parent / "bank.jsonl").write_text("\n".join(lines))
    options = ["--exemplars", photo.parent / "bank.jsonl", "--shots", "2", "--json"]
    for seed in range(3):
        said = prompts("render", "quality/noise", photo, "--seed", seed, *options)
        data = json.loads(said.out)
        assert len(data["exemplars"]) == 2
        assert "My own." not in said.out


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["show", "quality/sharpnes"], 2, "Did you mean 'quality/sharpness'?"),
        (["show", "qualty"], 2, "Did you mean 'quality'?"),
        (["render", "quality", "PHOTO"], 2, "is a task, not a prompt"),
        (["render", "quality/noise", "PHOTO", "--level", "god"], 2, "Did you mean 'good'?"),
        (["render", "quality/noise", "PHOTO", "--index", "99"], 2, "counted from 0 to"),
        (["render", "quality/noise", "PHOTO", "--model", "pocket-z"], 2, "unknown model"),
        (["render", "quality/noise", "none.png"], 3, "No such file"),
        (["render", "quality/noise", "PHOTO", "--exemplars", "none.yaml"], 3, "none.yaml"),
        (["list", "--prompts", "nowhere"], 3, "no prompt templates"),
    ],
)
def test_what_goes_wrong_is_one_line(
    prompts: Callable[..., Said], photo: Path, arguments: list[str], code: int, words: str
) -> None:
    said = prompts(*(str(photo) if one == "PHOTO" else one for one in arguments))
    assert said.code == code, said.err
    assert len(said.errors) == 1
    assert words in said.errors[0]
    assert said.out == ""
