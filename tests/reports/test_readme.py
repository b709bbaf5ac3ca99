"""The tables and pictures of the README and of results/README.md are those of the stored results."""

from __future__ import annotations

import os
from pathlib import Path

import cv2
import numpy as np
import pytest

from bench.data.catalogue.cards import load_card
from bench.errors import StoreError
from bench.models.network import MODEL_PACKAGES, find_models
from bench.models.published_numbers import reported
from bench.store.files import read_manifest, read_result
from bench.types import Weights
from reports.readme import (
    MARKED,
    PAGE_PICTURE,
    PAGES,
    PICTURE_DPI,
    PICTURES,
    ROOT,
    draw_feedback,
    draw_pd_fa,
    shoot_page,
    with_tables,
)
from tests.reports.chromium import chromium

RESULTS = ROOT / "results"
IN_TRAINING = ("table-basicirstd", "table-classical", "table-narrow")
SUITES = sorted(path.stem for path in (RESULTS / "suites").glob("*.json"))


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_a_page_shows_the_stored_results(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    assert MARKED.search(text)
    assert with_tables(text, RESULTS) == text, "run python -m reports.readme"


def test_the_first_table_that_a_visitor_sees_is_of_real_images() -> None:
    first = MARKED.search((ROOT / "README.md").read_text(encoding="utf-8"))
    assert first is not None
    assert (first["kind"], first["suite"]) == ("published", "table-published-weights")


def difference(one: Path, other: Path) -> float:
    """Mean difference of two pictures' levels, 0 to 255."""
    first, second = (cv2.imread(str(path)).astype(float) for path in (one, other))
    assert first.shape == second.shape
    return float(np.abs(first - second).mean())


@pytest.mark.parametrize("picture", PICTURES, ids=lambda picture: picture.name)
def test_a_picture_is_drawn_from_the_same_results_as_the_tables(picture: Path, tmp_path: Path) -> None:
    shown = [
        page for page in PAGES if f"]({os.path.relpath(picture, page.parent)})" in page.read_text(encoding="utf-8")
    ]
    assert shown
    PICTURES[picture](RESULTS).savefig(tmp_path / "again.png", dpi=PICTURE_DPI)
    assert difference(tmp_path / "again.png", picture) < 0.1, "run python -m reports.readme"


def test_a_picture_of_another_row_is_another_one(tmp_path: Path) -> None:
    draw_feedback(RESULTS, row=1).savefig(tmp_path / "1.png", dpi=PICTURE_DPI)
    assert difference(tmp_path / "1.png", ROOT / "docs/images/quick-feedback.png") > 0.5


def test_a_row_without_examples_or_curves_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="quick"):
        draw_feedback(tmp_path)
    with pytest.raises(StoreError, match=r"no examples\.npz"):
        draw_feedback(RESULTS, suite="table-published-native")
    with pytest.raises(StoreError, match=r"table-published-native\.json: no such file"):
        draw_pd_fa(tmp_path)


def test_every_stored_suite_is_explained_and_every_stored_result_is_of_one() -> None:
    page = (RESULTS / "README.md").read_text(encoding="utf-8")
    assert all(f"| `{suite}` |" in page for suite in SUITES)
    stored = {path.parent.name for path in RESULTS.glob("*/result.json")}
    keys = {suite: {row.key for row in read_manifest(RESULTS, suite).rows} for suite in SUITES}
    assert stored <= set().union(*keys.values()), "no result without a suite"
    for suite, rows in keys.items():
        # The queue of long trainings is open: its rows that wait stand in the tables as dashes.
        assert rows & stored if suite in IN_TRAINING else rows <= stored, suite


def test_no_stored_result_is_a_trial_or_has_learnt_nothing() -> None:
    for path in RESULTS.glob("*/result.json"):
        result = read_result(path.parent)
        assert result.status == "done"
        assert not result.experiment.is_limited
        pd = result.scores["Pd/overlap" if result.protocol == "rpcanet" else "Pd/centroid-3px"]
        assert pd.value is None or pd.value > 0.4, f"{result.key}: {result.experiment.model} finds next to nothing"


def test_a_stored_checkpoint_has_the_numbers_that_are_published_for_it() -> None:
    for path in RESULTS.glob("*/result.json"):
        result = read_result(path.parent)
        weights = result.experiment.weights
        if isinstance(weights, Weights):
            mine = tuple(one for one in reported(result.model.name) if one.weights == weights.name)
            assert result.model.reported == mine, result.key


def test_images_and_maps_of_others_are_not_passed_on() -> None:
    for path in RESULTS.glob("*/*.npz"):
        assert path.name != "predictions.npz"
        if path.name == "examples.npz":
            assert load_card(read_result(path.parent).experiment.images.dataset).generated


def test_a_marked_suite_without_results_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="never-run"):
        with_tables("<!-- table: never-run -->\n<!-- end -->", tmp_path)


def test_a_marked_table_that_does_not_exist_is_an_error() -> None:
    with pytest.raises(StoreError, match="no kind of table is called 'tabel'; did you mean table"):
        with_tables("<!-- tabel: quick -->\n<!-- end -->", RESULTS)
    with pytest.raises(StoreError, match="intervals: quick NUAA-SIRST: no such table, there are synthetic"):
        with_tables("<!-- intervals: quick NUAA-SIRST -->\n<!-- end -->", RESULTS)


def test_text_without_markers_stays() -> None:
    assert with_tables("| a | table |", Path("nowhere")) == "| a | table |"


def test_the_page_of_methods_names_every_method() -> None:
    methods = (ROOT / "docs/methods.md").read_text(encoding="utf-8").partition("## Methods")[2].partition("\n## ")[0]
    named = {name.strip() for line in methods.splitlines() for name in line.strip("|").split("|")[0].split(",")}
    ours = {name for name in find_models() if find_models().get(name).build.__module__.startswith(MODEL_PACKAGES)}
    assert {name for name in ours if not find_models().get(name).info.ablates} <= named


def test_the_picture_of_the_page_shows_the_present_page(tmp_path: Path) -> None:
    with chromium():
        pass
    shoot_page(RESULTS, tmp_path / "again.png")
    assert difference(tmp_path / "again.png", PAGE_PICTURE) < 3, "run python -m reports.readme"


def test_without_a_browser_the_picture_of_the_page_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(StoreError, match="needs playwright"):
        shoot_page(RESULTS, tmp_path / "page.png")
