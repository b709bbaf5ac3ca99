"""Seconds that a run spends on tracking with a real MLflow server, beside those of the whole run.

Both are measured in one run, for two runs of minutes differ by more than that. `pytest -m speed --log-cli-level=INFO
tests/speed/test_tracking.py` prints the share; it takes a few minutes.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from mlflow_servers import mlflow_server

import bench
from bench.store import mirror
from bench.store.tracker import Tracker
from reports.tables import suite_summary

log = logging.getLogger(__name__)

MOST = 0.02


class Clock:
    """Adds up the seconds of calls that are not within another."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}
        self._is_running = False

    def around(self, name: str, call: Callable[..., Any]) -> Callable[..., Any]:
        """The function, whose time is counted."""

        def timed(*args: Any, **named: Any) -> Any:
            if self._is_running:
                return call(*args, **named)
            self._is_running, began = True, time.perf_counter()
            try:
                return call(*args, **named)
            finally:
                self._is_running = False
                self.seconds[name] = self.seconds.get(name, 0.0) + time.perf_counter() - began

        return timed


EVENTS = [name for name in vars(Tracker) if not name.startswith("_")]


@pytest.mark.speed
def test_tracking_costs_less_than_a_fiftieth_of_a_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock()
    monkeypatch.setattr(mirror, "open_mirror", clock.around("open", mirror.open_mirror))
    monkeypatch.setattr(suite_summary, "summarise_suite", clock.around("summary", suite_summary.summarise_suite))
    for name in EVENTS:
        monkeypatch.setattr(mirror.Mirror, name, clock.around(name, getattr(mirror.Mirror, name)))
    (tmp_path / "server").mkdir()
    with mlflow_server(f"sqlite:///{tmp_path}/mlflow.db", tmp_path / "server") as server:
        began = time.perf_counter()
        outcome = bench.run_suite("quick", runs=tmp_path / "runs", mlflow=server.uri, workers=1)
        total = time.perf_counter() - began
    assert not outcome.failed
    spent = sum(clock.seconds.values())
    for name, seconds in clock.seconds.items():
        log.info("%-20s %.2f s", name, seconds)
    log.info("tracking %.1f s of %.1f s: %.2f %%", spent, total, 100 * spent / total)
    assert {"open", "begin_suite", "log_epoch", "end_experiment", "end_suite"} <= set(clock.seconds)
    assert spent < MOST * total
