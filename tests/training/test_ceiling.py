import math

import numpy as np
import pandas as pd
import pytest

from training.ceiling import half_means, human_ceiling, intraclass, spearman_brown, ticks
from training.metrics import srcc
from training.votes import Votes, read_votes
from uniqa.errors import InputError, UsageError


def panel(photos, raters, noise, seed=0, share=1.0):
    """Votes of raters who see the truth with noise of their own."""
    rng = np.random.default_rng(seed)
    truth = rng.normal(size=photos)
    photo, rater = (a.ravel() for a in np.meshgrid(range(photos), range(raters), indexing="ij"))
    kept = rng.random(len(photo)) < share
    photo, rater = photo[kept], rater[kept]
    value = truth[photo] + noise * rng.normal(size=len(photo))
    return truth, Votes(photo, rater, value)


def judged(truth, votes, **more):
    n = len(truth)
    sums = np.bincount(votes.photo, votes.value, n) / np.bincount(votes.photo, minlength=n)
    groups = [str(k) for k in range(n)]
    return human_ceiling(votes, n, sums, groups, more.pop("scored", {"truth": truth}), **more)


def test_the_ceiling_is_the_agreement_of_a_second_panel():
    truth, votes = panel(400, 12, noise=2.0)
    _, other = panel(400, 12, noise=2.0)
    rng = np.random.default_rng(9)
    second = truth + 2.0 * rng.normal(size=(12, 400)).mean(0)
    first = np.bincount(votes.photo, votes.value) / 12
    found = judged(truth, votes, resamples=200)
    assert found.panel.value == pytest.approx(srcc(first, second), abs=0.05)
    assert found.panel.low < found.panel.value < found.panel.high
    assert found.halves < found.panel.value < found.truth
    assert found.truth == pytest.approx(srcc(first, truth), abs=0.04)
    assert found.panel.value == pytest.approx(spearman_brown(found.halves))
    assert (found.photos, found.raters, found.votes) == (400, 12, 4800)
    # The truth agrees better with a noisy panel than another such panel does.
    assert found.shares["truth"].value > 1
    assert other.raters == 12


def test_shares_are_parts_of_the_ceiling():
    truth, votes = panel(120, 20, noise=1.0)
    rng = np.random.default_rng(1)
    scored = {"good": truth + 0.5 * rng.normal(size=120), "bad": rng.normal(size=120)}
    calls = []
    found = judged(truth, votes, scored=scored, resamples=100, tick=lambda: calls.append(1))
    sums = np.bincount(votes.photo, votes.value) / 20
    expected = srcc(scored["good"], sums) / found.panel.value
    assert found.shares["good"].value == pytest.approx(expected)
    assert found.shares["good"].low < expected < found.shares["good"].high
    assert abs(found.shares["bad"].value) < 0.35
    assert len(calls) == ticks(2)


def test_raters_are_split_not_votes():
    """A rater's own liking must not stand on both sides: here all that raters have are likings."""
    rng = np.random.default_rng(0)
    photos = 60
    votes = Votes(
        np.repeat(np.arange(photos), 2),
        np.arange(2 * photos) % 4,
        rng.normal(size=2 * photos),
    )
    for one, other in half_means(votes, photos, 50, seed=0):
        assert not (np.isfinite(one) & np.isfinite(other) & (one == other)).any()
    sides = {tuple(np.isfinite(one)) for one, _ in half_means(votes, photos, 50, seed=0)}
    assert len(sides) > 1


def test_halves_are_seeded():
    truth, votes = panel(50, 9, noise=1.0)
    one, two = (judged(truth, votes, resamples=50, seed=4) for _ in range(2))
    assert one == two
    assert judged(truth, votes, resamples=50, seed=5).halves != one.halves


def test_shrout_and_fleiss_own_example():
    """Table 2 of Shrout & Fleiss 1979: six targets, four judges; ICC(2,4) = .62, ICC(1,4) = .44."""
    table = np.array(
        [[9, 2, 5, 8], [6, 1, 3, 2], [8, 4, 6, 8], [7, 1, 2, 6], [10, 5, 6, 9], [6, 2, 4, 7]], float
    )
    photo, rater = (a.ravel() for a in np.indices(table.shape))
    value, kind = intraclass(Votes(photo, rater, table.ravel()))
    assert kind == "ICC(2,k)"
    assert value == pytest.approx(0.62, abs=0.005)
    # The same votes by twenty-four people are nested: the one-way form.
    value, kind = intraclass(Votes(photo, np.arange(24), table.ravel()))
    assert kind == "ICC(1,k)"
    assert value == pytest.approx(0.44, abs=0.005)


def test_incomplete_panels_do():
    truth, votes = panel(150, 40, noise=1.0, share=0.3)
    found = judged(truth, votes, resamples=50)
    assert found.icc_kind == "ICC(1,k)"
    assert 0.8 < found.icc < 1
    assert 0.8 < found.panel.value < 1
    assert 0.4 < found.single < found.panel.value


def test_votes_that_tell_nothing_are_not_a_number():
    votes = Votes(np.array([0, 1]), np.array([0, 1]), np.array([1.0, 2.0]))
    found = judged(np.array([0.0, 1.0]), votes, resamples=10)
    assert math.isnan(found.panel.value)
    assert math.isnan(found.icc)
    assert math.isnan(found.single)


def write(path, text):
    path.write_text(text)
    return path


def test_columns_are_guessed_and_said(tmp_path, capsys):
    table = write(tmp_path / "v.csv", "user,photo,score\nann,b.jpg,3\nbob,a.jpg,5\nann,a.jpg,4\n")
    votes = read_votes(table, ["a.jpg", "b.jpg"])
    assert votes.photo.tolist() == [0, 0, 1]
    assert votes.value[votes.photo == 1].tolist() == [3.0]
    assert votes.raters == 2
    assert "'photo' of v.csv is taken as the image" in capsys.readouterr().err


@pytest.mark.parametrize("kind", ["csv.gz", "parquet", "tsv"])
def test_kinds_of_tables(tmp_path, kind):
    frame = pd.DataFrame({"image": ["a", "b"], "rater": [1, 2], "rating": [1, 2]})
    path = tmp_path / f"v.{kind}"
    if kind == "parquet":
        frame.to_parquet(path)
    else:
        frame.to_csv(path, index=False, sep="\t" if kind == "tsv" else ",")
    assert read_votes(path, ["a.jpg", "b.jpg"]).value.tolist() == [1.0, 2.0]


def test_photos_are_found_by_file_name_and_stem_unless_two_could_be_meant(tmp_path):
    table = write(tmp_path / "v.csv", "image,rater,rating\nx/a.png,1,1\nb,1,2\nc.jpg,1,3\n")
    votes = read_votes(table, ["in/a.png", "b.jpeg", "one/c.jpg", "two/c.jpg"])
    assert dict(zip(votes.photo.tolist(), votes.value.tolist(), strict=True)) == {0: 1.0, 1: 2.0}


def test_second_votes_are_averaged_and_bad_ones_left_out(tmp_path, capsys):
    rows = ["a,1,2", "a,1,4", "a,2,", "a,3,nan", "a,,5", "b,1,inf", "b,2,1"]
    table = write(tmp_path / "v.csv", "image,rater,rating\n" + "\n".join(rows) + "\n")
    votes = read_votes(table, ["a", "b"])
    assert votes.value.tolist() == [3.0, 1.0]
    err = capsys.readouterr().err
    assert "4 votes of v.csv left out" in err
    assert "1 votes of v.csv are a rater's second" in err


@pytest.mark.parametrize(
    ("text", "error", "says"),
    [
        ("image,rating\na,1\n", InputError, "no rater column"),
        ("image,rater\na,1\n", InputError, "no rating column"),
        ("image,rater,rating\n", InputError, "no rows"),
        ("image,rater,rating\na,1,good\n", InputError, "holds no numbers"),
        ("image,rater,rating\nz,1,3\n", InputError, "no vote in .* is on a photo"),
    ],
)
def test_unusable_votes_are_one_line(tmp_path, text, error, says):
    with pytest.raises(error, match=says) as caught:
        read_votes(write(tmp_path / "v.csv", text), ["a", "b"])
    assert "\n" not in str(caught.value)


def test_named_columns(tmp_path):
    table = write(tmp_path / "v.csv", "x,y,z\na,1,3\n")
    assert read_votes(table, ["a"], "x,y,z").value.tolist() == [3.0]
    with pytest.raises(UsageError, match="has no column 'w'"):
        read_votes(table, ["a"], "x,y,w")
    with pytest.raises(UsageError, match="names 2 columns"):
        read_votes(table, ["a"], "x,y")
    with pytest.raises(InputError, match="no table at"):
        read_votes(tmp_path / "none.csv", ["a"])


def test_votes_of_some_photos_are_numbered_anew():
    votes = Votes(np.array([0, 1, 2, 2]), np.array([0, 0, 0, 1]), np.arange(4.0))
    some = votes.of([2, 0])
    assert some.photo.tolist() == [1, 0, 0]
    assert some.value.tolist() == [0.0, 2.0, 3.0]


def test_votes_on_copies_are_votes_on_the_photo():
    votes = Votes(np.array([0, 1, 1, 2, 3]), np.array([0, 0, 1, 0, 1]), np.arange(5.0))
    one = votes.on({0: 0, 1: 0, 2: 2})
    assert one.photo.tolist() == [0, 0, 2]
    assert one.rater.tolist() == [0, 1, 0]
    assert one.value.tolist() == [0.5, 2.0, 3.0], "a rater's two votes on one photo are one"
