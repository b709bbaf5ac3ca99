"""Fixtures of the whole suite."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

REAL_SETS = ("NUAA-SIRST", "NUDT-SIRST")


@pytest.fixture(scope="session")
def real_data() -> Path:
    """The folder that holds the real datasets; without one the test is skipped, and under CI it fails."""
    folder = os.environ.get("DFINET_BENCH_DATA")
    missing = [name for name in REAL_SETS if folder is None or not (Path(folder) / name).is_dir()]
    if folder is not None and not missing:
        return Path(folder)
    where = "is not set" if folder is None else f"is {folder}, which lacks {' and '.join(missing)}"
    reason = f"DFINET_BENCH_DATA {where}; it names the folder that holds {' and '.join(REAL_SETS)}"
    if os.environ.get("CI"):
        pytest.fail(reason)
    pytest.skip(reason)


@pytest.fixture(autouse=True, scope="session")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A cache folder of this run alone, for this process and those it starts."""
    with pytest.MonkeyPatch.context() as patch:
        folder = tmp_path_factory.mktemp("cache")
        patch.setenv("DFINET_BENCH_CACHE", str(folder))
        yield folder
