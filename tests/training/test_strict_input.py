"""Whatever is wrong with what training reads is one line that names the file and the remedy."""

from __future__ import annotations

import importlib
import json
import shutil
import sys

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.training.conftest import write_manifest

PHOTOS = [f"{name} {k}.png" for name in ("astronaut", "coffee") for k in range(6)]


def lines_of(err: str) -> list[str]:
    """What people are told, but for guesses about columns and scales."""
    return [line for line in err.splitlines() if line and not line.startswith("guessed")]


def refused(result: tuple[int, str, str], code: int, *says: str) -> None:
    got, out, err = result
    assert got == code, err
    assert out == ""
    assert len(lines_of(err)) == 1, err
    assert lines_of(err)[0].startswith("error: ")
    for words in says:
        assert words in err
    assert "Traceback" not in err


def table(rows: list[str], head: str = "image,mos") -> str:
    return f"{head}\n" + "\n".join(rows) + "\n"


@pytest.mark.parametrize("command", ["adapt", "evaluate"])
@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", ["is empty (0 bytes)", "a column for the image"]),
        ("image,mos\n", ["has no rows"]),
        (table([f"{p},nan" for p in PHOTOS]), ["holds no numbers", "--score-column"]),
        (table([f"{p}," for p in PHOTOS]), ["holds no numbers", "--score-column"]),
        (table([f"{p},good" for p in PHOTOS]), ["first: 'good'", "--score-column"]),
        (table([f"{p},{k if k else 'inf'}" for k, p in enumerate(PHOTOS)]), ["infinite"]),
        (table([f"{p},3" for p in PHOTOS]), ["are the same (3)", "different quality"]),
        (table([f"no {k}.png,{k}" for k in range(9)]),
         ["none of the 9 photos of", "no 0.png", "--images-root"]),
        (table([f"{k},{k}" for k in range(9)]), ["none of the 9 photos of", "--image-column"]),
        (table([f"{p},{k}" for k, p in enumerate(PHOTOS)], "a,b"), ["no image column"]),
        (table([f"{p},{k}" for k, p in enumerate(PHOTOS)], "image,b"), ["no score column"]),
        (table([f"{p},x,y,z" for p in PHOTOS]), ["more fields in row 2"]),
    ],
)  # fmt: skip
def test_ratings_tables(uniqa_train, model_dir, tiny, tmp_path, command, text, says):
    path = tiny / "unusable ünicode.csv"
    path.write_text(text)
    words = [command, model_dir, "--ratings", path]
    words += ["--out", tmp_path / "out"] if command == "adapt" else ["--bootstrap", 10]
    refused(uniqa_train(*words), 3, path.name, *says)
    assert not (tmp_path / "out").exists()


def test_two_ratings(uniqa_train, model_dir, tiny, tmp_path):
    path = tiny / "two.csv"
    path.write_text(table(["astronaut 0.png,4", "coffee 4.png,2"]))
    refused(
        uniqa_train("evaluate", model_dir, "--ratings", path, "--scale", "1:5"),
        3, path.name, "1 photos to learn from and 1 to test on", "2 or more",
    )  # fmt: skip
    code, _, err = uniqa_train(
        "adapt", model_dir, "--ratings", path, "--scale", "1:5", "--out", tmp_path / "out"
    )
    assert code == 0
    warnings = [line for line in lines_of(err) if line.startswith("warning")]
    assert len(warnings) == 1
    assert "two.csv: 2 ratings are very few to learn from; give 10 or more" in warnings[0]


def test_one_usable_rating(uniqa_train, model_dir, tiny, tmp_path):
    path = tiny / "one.csv"
    path.write_text(table(["astronaut 0.png,4"]))
    refused(
        uniqa_train("adapt", model_dir, "--ratings", path, "--out", tmp_path / "out"),
        3, "one.csv has 1 usable rating", "Two or more",
    )  # fmt: skip


def test_ratings_beyond_the_scale(uniqa_train, model_dir, tiny, tmp_path):
    path = tiny / "beyond.csv"
    path.write_text(table([f"{p},{k + 1}" for k, p in enumerate(PHOTOS)]))
    refused(
        uniqa_train("adapt", model_dir, "--ratings", path, "--scale", "50:100", "--out",
                    tmp_path / "out"),
        3, "beyond.csv lie outside the scale 50–100", "from 1 to 12", "--scale",
    )  # fmt: skip


def test_what_is_no_table(uniqa_train, model_dir, tiny, tmp_path):
    def adapt(path):
        return uniqa_train("adapt", model_dir, "--ratings", path, "--out", tmp_path / "out")

    (tmp_path / "folder").mkdir()
    refused(adapt(tmp_path / "folder"), 3, "no ratings in the folder", "Name a table")
    refused(adapt(tiny / "astronaut 0.png"), 3, "is not a table", ".csv")
    refused(adapt(tmp_path / "none.csv"), 3, "no table at")
    latin = tmp_path / "latin.csv"
    latin.write_bytes("image,mos\nä.jpg,3\n".encode("latin-1"))
    refused(adapt(latin), 3, "latin.csv", "Save it as UTF-8")
    broken = tmp_path / "broken.parquet"
    broken.write_bytes(b"PAR1 nothing")
    refused(adapt(broken), 3, "broken.parquet cannot be read as a table")
    lists = tmp_path / "lists.parquet"
    pq.write_table(pa.table({"image": [[1], [2], [3]], "mos": [1.0, 2.0, 3.0]}), lists)
    refused(adapt(lists), 3, "none of the 3 photos of", "lists.parquet")


def test_names_with_line_ends_and_repeats(uniqa_train, model_dir, tiny, tmp_path):
    for name in PHOTOS[:6]:
        shutil.copy(tiny / name, tmp_path)
    (tmp_path / "new\nline.png").write_bytes((tiny / PHOTOS[8]).read_bytes())
    (tmp_path / "cut\nline.png").write_bytes((tiny / PHOTOS[0]).read_bytes()[:500])
    path = tmp_path / "odd.csv"
    rows = [
        '"new\nline.png",5',
        '"cut\nline.png",5',
        *(f"{p},{k}" for k, p in enumerate(PHOTOS[:6])),
    ]
    path.write_text(table([*rows, f"{PHOTOS[3]},5"]))
    code, out, err = uniqa_train(
        "adapt", model_dir, "--ratings", path, "--scale", "0:5", "--out", tmp_path / "out", "--json"
    )
    assert code == 0, err
    assert json.loads(out)["labels"] == 7
    assert "1 repeated rows merged to a mean MOS" in err
    assert "cut\\nline.png: damaged or truncated" in err


def test_copies_of_a_photo_are_one_photo(uniqa_train, model_dir, tiny, tmp_path):
    """Else one copy could be learned from while the other is tested on."""
    for name in PHOTOS:
        shutil.copy(tiny / name, tmp_path)
    shutil.copy(tiny / PHOTOS[0], tmp_path / "copy.png")
    rows = [f"{p},{k % 5 + 1},train" for k, p in enumerate(PHOTOS[:7])]
    rows += [f"{p},{k % 5 + 1},test" for k, p in enumerate([*PHOTOS[7:], "copy.png"])]
    path = tmp_path / "copies.csv"
    path.write_text(table(rows, "image,mos,split"))
    words = ["evaluate", model_dir, "--ratings", path, "--scale", "1:5", "--bootstrap", 10]
    code, out, err = uniqa_train(*words, "--json")
    assert code == 0, err
    told = json.loads(out)
    assert (told["train"], told["test"], told["unreadable"]) == (7, 5, 0)
    assert "1 photos are copies of others, byte for byte (first: copy.png)" in err


def test_pictures_without_matplotlib_are_refused_before_the_work(
    uniqa_train, model_dir, tiny, tmp_path, monkeypatch
):
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    words = ["evaluate", model_dir, "--ratings", tiny / "tiny.parquet", "--pictures", tmp_path]
    refused(uniqa_train(*words), 3, "pictures need matplotlib", "pip install matplotlib")


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda row: row.pop("captions"), ["no column captions", "uniqa-curate filter"]),
        (lambda row: row.update(captions=[]), ["has 0 train rows with captions"]),
        (lambda row: row.update(score="x"), ["a score that is no number"]),
        (lambda row: [c.update(weight=float("nan")) for c in row["captions"]], ["weight nan"]),
        (lambda row: row.update(split="test"), ["has 0 train rows with captions"]),
    ],
)
def test_manifests(uniqa_train, tiny, tmp_path, change, says):
    rows = pq.read_table(tiny / "tiny.parquet").to_pylist()
    for row in rows:
        change(row)
    path = write_manifest(rows, tmp_path / "wrong.parquet")
    code, out, err = uniqa_train("pretrain", path, "--out", tmp_path / "out")
    assert code == 3
    assert out == ""
    errors = [line for line in lines_of(err) if line.startswith("error")]
    assert len(errors) == 1
    for words in ("wrong.parquet", *says):
        assert words in errors[0]


@pytest.mark.parametrize(
    ("name", "content", "says"),
    [
        ("zero.parquet", b"", "is empty (0 bytes)"),
        ("zero.jsonl", b"", "is empty (0 bytes)"),
        ("cut.parquet", b"PAR1 cut", "cannot be read as a manifest"),
        ("cut.jsonl", b'{"image": 3\n', "cannot be read as a manifest"),
        ("scores.csv", b"image,mos\na,1\n", "is not a manifest"),
    ],
)
def test_what_is_no_manifest(uniqa_train, tmp_path, name, content, says):
    (tmp_path / name).write_bytes(content)
    refused(uniqa_train("pretrain", tmp_path / name, "--out", tmp_path / "out"), 3, name, says)


def test_a_manifest_whose_photos_are_gone(uniqa_train, model_dir, tiny, tmp_path):
    rows = pq.read_table(tiny / "tiny.parquet").to_pylist()
    path = write_manifest(rows, tmp_path / "moved.parquet")
    for words in (["adapt", model_dir, "--ratings", path, "--out", tmp_path / "out"],
                  ["evaluate", model_dir, "--ratings", path]):  # fmt: skip
        refused(uniqa_train(*words), 3, "moved.parquet can be read", "--images-root")


def test_no_captions_for_a_task(tiny, tmp_path, capsys):
    from training.data import read_manifest

    rows = pq.read_table(tiny / "tiny.parquet").to_pylist()
    for row in rows:
        for caption in row["captions"]:
            caption["task"] = "aesthetic"
    path = write_manifest(rows, tmp_path / "silent.parquet")
    assert read_manifest(path).silent_tasks() == ["quality"]
    told = lines_of(capsys.readouterr().err)
    assert len(told) == 1
    assert "silent.parquet" in told[0]
    assert "generate --task quality" in told[0]
    assert read_manifest(path, to_learn=False).silent_tasks() == ["quality"]
    assert read_manifest(tiny / "tiny.parquet").silent_tasks() == []
    assert lines_of(capsys.readouterr().err) == []


def write_json(change):
    def edit(path):
        about = json.loads((path / "model.json").read_text())
        change(about)
        (path / "model.json").write_text(json.dumps(about))

    return edit


def cut(name, count):
    return lambda path: (path / name).write_bytes((path / name).read_bytes()[:count])


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda p: (p / "pytorch_model.bin").write_bytes(b"x"), "pytorch_model.bin is a pickle"),
        (lambda p: (p / "old.pt").write_bytes(b"x"), "old.pt is a pickle"),
        (cut("model.safetensors", 300), "model.safetensors cannot be read"),
        (cut("model.safetensors", -300), "model.safetensors cannot be read"),
        (cut("model.json", 20), "model.json cannot be read"),
        (lambda p: (p / "model.safetensors").unlink(), "model.safetensors cannot be read"),
        (lambda p: (p / "model.json").unlink(), "is not a model directory"),
        (write_json(lambda about: about.update(format=99)), "has model format 99"),
        (write_json(lambda about: about.pop("kind")), "is damaged"),
    ],
)
def test_model_directories(uniqa_train, model_dir, tiny, tmp_path, change, says):
    path = tmp_path / "model"
    shutil.copytree(model_dir, path)
    change(path)
    words = ["score", path, tiny / "camera 0.png", "-o", tmp_path / "s.csv"]
    refused(uniqa_train(*words), 3, str(path), says)
    assert not (tmp_path / "s.csv").exists()


def test_a_photo_that_cannot_be_read(uniqa_train, model_dir, tmp_path):
    (tmp_path / "cut.jpg").write_bytes(b"\xff\xd8\xff\xe0 no more")
    code, _, err = uniqa_train("score", model_dir, tmp_path / "cut.jpg", "-o", tmp_path / "s.csv")
    assert code == 1
    assert len([line for line in lines_of(err) if "cut.jpg" in line]) == 1


@pytest.mark.parametrize(
    ("words", "code", "says"),
    [
        (["--protocol", "best"], 2, "Did you mean 'best-on-test'"),
        (["--confidence", "1"], 2, "--confidence"),
        (["--pass-mark", "9"], 2, "--pass-mark 9 lies outside the scale 1–5"),
        (["--pictures", "FILE"], 2, "is not a folder"),
        (["--predictions", "FOLDER"], 2, "is a folder"),
        (["--votes", "none.csv"], 3, "no table at none.csv"),
        (["--votes", "OTHER"], 3, "no vote in"),
        (["--votes", "ME"], 3, "votes of 1 raters on 6 test photos"),
    ],
)
def test_options_of_evaluate(uniqa_train, model_dir, tiny, tmp_path, words, code, says):
    (tmp_path / "file").write_text("x")
    (tmp_path / "other.csv").write_text("image,rater,rating\nelsewhere.png,1,3\n")
    names = sorted(path.name for path in tiny.glob("*.png"))
    rows = "\n".join(f"{name},me,3" for name in names)
    (tmp_path / "me.csv").write_text(f"image,rater,rating\n{rows}\n")
    places = {"FILE": "file", "FOLDER": "", "OTHER": "other.csv", "ME": "me.csv"}
    words = [str(tmp_path / places[w]) if w in places else w for w in words]
    given = ["evaluate", model_dir, "--ratings", tiny / "tiny.parquet", "--bootstrap", 10, *words]
    got, out, err = uniqa_train(*given)
    assert (got, out) == (code, "")
    errors = [line for line in lines_of(err) if line.startswith("error")]
    assert len(errors) == 1
    assert says in errors[0]


IDLE = [
    (["--beta", 0.2], "--beta", "--loss soft"),
    (["--sigma", 0.1, "--loss", "sigmoid"], "--sigma", "--loss soft"),
    (["--workers", 3], "--workers", "--towers tuned"),
    (["--pixel-cache", 1], "--pixel-cache", "--towers tuned"),
    (["--checkpoint-every", 5], "--checkpoint-every", "--towers tuned"),
    (["--checkpoint-minutes", 5], "--checkpoint-minutes", "--towers tuned"),
    (["--dim", 64, "--model", "some/clip"], "--dim", "a space of its own"),
]


@pytest.mark.parametrize(("given", "option", "remedy"), IDLE)
def test_what_pretrain_would_not_heed(uniqa_train, tiny, tmp_path, given, option, remedy):
    out = tmp_path / "out"
    refused(
        uniqa_train("pretrain", tiny / "tiny.parquet", "--out", out, *given),
        2, f"{option} would change nothing here", remedy,
    )  # fmt: skip
    assert not out.exists()


def test_what_evaluate_and_score_would_not_heed(uniqa_train, model_dir, tiny, tmp_path):
    manifest = tiny / "tiny.parquet"
    evaluate = ["evaluate", model_dir, "--ratings", manifest]
    refused(uniqa_train(*evaluate, "--draws", 3), 2, "--draws", "--labels")
    refused(uniqa_train(*evaluate, "--votes-columns", "a,b,c"), 2, "--votes-columns", "--votes")
    score = ["score", model_dir, tiny, "-o", tmp_path / "s.csv", "--manifest", manifest]
    refused(uniqa_train(*score), 2, "--manifest", "--show")
    refused(uniqa_train(*score, "--show", 2, "--json"), 2, "--manifest", "--show")
    assert not (tmp_path / "s.csv").exists()


def test_too_few_raters_are_refused_before_the_comparison(
    uniqa_train, model_dir, tiny, tmp_path, monkeypatch
):
    def compare(*_):
        raise AssertionError("nothing was to be compared")

    # The package has a function of the module's name.
    module = importlib.import_module("training.commands.evaluate")
    monkeypatch.setattr(module, "compare", compare)
    votes = tmp_path / "votes.csv"
    names = sorted(path.name for path in tiny.glob("camera*.png"))
    votes.write_text(table([f"{name},ann,{k}" for k, name in enumerate(names)], "image,rater,vote"))
    refused(
        uniqa_train("evaluate", model_dir, "--ratings", tiny / "tiny.parquet", "--votes", votes),
        3, "votes.csv has votes of 1 raters on 6 test photos", "Two or more",
    )  # fmt: skip
