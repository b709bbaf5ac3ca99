"""The report's page in a real browser: every control, at every width, in light and dark, by mouse and keys."""

from __future__ import annotations

import base64
import io
import json
import re
from collections.abc import Iterator
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from bench.store.files import Manifest
from bench.types import Row, RunResult
from reports.build import write_table
from reports.columns import Column
from reports.render.filters import TableFilters, method_kind
from reports.render.html import EmbeddedFigure, PageTable, page
from reports.render.stated_rules import StatedRules
from reports.results.entries import read_suite
from reports.results.image_browser import EmbeddedImage, ImageBrowser, ImageNumbers, image_browsers
from reports.results.image_counts import read_counted
from reports.table import Cell, Line, Table
from reports.tables.comparison import comparison_table
from reports.tables.errors import errors_table
from tests.reports.chromium import Tab, chromium
from tests.reports.fake_runs import ACM, DFINET, measured, result, write_suite

EVIL = '<img src=x onerror=alert(1)></script> "&{{7*7}}'


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with chromium() as opened:
        yield opened


def write_page(folder: Path) -> Path:
    """The page of two datasets and three methods, one of them with a hostile label, with pictures and two figures."""
    rows: list[tuple[str, RunResult | None, Row | None]] = []
    ablation = replace(ACM, name="ACM-without", ablates="ACM")
    for dataset in ("NUAA-SIRST", "NUDT-SIRST"):
        for label, info, skill in (("DFINet", DFINET, 0.9), (EVIL, ACM, 0.5), ("U-Net", ablation, 0.7)):
            rows.append((label, measured(result(info, dataset), folder, skill=skill, frames=4), None))
    write_suite(folder, rows, title=f"Trial {EVIL}")
    manifest, entries = read_suite(folder, "trial")
    tables = {
        "Comparison": ("table", comparison_table(entries, title=manifest.title)),
        "Errors by cause": ("errors", errors_table(entries, title=manifest.title)),
    }
    out = folder / "out"
    (out / "figures").mkdir(parents=True)
    figures = []
    for number, name in enumerate(("roc", "loss")):
        Image.new("L", (60, 40), 100 * number).save(out / "figures" / f"{name}.png")
        (out / "figures" / f"{name}.pdf").write_bytes(b"%PDF-1.7 " + bytes(200_000 * number))
        figures.append(EmbeddedFigure(out / "figures" / f"{name}.png", f"Figure {name} {EVIL}. Seed 42.", wide=False))
    shown = []
    for heading, (stem, table) in tables.items():
        assert table is not None
        write_table(table, out / stem)
        shown.append(PageTable(heading, out / stem, table))
    (out / "results.csv").write_text("a,b\n")
    text = page(
        manifest,
        entries,
        tables=shown,
        figures=figures,
        browsers=image_browsers(read_counted(entries, mixed="refuse")),
        files=[out / "results.csv"],
    )
    (out / "index.html").write_text(text, encoding="utf-8")
    return out / "index.html"


@pytest.fixture(scope="module")
def index(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_page(tmp_path_factory.mktemp("page"))


@pytest.fixture(scope="module")
def tab(browser: Any, index: Path) -> Iterator[Tab]:
    """One page that several tests click in; each leaves it as it was."""
    with Tab(browser, index) as opened:
        yield opened


LABELS = "#table-table tbody th span"


def test_nothing_is_asked_for_and_nothing_complains(browser: Any, index: Path):
    with Tab(browser, index) as opened:
        opened.page.wait_for_timeout(300)
        assert opened.complaints == []
        assert {re.split("[:,]", url)[0] for url in opened.requests} <= {"file", "data"}
        assert [url for url in opened.requests if url.startswith("file")] == [index.as_uri()]


def test_the_same_results_give_the_same_page(index: Path, tmp_path: Path):
    assert write_page(tmp_path).read_bytes() == index.read_bytes()


def test_hostile_texts_are_shown_and_not_run(tab: Tab):
    assert EVIL in tab.texts(LABELS)
    assert EVIL in tab.run("document.title")
    assert EVIL in tab.texts("figcaption .words")[0]
    assert EVIL in tab.run("document.getElementById('images-a').options[1].textContent")
    assert tab.run("document.querySelectorAll('img[src=x]').length") == 0


def test_a_heading_sorts_by_better_first_then_the_other_way_then_as_before(tab: Tab):
    order = tab.texts(LABELS)
    heads = tab.page.locator("#table-table thead tr:last-child th")
    sort = heads.nth(1).locator("button")
    sort.click()
    assert heads.nth(1).get_attribute("aria-sort") == "descending"
    found = [float(text) for text in tab.texts("#table-table tbody td:nth-child(2) span:first-child")]
    assert found == sorted(found, reverse=True)
    sort.click()
    assert heads.nth(1).get_attribute("aria-sort") == "ascending"
    assert [float(t) for t in tab.texts("#table-table tbody td:nth-child(2) span:first-child")] == sorted(found)
    sort.click()
    assert heads.nth(1).get_attribute("aria-sort") is None
    assert tab.texts(LABELS) == order
    heads.nth(0).locator("button").click()
    assert tab.texts(LABELS) == sorted(order)
    for _ in range(2):
        heads.nth(0).locator("button").click()


def test_lines_without_a_value_come_last_both_ways(tab: Tab):
    """U-Net has no cost."""
    fps = tab.page.locator("#table-table thead tr:last-child th", has_text="FPS").locator("button").first
    for _ in range(2):
        fps.click()
        assert tab.texts(LABELS)[-1] == "U-Net"
    fps.click()


@pytest.mark.parametrize(
    ("text", "number"),
    [("57.60", 57.6), ("−3.5", -3.5), ("1.5 × 8", 12), ("8.0 of 8", 8), ("10,000", 10_000), ("+0.2", 0.2)],
)
def test_numbers_are_read_as_they_are_printed(tab: Tab, text: str, number: float):
    assert tab.run(f"numberOf({json.dumps(text)})") == pytest.approx(number, abs=1e-12)
    assert tab.run("Number.isNaN(numberOf('—'))")


def test_tables_are_filtered_by_method_dataset_and_kind(tab: Tab):
    tab.page.fill("#by-method", "dfi, u-n")
    assert tab.texts(LABELS) == ["DFINet", "U-Net"]
    assert set(tab.texts("#table-errors tbody th span")) == {"DFINet", "U-Net"}
    assert tab.texts("#said") == ["2 of 3 methods shown"]
    tab.page.select_option("#by-kind", "ablation")
    assert tab.texts(LABELS) == ["U-Net"]
    tab.page.select_option("#by-dataset", "NUDT-SIRST")
    assert tab.texts("#table-table th.group") == ["NUDT-SIRST", "Cost"]
    assert tab.texts("#table-errors tbody td:nth-child(2) span:first-child") == ["NUDT-SIRST"]
    tab.page.click("#filters button[type=reset]")
    tab.wait("document.getElementById('said').textContent.startsWith('3 of 3')")
    assert tab.texts("#table-table th.group") == ["NUAA-SIRST", "NUDT-SIRST", "Cost"]


def test_every_link_leads_somewhere(tab: Tab, index: Path):
    for href in tab.run("[...document.querySelectorAll('a')].map((a) => a.getAttribute('href'))"):
        if href.startswith("#"):
            assert tab.run(f"document.getElementById({json.dumps(href[1:])}) !== null"), href
        elif not href.startswith("data:"):
            assert (index.parent / href).is_file(), href
    assert tab.run("new Set([...document.querySelectorAll('[id]')].map((e) => e.id)).size") == tab.run(
        "document.querySelectorAll('[id]').length"
    )
    tab.page.click("nav a[href='#images']")
    assert tab.run("Math.abs(document.getElementById('images').getBoundingClientRect().top) < 120")


def test_files_are_saved_from_the_page_alone(browser: Any, index: Path, tmp_path: Path):
    """The page is opened from a folder that holds nothing else, as when it was mailed."""
    alone = tmp_path / "mailed.html"
    alone.write_bytes(index.read_bytes())
    with Tab(browser, alone) as opened:
        for selector, name in (
            ("#table-table .downloads a >> nth=0", "table.csv"),
            ("#table-table .downloads a >> nth=1", "table.tex"),
            ("#figure-roc .downloads a >> text=PDF", "figures/roc.pdf"),
            ("#figure-roc a.png", "figures/roc.png"),
        ):
            with opened.page.expect_download() as waited:
                opened.page.click(selector)
            assert waited.value.suggested_filename == Path(name).name
            assert Path(waited.value.path()).read_bytes() == (index.parent / name).read_bytes()
        assert opened.texts("#figure-loss .downloads a") == ["PNG", "PDF (beside the page)"]


def test_figures_open_large_and_are_stepped_through_by_keys(tab: Tab):
    link = tab.page.locator("#figure-roc a.large")
    link.focus()
    tab.page.keyboard.press("Enter")
    assert tab.run("document.getElementById('large').open")
    assert tab.texts("#large-count") == ["1 of 2"]
    assert tab.texts("#large-words")[0].startswith("Figure roc")
    tab.page.keyboard.press("ArrowRight")
    assert tab.texts("#large-words")[0].startswith("Figure loss")
    tab.page.keyboard.press("Escape")
    assert not tab.run("document.getElementById('large').open")
    assert tab.run("document.activeElement.parentElement.id") == "figure-roc"


def test_the_gallery_follows_its_sliders(tab: Tab):
    words = tab.page.locator("#gallery-rows .tile:last-child figcaption span").first

    def wait(text: str) -> str:
        shown = "document.querySelector('#gallery-rows .tile:last-child figcaption span').textContent"
        tab.wait(f"{shown}.includes({json.dumps(text)})")
        return str(words.inner_text())

    usual = wait("round 8;")
    assert tab.texts("#gallery-threshold-value") == ["0.5 (scoring)"]
    tab.page.locator("#gallery-threshold").press("End")
    high = wait(" 0 false")
    assert tab.texts("#gallery-threshold-value") == ["0.996"]
    assert usual != high
    tab.page.locator("#gallery-round").press("Home")
    wait("round 1;")
    tab.page.select_option("#gallery-method", label="U-Net")
    wait("IoU")
    assert "round" not in words.inner_text()
    tab.page.select_option("#gallery-method", label="DFINet")
    tab.page.locator("#gallery-threshold").press("Home")


def test_images_stand_worst_first_and_any_two_methods_side_by_side(tab: Tab, index: Path):
    stored = json.loads(tab.run("document.getElementById('image-data').textContent"))
    numbers = stored[0]["methods"]
    names = stored[0]["names"]
    listed = tab.run("[...document.getElementById('images-list').options].map((o) => o.textContent.split(' ').at(-1))")
    mean = np.mean([method["iou"] for method in numbers], axis=0)
    assert [names.index(name) for name in listed] == np.argsort(mean, kind="stable").tolist()
    tab.page.select_option("#images-b", label="U-Net")
    tab.page.select_option("#images-order", label="false alarms of A")
    listed = tab.run("[...document.getElementById('images-list').options].map((o) => Number(o.value))")
    assert all(numbers[0]["alarms"][a] >= numbers[0]["alarms"][b] for a, b in pairwise(listed))
    tab.wait("document.querySelectorAll('#images-tiles canvas')[3].width > 1")
    assert [text.splitlines()[0].partition("  ")[0] for text in tab.texts("#images-tiles b")] == [
        "Image",
        "Ground truth",
        "A: DFINet",
        "B: U-Net",
    ]
    assert "3 of 4 images of NUAA-SIRST have their pictures in this page" in tab.texts("#images-held")[0]
    tab.page.check("#images-drawn")
    assert tab.run("document.getElementById('images-list').options.length") == 3
    tab.page.uncheck("#images-drawn")


def test_pictures_at_the_scorings_threshold_give_the_numbers_of_the_list(tab: Tab):
    """What is drawn of an embedded image has the IoU that the run counted, to its three digits."""
    tab.page.select_option("#images-order", label="IoU, mean of all methods")
    for place in tab.run("Object.keys(JSON.parse(document.getElementById('image-data').textContent)[0].embedded)"):
        tab.page.select_option("#images-list", place)
        listed = re.search(r"DFINet: (IoU [\d.]+)", tab.texts("#images-words")[0])
        assert listed
        caption = "document.querySelector('#images-tiles .tile:nth-child(3) figcaption').textContent"
        tab.wait(f"{caption}.includes({json.dumps(listed[1] + ':')})")


@pytest.mark.parametrize("colours", ["light", "dark"])
def test_colours_follow_the_system_and_the_switch(browser: Any, index: Path, colours: str):
    """All text is told from its ground by 4.5 to 1, the least of WCAG's level AA, in both."""
    with Tab(browser, index, colours=colours) as opened:

        def shades() -> dict[str, float]:
            names = ("paper", "raised", "warm", "ink", "soft", "blue", "good", "bad")
            style = "getComputedStyle(document.documentElement).getPropertyValue"
            return {
                name: luminance(opened.run(f"{style.replace('.getPropertyValue', '')}.getPropertyValue('--{name}')"))
                for name in names
            }

        first = shades()
        assert (first["paper"] > 0.5) == (colours == "light")
        opened.page.click("#theme")
        second = shades()
        assert (second["paper"] > 0.5) == (colours == "dark")
        opened.page.reload()
        assert (shades()["paper"] > 0.5) == (colours == "dark")
        for each in (first, second):
            for text in ("ink", "soft", "blue", "good", "bad"):
                for ground in ("paper", "raised"):
                    light, dark = sorted((each[text], each[ground]), reverse=True)
                    assert (light + 0.05) / (dark + 0.05) >= 4.5, (text, ground)


def luminance(colour: str) -> float:
    """Relative luminance of `#rgb` or `#rrggbb`, as WCAG defines it."""
    digits = colour.strip().lstrip("#")
    digits = "".join(2 * digit for digit in digits) if len(digits) == 3 else digits
    parts = [int(digits[at : at + 2], 16) / 255 for at in (0, 2, 4)]
    red, green, blue = (part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


@pytest.mark.parametrize("width", [360, 768, 1600])
def test_the_page_fits_every_width(browser: Any, index: Path, width: int):
    """Wide tables scroll by themselves, with a hint, and their first column stays."""
    with Tab(browser, index, width=width) as opened:
        assert opened.run("document.documentElement.scrollWidth") == width
        wide = opened.run(
            "(() => { const s = document.querySelector('#table-table .scroller');"
            " return s.scrollWidth > s.clientWidth + 4; })()"
        )
        assert (opened.texts("#table-table .hint") != []) == wide
        assert wide == (width < 1600)
        if wide:
            opened.page.focus("#table-table .scroller")
            opened.page.keyboard.press("End")
            opened.run("document.querySelector('#table-table .scroller').scrollLeft = 1e4")
            opened.wait("!document.querySelector('#table-table .scrolled.more')")
            left = opened.run("document.querySelector('#table-table tbody th').getBoundingClientRect().left")
            frame = opened.run("document.querySelector('#table-table .scroller').getBoundingClientRect().left")
            assert left == pytest.approx(frame, abs=1)


def test_every_control_has_a_name_and_is_reached_by_keys(browser: Any, index: Path):
    with Tab(browser, index) as opened:
        unnamed = opened.run(
            "[...document.querySelectorAll('button, select, input, a')].filter((e) => !(e.textContent.trim()"
            " || e.getAttribute('aria-label') || e.labels?.[0]?.textContent.trim() || e.querySelector('img[alt]')))"
            ".map((e) => e.outerHTML)"
        )
        assert unnamed == []
        opened.page.keyboard.press("Tab")
        assert opened.run("document.activeElement.className") == "skip"
        reached = set()
        for _ in range(150):
            opened.page.keyboard.press("Tab")
            reached.add(opened.run("document.activeElement.id || document.activeElement.className"))
        assert {"theme", "by-method", "by-kind", "large", "gallery-threshold", "images-list", "images-a"} <= reached


def test_the_page_is_readable_without_scripts(browser: Any, index: Path):
    with Tab(browser, index, script=False) as opened:
        assert "DFINet" in opened.texts(LABELS)
        assert opened.texts("#filters") == []
        assert opened.texts("#theme") == []
        assert opened.texts("#gallery") == []
        assert any("need JavaScript" in text for text in opened.texts("noscript p"))
        assert len(opened.texts("figure figcaption")) == 2


def test_sentences_of_several_captions_are_stated_once(index: Path):
    captions = ["Trial. Protocol a.b. Seed 42. Only here.", "Trial. Protocol a.b. Seed 42.", "Seed 42."]
    rules = StatedRules.of(captions, title="Trial")
    assert rules.sentences == ("Protocol a.b.", "Seed 42.")
    assert rules.own(captions[0]) == "Only here."
    assert [rules.shared(caption) for caption in captions] == [(1, 2), (1, 2), (2,)]
    text = re.sub("<[^>]+>", "", index.read_text().partition('id="rows"')[0])
    assert text.count("centroids nearer than 3 px") == 1


def test_a_name_that_only_begins_like_a_dataset_is_none_of_it():
    filters = TableFilters(("NUDT-SIRST-v2", "NUDT-SIRST"), {})
    assert filters.dataset_of("Intervals: NUDT-SIRST") == "NUDT-SIRST"
    assert filters.dataset_in("NUDT-SIRST-v2, noise 3") == "NUDT-SIRST-v2"
    assert filters.dataset_in("NUDT-SIRSTs") == filters.dataset_of("Comparison") == ""


METHODS, IMAGES = 30, 664


def encoded(pixels: NDArray[np.uint8], kind: str) -> str:
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, kind, quality=60)
    return base64.b64encode(stream.getvalue()).decode()


def write_large_page(folder: Path) -> Path:
    """30 methods on two datasets of 664 images, with as many pictures as a page may hold and 30 figures."""
    rng = np.random.default_rng(0)
    rows = [
        (f"Method {number}", result(replace(ACM, name=f"Net{number}"), dataset), None)
        for number in range(METHODS)
        for dataset in ("NUAA-SIRST", "NUDT-SIRST")
    ]
    write_suite(folder, rows)
    manifest, entries = read_suite(folder, "trial")
    (folder / "figures").mkdir()
    Image.fromarray(rng.integers(0, 255, (300, 400), dtype=np.uint8)).save(folder / "figures/roc.png")
    figures = [EmbeddedFigure(folder / "figures/roc.png", "Noise.", wide=False)] * METHODS
    wide = Table(
        "Wide.",
        tuple(Column(f"c{k}") for k in range(24)),
        tuple(Line(f"Method {k}", tuple(Cell(f"{v:.2f}") for v in rng.uniform(0, 99, 24))) for k in range(METHODS)),
    )
    tables = {"table": comparison_table(entries, title="Trial"), **{f"wide-{k}": wide for k in range(9)}}
    for stem, table in tables.items():
        write_table(table, folder / stem)
    noise = rng.integers(0, 255, (256, 256), dtype=np.uint8)
    image, mask = encoded(noise, "WEBP"), encoded(np.where(noise > 253, 255, 0).astype(np.uint8), "PNG")
    shown = encoded(np.where(noise > 250, noise, 0).astype(np.uint8), "PNG")
    browsers = []
    for dataset in ("NUAA-SIRST", "NUDT-SIRST"):
        methods = tuple(
            ImageNumbers(f"Method {k}", *(tuple(rng.integers(0, 1000, IMAGES).tolist()) for _ in range(4)))
            for k in range(METHODS)
        )
        maps = dict.fromkeys(range(METHODS), (shown,))
        one = EmbeddedImage(image, mask, maps, dict.fromkeys(range(METHODS), (1,)))
        embedded = dict.fromkeys(range(3_000_000 // one.size), one)
        browsers.append(
            ImageBrowser(
                dataset, 0.5, 128, tuple(f"{k:06d}" for k in range(IMAGES)), (1,) * IMAGES, methods, embedded, "full"
            )
        )
    text = page(
        manifest,
        entries,
        tables=[PageTable(stem, folder / stem, table) for stem, table in tables.items()],
        figures=figures,
        browsers=browsers,
    )
    (folder / "index.html").write_text(text, encoding="utf-8")
    return folder / "index.html"


@pytest.mark.slow
def test_a_page_of_30_methods_and_664_images_answers_within_3_seconds(browser: Any, tmp_path: Path):
    """From the click on the file to a page that sorts: the best of three, for other work shares the machine."""
    path = write_large_page(tmp_path)
    found = []
    for _ in range(3):
        with Tab(browser, path) as opened:
            opened.page.click("#table-table thead tr:last-child th:nth-child(2) button")
            found.append(opened.run("performance.now()"))
            opened.wait("document.querySelectorAll('#images-tiles canvas')[3].width === 256")
            assert opened.complaints == []
    print(f"{path.stat().st_size / 1e6:.1f} MB, interactive after {min(found):.0f} ms")  # noqa: T201
    assert min(found) < 3_000


def test_a_row_without_a_result_is_a_network(tmp_path: Path):
    write_suite(tmp_path, [("ACM", None, Row("ACM", "ACM", "d", "s", "p", result().scoring, 1, "k"))])
    manifest, [entry] = read_suite(tmp_path, "trial")
    assert isinstance(manifest, Manifest)
    assert method_kind(entry) == "network"
