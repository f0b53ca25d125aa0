"""The report as a file: one page, its own policy, texts that stay texts, clear errors."""

from __future__ import annotations

import base64
import hashlib
import json
import os
import re
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from curation.report import literal
from tests.conftest import Said
from tests.report_corpus import HOSTILE, MODEL, OWN, plant

Curate = Callable[..., Said]


class Page(HTMLParser):
    """What a browser finds in the file: elements, and the texts of scripts and styles."""

    def __init__(self, text: str) -> None:
        super().__init__(convert_charrefs=True)
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.inside: dict[str, list[str]] = {"script": [], "style": []}
        self._open = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        self._open = tag
        if tag in self.inside:
            self.inside[tag].append("")

    def handle_endtag(self, tag: str) -> None:
        self._open = ""

    def handle_data(self, data: str) -> None:
        if self._open in self.inside:
            self.inside[self._open][-1] += data


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return plant(tmp_path_factory.mktemp("report"))


@pytest.fixture
def text(curate: Curate, corpus: Path, tmp_path: Path) -> str:
    said = curate("report", "--corpus", corpus, "-o", tmp_path / "r.html", "--workers", "1")
    assert said.code == 0, said.err
    return (tmp_path / "r.html").read_text("utf-8")


def test_the_page_is_whole_and_allows_nothing_but_its_own(text: str) -> None:
    page = Page(text)
    metas = [attributes for tag, attributes in page.tags if tag == "meta"]
    (policy,) = [one["content"] for one in metas if "http-equiv" in one]
    assert policy is not None
    data, script = page.inside["script"]
    (style,) = page.inside["style"]
    for kind, code in (("script-src", script), ("style-src", style)):
        digest = base64.b64encode(hashlib.sha256(code.encode()).digest()).decode()
        assert f"{kind} 'sha256-{digest}'" in policy
    assert "default-src 'none'" in policy
    assert "connect-src" not in policy
    # Nothing in the file points outside, and no attribute holds code.
    for tag, attributes in page.tags:
        assert tag not in {"iframe", "object", "embed", "base", "form input"}
        for name, value in attributes.items():
            assert not name.startswith("on")
            assert name != "style"
            if name in {"src", "href"}:
                assert (value or "").startswith(("#", "data:"))
    assert json.loads(data)["captions"] == len(HOSTILE) + 36


def test_hostile_texts_are_data_and_never_markup(text: str) -> None:
    page = Page(text)
    assert len(page.inside["script"]) == 2
    assert not any(tag == "img" for tag, _ in page.tags)
    assert OWN not in page.inside["script"][1]
    data = json.loads(page.inside["script"][0])
    for said in HOSTILE.values():
        assert said[:60_000] in data["columns"]["text"]["list"]
    # None of the characters that could end the element or a line of it.
    assert not set("<>&\u2028\u2029") & set(page.inside["script"][0])
    # Outside the data every control character is spelled out.
    outside = text.replace(page.inside["script"][0], "")
    assert not re.search("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]", outside)
    assert "U+202E" in outside
    assert MODEL not in outside


def test_the_same_corpus_gives_the_same_bytes(
    curate: Curate, corpus: Path, tmp_path: Path, text: str
) -> None:
    said = curate("report", "--corpus", corpus, "-o", tmp_path / "again.html", "--json")
    assert said.code == 0
    written = json.loads(said.out)
    assert (tmp_path / "again.html").read_text("utf-8") == text
    assert written["bytes"] == len(text.encode())
    # One photo is gone, and one file holds another photo by now.
    assert (written["photos"], written["without_picture"]) == (7, 2)


def test_fewer_photos_than_there_are(curate: Curate, corpus: Path, tmp_path: Path) -> None:
    options = ("--corpus", corpus, "-o", tmp_path / "r.html", "--images", 3, "--seed", 7)
    said = curate("report", *options)
    assert said.code == 0
    assert "3 of 7 photos" in said.err
    page = (tmp_path / "r.html").read_text("utf-8")
    assert "3 of 7 photos" in page
    assert "with seed 7" in page


def test_errors_are_one_line(curate: Curate, corpus: Path, tmp_path: Path) -> None:
    for arguments, code, word in (
        (("--corpus", tmp_path / "none.duckdb"), 3, "no corpus"),
        (("--corpus", corpus, "-o", corpus), 2, "End its name in .html"),
        (("--corpus", corpus, "-o", tmp_path / "notes.txt"), 2, "notes.txt"),
        (("--corpus", corpus, "--images", -1), 2, "--images"),
    ):
        said = curate("report", *arguments)
        assert said.code == code
        assert (said.out, len(said.errors)) == ("", 1)
        assert word in said.errors[0]
    (tmp_path / "file").write_text("no folder")
    said = curate("report", "--corpus", corpus, "-o", tmp_path / "file" / "r.html", "--images", 0)
    assert (said.code, len(said.errors)) == (3, 1)
    assert not list(tmp_path.glob(".report-*"))


@pytest.mark.skipif(os.geteuid() == 0, reason="the superuser may write everywhere")
def test_a_folder_that_may_not_be_written(curate: Curate, corpus: Path, tmp_path: Path) -> None:
    (tmp_path / "locked").mkdir(mode=0o500)
    said = curate("report", "--corpus", corpus, "-o", tmp_path / "locked" / "r.html")
    assert (said.code, len(said.errors)) == (3, 1)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        (None, ""),
        ("<b>", "<bdi>&lt;b&gt;</bdi>"),
        ("a\x00b", '<bdi>a<span class="control">␀</span>b</bdi>'),
        ("\u202e", '<bdi><span class="control">U+202E</span></bdi>'),
        ("\x7f", '<bdi><span class="control">␡</span></bdi>'),
        ("two\nlines, 👩‍👧", "<bdi>two\nlines, 👩‍👧</bdi>"),
        (3, "<bdi>3</bdi>"),
    ],
)
def test_literal(text: Any, shown: str) -> None:
    assert literal(text) == shown
