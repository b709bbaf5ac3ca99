"""The page on datasets says what the cards and layouts say."""

from __future__ import annotations

from pathlib import Path

import pytest

from bench.cli.catalogue import list_datasets
from bench.data.importing.archives import Limits
from bench.data.importing.layouts import LAYOUTS

PAGE = (Path(__file__).parents[2] / "docs/data.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("row", list_datasets(), ids=lambda row: row["name"])
def test_the_page_has_every_datasets_row(row: dict[str, str | int]) -> None:
    assert f"| {row['name']} | {row['images']:,} | {row['splits']} | {row['digests']} |\n" in PAGE


@pytest.mark.parametrize("layout", LAYOUTS, ids=lambda layout: layout.name)
def test_the_page_has_every_layout_with_its_folders(layout: object) -> None:
    name, folders = layout.name, layout.folders.replace(", ", " and ")  # type: ignore[attr-defined]
    assert f"| `{name}` | {folders} |" in PAGE


def test_the_page_has_the_limits_on_archives() -> None:
    limits = Limits()
    assert f"more than {limits.members:,} members, more than {limits.bytes >> 30} GiB or\n{limits.ratio} times" in PAGE
