from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import typer

from uniqa import console
from uniqa.errors import CorpusBusyError, InputError


def test_cells_make_control_characters_visible() -> None:
    shown = console.cell("red\x1b[31m\nnext\tcell\x00\u202e")
    assert shown.isprintable()
    assert "⏎" in shown
    assert "\x1b" not in shown
    assert shown.startswith("red")


@pytest.mark.parametrize(
    ("value", "shown"),
    [(None, "–"), (0.123456, "0.1235"), (1234567.8, "1,234,568"), ("plain ü 写真", "plain ü 写真")],
)
def test_cells_are_short(value: object, shown: str) -> None:
    assert console.cell(value) == shown
    assert len(console.cell("x" * 9000)) <= 500


def test_tables_print_markup_literally(capsys: pytest.CaptureFixture[str]) -> None:
    console.print_table("[bold]title", ["[red]a", "b"], [("[/]x", 1)], right=["b"])
    out = capsys.readouterr().out
    assert "[bold]title" in out
    assert "[red]a" in out
    assert "[/]x" in out


def test_long_cells_of_a_pipe_are_not_cut(capsys: pytest.CaptureFixture[str]) -> None:
    path = "/very/long/" + "folder/" * 14 + "photo.jpg"
    console.print_table("", ["path"], [(path,)])
    assert path in capsys.readouterr().out


def test_json_is_one_strict_document(capsys: pytest.CaptureFixture[str]) -> None:
    console.print_json({"a": float("nan"), "b": [float("inf"), 1.5], "c": "ü", "d": (1, None)})

    def refuse(name: str) -> None:
        raise AssertionError(f"{name} is not JSON")

    said = json.loads(capsys.readouterr().out, parse_constant=refuse)
    assert said == {"a": None, "b": [None, 1.5], "c": "ü", "d": [1, None]}


def say_and_end(error: BaseException | None, *arguments: str) -> None:
    app = typer.Typer(pretty_exceptions_enable=False)

    @app.command()
    def work(number: int = 1) -> None:
        """Work."""
        if error is not None:
            raise error

    sys.argv = ["tool", *arguments]
    console.run(app, "tool")


@pytest.mark.parametrize(
    ("error", "code", "line"),
    [
        (
            InputError("no folder at x", "Check the path"),
            3,
            "error: no folder at x. Check the path",
        ),
        (InputError("two\nlines\x0bhere"), 3, "error: two lines here"),
        (CorpusBusyError("held"), 4, "error: held"),
        (KeyboardInterrupt(), 130, "error: interrupted; what was finished is stored"),
        (typer.Exit(7), 7, ""),
        (None, 0, ""),
    ],
)
def test_errors_are_one_line_and_an_exit_code(
    error: BaseException | None,
    code: int,
    line: str,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(sys, "argv", sys.argv)
    with pytest.raises(SystemExit) as ended:
        say_and_end(error)
    assert ended.value.code == code
    said = capsys.readouterr()
    assert said.err.strip() == line
    assert said.out == ""


@pytest.mark.parametrize("arguments", [("--nmber", "1"), ("--number", "x"), ("extra",)])
def test_a_wrong_command_line_is_one_line_too(
    arguments: tuple[str, ...], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "argv", sys.argv)
    with pytest.raises(SystemExit) as ended:
        say_and_end(None, *arguments)
    assert ended.value.code == 2
    lines = capsys.readouterr().err.strip().splitlines()
    assert len(lines) == 1
    assert lines[0].startswith("error: ")


def test_the_first_ctrl_c_asks_and_the_second_stops(capsys: pytest.CaptureFixture[str]) -> None:
    before = signal.getsignal(signal.SIGINT)
    with console.draining() as should_stop:
        assert not should_stop()
        os.kill(os.getpid(), signal.SIGINT)
        assert should_stop()
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), signal.SIGINT)
    assert signal.getsignal(signal.SIGINT) is before
    assert "stopping after the window in flight" in capsys.readouterr().err


def test_a_reader_that_goes_away_is_no_error() -> None:
    code = (
        "import sys, typer; from uniqa import console\n"
        "app = typer.Typer()\n"
        "@app.command()\n"
        "def work() -> None:\n"
        "    for number in range(200000): print(number)\n"
        "console.run(app, 'tool')\n"
    )
    command = f'"{sys.executable}" -c "$CODE" | head -n 1'
    done = subprocess.run(
        ["bash", "-o", "pipefail", "-c", command],
        env={**os.environ, "CODE": code},
        capture_output=True,
        check=False,
        text=True,
        timeout=60,
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "0\n", "")


def test_progress_is_silent_where_nobody_watches(capsys: pytest.CaptureFixture[str]) -> None:
    with console.progress() as bar:
        task = bar.add_task("photos", total=3, note="")
        bar.update(task, advance=3)
    assert capsys.readouterr().err.strip() == ""


def test_a_defect_is_one_line_and_a_file(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    app = typer.Typer()

    @app.command()
    def broken() -> None:
        raise KeyError("oh")

    monkeypatch.setattr(sys, "argv", ["broken"])
    with pytest.raises(SystemExit) as ended:
        console.run(app, "broken")
    assert ended.value.code == 70
    said = capsys.readouterr().err
    assert "Traceback" not in said
    assert "a defect of broken, not of your input (KeyError" in said
    log = Path(said.split("report it with ")[1].strip())
    assert "Traceback" in log.read_text()
    log.unlink()


def test_tables_never_break_a_word(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    words = ["composition", "photographically", "temperature"]
    for width in (30, 60, 100):
        monkeypatch.setenv("COLUMNS", str(width))
        console.print_table("T", ["unguided", "photographs", "wording"], [words, ["a", "b c", "d"]])
        said = capsys.readouterr().out
        assert all(word in said for word in (*words, "unguided", "photographs", "wording")), said
        assert ("row 1" in said) == (width < 60)
