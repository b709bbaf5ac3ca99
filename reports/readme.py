"""Tables and pictures of README, results/README.md and docs, from `results/`: `python -m reports.readme` writes them.

A page marks a table by its kind and suite, and of kinds that make one for each dataset, by the dataset:

<!-- table: quick -->
... is replaced by the comparison table of results/suites/quick.json ...
<!-- end -->
"""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable, Mapping
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory
from types import MappingProxyType
from typing import TYPE_CHECKING

from bench.errors import StoreError
from bench.metrics.registry import MetricInfo
from bench.registry import unknown
from bench.store.files import Manifest, write_text
from reports.columns import chosen_metrics
from reports.render.csv_markdown import table_to_markdown
from reports.results.entries import Entry, plain_entries, read_suite
from reports.results.image_counts import read_counted
from reports.table import Table
from reports.tables.comparison import comparison_table
from reports.tables.intervals import change_tables, interval_tables
from reports.tables.published import published_table
from reports.tables.published_matching import compare_published
from reports.tables.round_gains import round_gain_tables
from reports.tables.scorings import scorings_tables
from reports.tables.significance import compare_with_best
from reports.tables.training_losses import training_losses_table

if TYPE_CHECKING:
    from matplotlib.figure import Figure

ROOT = Path(__file__).parents[1]
PAGES = tuple(
    ROOT / name for name in ("README.md", "results/README.md", "docs/reproduction.md", "docs/dfinet-study.md")
)
MARKED = re.compile(
    r"(<!-- (?P<kind>\w+): (?P<suite>[\w.-]+)(?: (?P<dataset>[\w.-]+))? -->\n).*?(<!-- end -->)", re.DOTALL
)
PICTURE_DPI = 150

Tables = Mapping[str, Table]
"""Tables by dataset; one of all datasets by the empty name."""


def _metrics(manifest: Manifest, entries: tuple[Entry, ...]) -> tuple[MetricInfo, ...]:
    return chosen_metrics(manifest.columns, [entry.scored.scores for entry in entries if entry.scored])


def _comparison(manifest: Manifest, entries: tuple[Entry, ...]) -> Tables:
    metrics = _metrics(manifest, entries)
    compared = compare_with_best(read_counted(entries, mixed=manifest.mixed, metrics=metrics))
    return {
        "": comparison_table(entries, title=manifest.title, mixed=manifest.mixed, compared=compared, metrics=metrics)
    }


def _published(manifest: Manifest, entries: tuple[Entry, ...]) -> Tables:
    table = published_table(compare_published(entries))
    return {"": table} if table else {}


def _losses(manifest: Manifest, entries: tuple[Entry, ...]) -> Tables:
    table = training_losses_table(entries, title=manifest.title)
    return {"": table} if table else {}


def _changes(manifest: Manifest, entries: tuple[Entry, ...]) -> Tables:
    found = change_tables(entries, title=manifest.title, mixed=manifest.mixed, metrics=_metrics(manifest, entries))
    return {dataset: table for _, dataset, table in found}


def _gains(manifest: Manifest, entries: tuple[Entry, ...]) -> Tables:
    return dict(round_gain_tables(entries, title=manifest.title, mixed=manifest.mixed))


def _scorings(manifest: Manifest, entries: tuple[Entry, ...]) -> Tables:
    return dict(scorings_tables(entries, title=manifest.title, mixed=manifest.mixed))


def _intervals(manifest: Manifest, entries: tuple[Entry, ...]) -> Tables:
    counted = read_counted(entries, mixed=manifest.mixed, metrics=_metrics(manifest, entries))
    return dict(interval_tables(counted, compare_with_best(counted), title=manifest.title))


KINDS: Mapping[str, Callable[[Manifest, tuple[Entry, ...]], Tables]] = MappingProxyType(
    {
        "table": _comparison,
        "published": _published,
        "losses": _losses,
        "gains": _gains,
        "changes": _changes,
        "scorings": _scorings,
        "intervals": _intervals,
    }
)


def with_tables(text: str, results: Path) -> str:
    """Replace every marked table of a text by the table of the results.

    Raises:
        StoreError: if a marked suite has no manifest among the results, or there is no such table of it.
    """

    def made(match: re.Match[str]) -> str:
        kind, suite, dataset = match["kind"], match["suite"], match["dataset"] or ""
        if kind not in KINDS:
            raise StoreError(unknown("kind of table", kind, KINDS))
        manifest, entries = read_suite(results, suite)
        tables = KINDS[kind](manifest, plain_entries(entries))
        if dataset not in tables:
            raise StoreError(f"{kind}: {suite} {dataset}: no such table, there are {', '.join(tables) or 'none'}")
        return f"{match[1]}\n{table_to_markdown(tables[dataset])}\n{match[5]}"

    return MARKED.sub(made, text)


def draw_feedback(results: Path, suite: str = "quick", row: int = 0) -> Figure:
    """Draw the example images of a row of a suite after some of its feedback rounds.

    Raises:
        StoreError: if the suite has no manifest among the results, or the row stored no examples.
    """
    from reports.figures.examples import read_examples
    from reports.plots.examples import picture_figure

    _, entries = read_suite(results, suite)
    pictures = read_examples(entries[row])
    if not pictures:
        raise StoreError(f"{entries[row].folder}: no examples.npz to draw")
    return picture_figure(pictures, scoring=entries[row].row.scoring)


def draw_pd_fa(results: Path, suite: str = "table-published-native") -> Figure:
    """Draw detections against false alarms at every threshold, of all rows of a suite.

    Raises:
        StoreError: if the suite has no manifest among the results, or its rows stored no curves.
    """
    from reports.figures.curves import curve_figures
    from reports.figures.figure import CaptionedFigure

    _, entries = read_suite(results, suite)
    for drawn in curve_figures(plain_entries(entries)):
        if isinstance(drawn, CaptionedFigure) and drawn.name == "pd-fa":
            return drawn.figure
    raise StoreError(f"suite {suite}: no curves to draw")


def draw_losses(results: Path, suite: str = "table-basicirstd") -> Figure:
    """Draw the training losses of a suite beside the published ones.

    Raises:
        StoreError: if the suite has no manifest among the results, or its trainings stored no log.
    """
    from reports.figures.figure import CaptionedFigure
    from reports.figures.loss import loss_figures

    _, entries = read_suite(results, suite)
    for drawn in loss_figures(plain_entries(entries)):
        if isinstance(drawn, CaptionedFigure):
            return drawn.figure
    raise StoreError(f"suite {suite}: no log of a training to draw")


PICTURES: Mapping[Path, Callable[[Path], Figure]] = MappingProxyType(
    {
        ROOT / "docs/images/quick-feedback.png": draw_feedback,
        ROOT / "docs/images/published-pd-fa.png": draw_pd_fa,
        ROOT / "docs/images/training-losses.png": draw_losses,
    }
)


PAGE_PICTURE = ROOT / "docs/images/quick-page.png"
PAGE_SIZE = (1200, 800)
BROWSERS = ("chromium", "chromium-browser", "google-chrome")


def shoot_page(results: Path, picture: Path, *, suite: str = "quick") -> None:
    """Save a picture of the top of a suite's page, its comparison sorted by IoU.

    Raises:
        StoreError: if playwright or a browser for it is not installed.
    """
    from reports.build import build_report

    program = next(filter(None, map(shutil.which, BROWSERS)), None)
    if program is None or find_spec("playwright") is None:
        raise StoreError(f"{picture.name} is not made: needs playwright (pip install '.[test]') and chromium")
    from playwright.sync_api import sync_playwright

    with TemporaryDirectory() as folder, sync_playwright() as driver:
        build_report(results, suite, out=Path(folder))
        browser = driver.chromium.launch(executable_path=program, args=["--no-sandbox"])
        width, height = PAGE_SIZE
        page = browser.new_page(viewport={"width": width, "height": height}, color_scheme="light")
        page.goto((Path(folder) / "index.html").as_uri())
        page.wait_for_selector("html[data-ready]")
        page.get_by_role("button", name="IoU").first.click()
        page.mouse.move(0, 0)
        page.evaluate("scrollTo(0, 0)")
        page.screenshot(path=picture)
        browser.close()


if __name__ == "__main__":
    for page in PAGES:
        write_text(page, with_tables(page.read_text(encoding="utf-8"), ROOT / "results"))
    for picture, draw in PICTURES.items():
        draw(ROOT / "results").savefig(picture, dpi=PICTURE_DPI, metadata={"Software": None})
    shoot_page(ROOT / "results", PAGE_PICTURE)
