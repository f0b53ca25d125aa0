import json

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.training.conftest import write_manifest
from training.data import draw, find_images, hold_back, make_folds, read_manifest, read_rated
from uniqa.errors import InputError, UsageError
from uniqa.levels import Scale


def rows_of(tiny):
    return pq.read_table(tiny / "tiny.parquet").to_pylist()


def test_a_manifest_is_read(tiny):
    manifest = read_manifest(tiny / "tiny.parquet")
    assert len(manifest.images) == 24
    assert manifest.images[0].is_file()
    assert manifest.main_task() == "quality"
    assert {manifest.splits[row] for row in manifest.rows("train")} == {"train"}
    assert manifest.captions[0][1].weight == 0.5


def test_json_lines_are_a_manifest_too(tiny):
    path = tiny / "tiny.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows_of(tiny)))
    one, other = read_manifest(path), read_manifest(tiny / "tiny.parquet")
    assert one.ids == other.ids
    assert one.captions == other.captions


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda row: row.pop("captions"), "no column captions"),
        (lambda row: row.update(caption="x"), "unknown column 'caption'"),
        (lambda row: row.update(split="dev"), "unknown split 'dev'"),
        (lambda row: row.update(task="beauty"), "unknown task 'beauty'"),
        (lambda row: row.update(score=3.5), "scores outside 0–1"),
        (lambda row: row.update(image_id="abc"), "no SHA-256"),
        (lambda row: row.update(captions="text"), "not a list of captions"),
        (lambda row: row["captions"][0].update(weight=0.0), "weight 0.0 is not above 0"),
        (lambda row: row["captions"][0].update(text=" "), "caption without text"),
        (lambda row: [c.pop("weight") for c in row["captions"]], "caption without `weight`"),
    ],
)
def test_other_schemas_are_one_clear_line(tiny, tmp_path, change, words):
    rows = rows_of(tiny)
    for row in rows:
        change(row)
    with pytest.raises(InputError, match=words):
        read_manifest(write_manifest(rows, tmp_path / "other.parquet"))


def test_damaged_missing_and_empty_manifests(tiny, tmp_path):
    with pytest.raises(InputError, match="no manifest at"):
        read_manifest(tmp_path / "none.parquet")
    (tmp_path / "bad.parquet").write_bytes(b"PAR1 this is no parquet")
    with pytest.raises(InputError, match="cannot be read as a manifest"):
        read_manifest(tmp_path / "bad.parquet")
    (tmp_path / "list.txt").write_text("x")
    with pytest.raises(InputError, match="is not a manifest"):
        read_manifest(tmp_path / "list.txt")
    schema = pq.read_schema(tiny / "tiny.parquet")
    pq.write_table(pa.Table.from_pylist([], schema), tmp_path / "empty.parquet")
    with pytest.raises(InputError, match="no rows"):
        read_manifest(tmp_path / "empty.parquet")


def test_photos_without_ratings_may_stand_in_a_manifest(tiny, tmp_path):
    rows = rows_of(tiny)
    for row in rows[:6]:
        row.update(mos=None, mos_std=None, score=None, level="", task="")
    manifest = read_manifest(write_manifest(rows, tmp_path / "some.parquet"))
    assert manifest.scores[0] != manifest.scores[0]
    assert manifest.main_task() == "quality"


def test_a_manifest_is_a_ratings_table(tiny):
    rated = read_rated(tiny / "tiny.parquet")
    assert rated.scale.name == "linear[1,5]"
    assert rated.task == "quality"
    assert rated.splits.count("test") == 6


def test_told_splits_are_kept_and_groups_never_straddle(tiny, tmp_path):
    rows = rows_of(tiny)
    rows[0]["split"] = "test"
    rated = read_rated(write_manifest(rows, tiny / "straddling.parquet"))
    pool, test = hold_back(rated, 0.3, 0)
    assert not {rated.groups[r] for r in pool} & {rated.groups[r] for r in test}
    assert 0 in test
    assert len(test) == 7


def test_splits_are_made_by_group_where_none_are_told(tiny, tmp_path):
    path = tiny / "ratings.csv"
    lines = [f"{row['image']},{row['mos']},{row['group']}" for row in rows_of(tiny)]
    path.write_text("image,mos,content\n" + "\n".join(lines))
    rated = read_rated(path)
    pool, test = hold_back(rated, 0.3, 0)
    assert sorted(pool + test) == list(range(24))
    assert not {rated.groups[r] for r in pool} & {rated.groups[r] for r in test}
    assert hold_back(rated, 0.3, 0) == (pool, test)


def test_one_group_cannot_be_split(tiny):
    rated = read_rated(tiny / "tiny.parquet").take(range(6))
    with pytest.raises(InputError, match="different groups"):
        hold_back(rated, 0.3, 0)


def test_draws_do_not_depend_on_order():
    ids = [f"photo{k}" for k in range(20)]
    drawn = {ids[row] for row in draw(ids, 5, 1)}
    backwards = ids[::-1]
    assert len(drawn) == 5
    assert {backwards[row] for row in draw(backwards, 5, 1)} == drawn
    assert {ids[row] for row in draw(ids, 5, 2)} != drawn
    assert draw(ids, 0, 1) == list(range(20))


def test_folds_keep_groups_whole():
    groups = [f"g{k % 7}" for k in range(30)]
    folds = make_folds(groups, 0)
    assert sorted(row for fold in folds for row in fold) == list(range(30))
    homes = [{groups[row] for row in fold} for fold in folds]
    assert sum(len(home) for home in homes) == 7


def test_photos_from_folders_files_and_tables(tiny, tmp_path):
    folder = find_images([tiny])
    assert len(folder) == 24
    table = find_images([tiny / "tiny.parquet"])
    assert {path.name for path in table} == {path.name for path in folder}
    assert find_images([folder[0], folder[0], tiny])[0] == folder[0]
    assert len(find_images([folder[0], tiny])) == 24
    names = tiny / "unrated.csv"
    names.write_text("image,mos\n" + "\n".join(f"{p.stem}," for p in folder[:3]))
    assert find_images([names]) == folder[:3]
    with pytest.raises(InputError, match="nothing at"):
        find_images([tmp_path / "gone"])
    with pytest.raises(InputError, match="no photos"):
        find_images([tmp_path])


def test_unknown_task_of_ratings(tiny):
    with pytest.raises(UsageError, match="Did you mean"):
        read_rated(tiny / "tiny.parquet", task="qualty")


@pytest.fixture
def two_tasks(tiny):
    """Every other photo is rated for quality, the others for aesthetics, upside down."""
    rows = rows_of(tiny)
    for row in rows[1::2]:
        row.update(task="aesthetic", mos=6 - row["mos"], score=1 - row["score"])
    return rows, write_manifest(rows, tiny / "two tasks.parquet")


def test_only_the_ratings_of_a_task_are_taken(two_tasks, capsys):
    rows, path = two_tasks
    for start, task in enumerate(("quality", "aesthetic")):
        rated = read_rated(path, task=task)
        assert rated.task == task
        assert rated.names == [row["image"] for row in rows[start::2]]
        assert rated.scores == pytest.approx([row["score"] for row in rows[start::2]])
        assert f"12 rows left out: rated for another task than {task}" in capsys.readouterr().err


def test_a_photo_may_be_rated_for_both_tasks_where_one_is_chosen(tiny):
    rows = rows_of(tiny)
    again = [row | {"task": "aesthetic", "mos": 6 - row["mos"]} for row in rows]
    path = write_manifest(rows + again, tiny / "both.parquet")
    assert read_rated(path, task="quality").scores == pytest.approx([r["score"] for r in rows])
    with pytest.raises(InputError, match="quality and aesthetic"):
        read_rated(path)


def test_a_table_of_several_tasks_wants_one_named(two_tasks, tiny, uniqa_train, model_dir):
    for command in (["adapt", model_dir, "--out", tiny / "none"], ["evaluate", model_dir]):
        code, _, err = uniqa_train(*command, "--ratings", two_tasks[1])
        assert code == 3
        (line,) = [one for one in err.splitlines() if one.startswith("error")]
        assert "has ratings for quality and aesthetic" in line
        assert "--task" in err
    with pytest.raises(InputError, match="no ratings for the task 'aesthetic', only for quality"):
        read_rated(tiny / "tiny.parquet", task="aesthetic")


def test_a_column_task_with_other_words_says_nothing(tiny):
    path = tiny / "jobs.csv"
    lines = [f"{row['image']},{row['mos']},denoise" for row in rows_of(tiny)]
    path.write_text("image,mos,task\n" + "\n".join(lines))
    rated = read_rated(path, task="aesthetic", scale=Scale(1, 5))
    assert (rated.task, len(rated.names)) == ("aesthetic", 24)


def test_unrated_rows_name_no_second_task(two_tasks, tiny):
    rows = [row | {"mos": None} if row["task"] == "aesthetic" else row for row in two_tasks[0]]
    rated = read_rated(write_manifest(rows, tiny / "half rated.parquet"))
    assert (rated.task, len(rated.names)) == ("quality", 12)
