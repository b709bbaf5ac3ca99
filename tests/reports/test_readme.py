"""The README's tables are those of the stored results."""

from __future__ import annotations

from pathlib import Path

import pytest

from bench.errors import StoreError
from bench.models.network import MODEL_PACKAGES, find_models
from reports.readme import MARKED, ROOT, with_tables


def test_the_readme_shows_the_stored_results() -> None:
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    assert [match["suite"] for match in MARKED.finditer(text)] == ["quick"]
    assert with_tables(text, ROOT / "results") == text, "run python -m reports.readme"


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
