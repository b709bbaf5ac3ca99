"""The interface of trackers, which are told of everything that happens in a suite."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bench.store.files import Manifest
from bench.types import Experiment, Row, RunResult


@dataclass(frozen=True)
class PlannedExperiment:
    """The part of an experiment that is known before it begins.

    Attributes:
        environment: versions, processor and commit, with digests of the dataset, as `RunResult` has them.
    """

    experiment: Experiment
    environment: Mapping[str, Any]


@dataclass(frozen=True)
class TextTable:
    """A table as text: heads, and a cell for each head in every line."""

    heads: tuple[str, ...]
    lines: tuple[tuple[str, ...], ...]


@dataclass(frozen=True)
class SuiteSummary:
    """The outcome of a suite over all its rows.

    Attributes:
        metrics: a value by its name: mean over seeds, and limits of its interval.
        tables: printed tables by the stem of their files.
    """

    metrics: Mapping[str, float] = field(default_factory=dict)
    tables: Mapping[str, TextTable] = field(default_factory=dict)


class Tracker:
    """Receives what happens in a suite, in this order. This one keeps nothing: the files under `runs/` are enough.

    Several experiments may be open at a time: epochs belong to the one that began, or was continued, last.
    """

    def begin_suite(self, manifest: Manifest, plans: Mapping[str, PlannedExperiment] | None = None) -> None:
        """A suite starts or goes on; of its experiments, by key, what is known by now."""

    def begin_experiment(self, row: Row) -> None:
        """One of its experiments starts or goes on."""

    def continue_experiment(self, row: Row) -> None:
        """An experiment that has begun, to which the next epochs belong."""

    def log_epoch(self, record: Mapping[str, float]) -> None:
        """An epoch of the experiment's training is over; one that goes on tells its earlier epochs again."""

    def end_experiment(self, row: Row, result: RunResult, folder: Path) -> None:
        """The experiment is done or has failed; its files are in `folder`."""

    def log_stored(self, row: Row, result: RunResult, folder: Path) -> None:
        """The experiment was run earlier; its files are in `folder`."""

    def end_suite(self, manifest: Manifest, *, failed: bool, summary: SuiteSummary | None = None) -> None:
        """All experiments are done; the manifest says why some have no result."""

    def log_report(self, manifest: Manifest, folder: Path) -> None:
        """A report of the suite was written to `folder`."""
