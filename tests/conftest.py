"""Fixtures of the whole suite."""

from __future__ import annotations

import os

if "PYTEST_XDIST_WORKER" in os.environ:
    # Before torch is imported: workers side by side that each take all processors wait for one another.
    os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ["DFINET_BENCH_WORKERS"] = "1"  # networks that a test registers are known to its own process alone

from collections.abc import Iterator
from pathlib import Path

import pytest

from bench.data.catalogue.cards import read_cards_in

REAL_SETS = ("NUAA-SIRST", "NUDT-SIRST")


@pytest.fixture(scope="session")
def real_data() -> Path:
    """The folder that holds the real datasets; without one the test is skipped, and under CI it fails."""
    return holding(*REAL_SETS)


@pytest.fixture(scope="session")
def irstd_1k_masks(real_data: Path) -> Path:
    """The folder of IRSTD-1k's masks, beside its images or alone; without it as without `real_data`."""
    beside = real_data / "IRSTD-1k/masks"
    return beside if beside.is_dir() else holding("IRSTD-1k-masks") / "IRSTD-1k-masks"


@pytest.fixture(scope="session")
def sirst_v2(real_data: Path) -> Path:
    """The folder of SIRST-v2, of which the test images are enough; without it as without `real_data`."""
    return holding("SIRST-v2") / "SIRST-v2"


def holding(*names: str) -> Path:
    """The folder of real data, if it holds the named folders."""
    folder = os.environ.get("DFINET_BENCH_DATA")
    missing = [name for name in names if folder is None or not (Path(folder) / name).is_dir()]
    if folder is not None and not missing:
        return Path(folder)
    where = "is not set" if folder is None else f"is {folder}, which lacks {' and '.join(missing)}"
    reason = f"DFINET_BENCH_DATA {where}; it names the folder that holds {' and '.join(names)}"
    if os.environ.get("CI"):
        pytest.fail(reason)
    pytest.skip(reason)


@pytest.fixture(scope="session")
def real_weights() -> Path:
    """The folder that holds the published checkpoints; without one the test is skipped, and under CI it fails."""
    folder = os.environ.get("DFINET_BENCH_WEIGHTS")
    if folder is not None and Path(folder).is_dir():
        return Path(folder)
    reason = "DFINET_BENCH_WEIGHTS names no folder; it is that of published checkpoints (dfinet-bench list weights)"
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


@pytest.fixture(autouse=True)
def no_own_cards() -> Iterator[None]:
    """The project's cards alone, whatever data folder an earlier test named."""
    yield
    read_cards_in(None)
