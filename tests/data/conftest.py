"""Fixtures of the tests on data."""

from __future__ import annotations

from pathlib import Path

import pytest
from made_dataset import made, unmeasured

__all__ = ["made", "unmeasured"]


@pytest.fixture(autouse=True)
def empty_cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A cache folder in which nothing is yet."""
    folder = tmp_path_factory.mktemp("cache")
    monkeypatch.setenv("DFINET_BENCH_CACHE", str(folder))
    return folder
