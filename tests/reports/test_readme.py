"""The README's tables are those of the stored results."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from bench.errors import StoreError
from bench.models.network import MODEL_PACKAGES, find_models
from reports.readme import MARKED, PICTURE, PICTURE_DPI, ROOT, draw_feedback, with_tables


def test_the_readme_shows_the_stored_results() -> None:
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    assert [match["suite"] for match in MARKED.finditer(text)] == ["quick"]
    assert with_tables(text, ROOT / "results") == text, "run python -m reports.readme"


def difference(one: Path, other: Path) -> float:
    """Mean difference of two pictures' levels, 0 to 255."""
    first, second = (cv2.imread(str(path)).astype(float) for path in (one, other))
    assert first.shape == second.shape
    return float(np.abs(first - second).mean())


def test_the_picture_is_drawn_from_the_same_results_as_the_table(tmp_path: Path) -> None:
    """The row is the table's first; a picture of the next row is another one."""
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    assert f"]({PICTURE.relative_to(ROOT).as_posix()})" in text
    for row in (0, 1):
        draw_feedback(ROOT / "results", row=row).savefig(tmp_path / f"{row}.png", dpi=PICTURE_DPI)
    assert difference(tmp_path / "0.png", PICTURE) < 0.1, "run python -m reports.readme"
    assert difference(tmp_path / "1.png", PICTURE) > 0.5


def test_a_row_without_examples_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="quick"):
        draw_feedback(tmp_path)
    with pytest.raises(StoreError, match=r"no examples\.npz"):
        draw_feedback(ROOT / "results", suite="epoch")


def test_a_marked_suite_without_results_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="never-run"):
        with_tables("<!-- table: never-run -->\n<!-- end -->", tmp_path)


def test_text_without_markers_stays() -> None:
    assert with_tables("| a | table |", Path("nowhere")) == "| a | table |"


def test_the_page_of_methods_names_every_method() -> None:
    methods = (ROOT / "docs/methods.md").read_text(encoding="utf-8").partition("## Methods")[2].partition("\n## ")[0]
    named = {name.strip() for line in methods.splitlines() for name in line.strip("|").split("|")[0].split(",")}
    ours = {name for name in find_models() if find_models().get(name).build.__module__.startswith(MODEL_PACKAGES)}
    assert {name for name in ours if not find_models().get(name).info.ablates} <= named
