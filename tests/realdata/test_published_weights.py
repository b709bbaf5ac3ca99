"""A published checkpoint gives its published numbers on the real images, and those that are stored in results/."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from bench.api import run_suite
from bench.store.files import read_result
from bench.suites.suite import load_suite
from reports.results.entries import read_suite
from reports.tables.published_matching import compare_published

pytestmark = pytest.mark.realdata

RESULTS = Path(__file__).parents[2] / "results"
SUITE = load_suite("table-published-weights")


def test_acm_gives_what_lesps_printed_of_it(real_data: Path, real_weights: Path, tmp_path: Path) -> None:
    alone = replace(SUITE, rows=tuple(row for row in SUITE.rows if row.label == "ACM (LESPS, full masks)"))
    outcome = run_suite(alone, data=real_data, weights=real_weights, runs=tmp_path, datasets=["NUAA-SIRST"])
    (result,) = outcome.results
    assert result is not None
    assert result.status == "done", result.reason
    found = compare_published(read_suite(tmp_path, SUITE.name)[1])
    badges = {one.metric.id: one.badge for one in found}
    assert badges == dict.fromkeys(("IoU/pooled", "Pd/centroid-3px", "Fa/unmatched-area"), "reproduced")
    stored = read_result(RESULTS / result.key)
    for name in badges:
        ours, kept = result.scores[name].value, stored.scores[name].value
        assert ours is not None
        assert ours == pytest.approx(kept, abs=1e-7 if name.startswith("Fa") else 2e-4), "another processor's rounding"
