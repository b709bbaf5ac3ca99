"""How long intervals of a whole list take, and how much less than by making each resampled list and its scores anew.

`pytest -m speed --log-cli-level=INFO tests/speed/test_statistics.py` prints the ratio. OMP_NUM_THREADS=1 keeps both
forms on one core.
"""

from __future__ import annotations

import logging
from time import process_time
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from bench.metrics.counting.counts import ROUND_FIELDS, TRUTH_FIELDS, Counts
from bench.metrics.registry import find_metrics
from bench.metrics.significance import RESAMPLES, Bootstrap, bootstrap

log = logging.getLogger(__name__)

IMAGES = 664
METRICS = ("IoU/pooled", "nIoU/per-image", "F1/pooled", "Pd/centroid-3px", "Fa/unmatched-area")
LOOPS = 200
"""Resamples of the usual form that are timed; its time grows with their number."""


def made_up_list() -> Counts:
    """Counts of as many images as NUDT-SIRST's test list has, with one to four targets each."""
    generator = np.random.default_rng(0)
    targets = generator.integers(1, 5, IMAGES)
    found = generator.binomial(targets, 0.95)
    actual, hits = 30 * targets, 25 * found
    columns = {name: np.zeros(IMAGES, dtype=np.int64) for name in (*TRUTH_FIELDS, *ROUND_FIELDS)}
    columns |= {"pixels": np.full(IMAGES, 65536), "targets": targets, "matched": found}
    columns |= {"labelled": actual, "actual": actual, "positive": actual, "intersection": hits, "hits": hits}
    columns |= {
        "predicted": hits + generator.integers(0, 9, IMAGES),
        "unmatched_area": generator.integers(0, 9, IMAGES),
    }
    owner = np.repeat(np.arange(IMAGES), targets)
    of_targets: dict[str, Any] = {
        "target_area": np.full(len(owner), 30),
        "target_border": np.full(len(owner), 9),
        "target_scr": np.full(len(owner), 5.0),
        "target_matched": np.ones(len(owner), dtype=bool),
    }
    return Counts(**columns, **of_targets, target_image=owner)


def by_weights(counts: Counts) -> list[Bootstrap]:
    """Ours: all metrics under all resamples at once."""
    groups = [[find_metrics().get(name).statistic(counts)] for name in METRICS]
    found = bootstrap(groups, generator=np.random.default_rng(1))
    for each in found:
        each.interval()
    return found


def by_lists(counts: Counts, resamples: int) -> NDArray[np.float64]:
    """(M, R) the usual form: every resampled list is made, and every metric computed of it."""
    generator = np.random.default_rng(1)
    (_,) = generator.spawn(1)
    values = np.empty((len(METRICS), resamples))
    for resample in range(resamples):
        drawn = counts.take(generator.integers(0, len(counts), len(counts), dtype=np.int32))
        values[:, resample] = [find_metrics().get(name).score(drawn).value for name in METRICS]
    return values


@pytest.mark.speed
def test_ten_thousand_resamples_of_a_list_take_a_fraction_of_a_second_and_are_those_of_the_usual_form(
    benchmark: Any,
) -> None:
    """Side by side; processor time, which other programs do not lengthen."""
    counts, seconds = made_up_list(), []

    def timed() -> list[Bootstrap]:
        begun = process_time()
        found = by_weights(counts)
        seconds.append(process_time() - begun)
        return found

    found = benchmark.pedantic(timed, rounds=5)
    begun = process_time()
    expected = by_lists(counts, LOOPS)
    usual = (process_time() - begun) * RESAMPLES / LOOPS
    ours = min(seconds)
    ratio = usual / ours
    benchmark.extra_info["against a loop over lists"] = round(ratio, 1)
    log.info(
        "%d resamples of %d images, %d metrics: %d ms, %.0f times faster than by a loop over lists (%.1f s)",
        RESAMPLES,
        IMAGES,
        len(METRICS),
        1e3 * ours,
        ratio,
        usual,
    )
    drawn = np.stack([each.draws[:LOOPS] for each in found])
    assert np.allclose(drawn, expected, rtol=1e-13, atol=0)  # order of adding
    assert ours < 1
    assert ratio > 10
