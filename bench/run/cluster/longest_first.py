"""The order in which experiments of very different length leave no node waiting for the last one: longest first."""

from __future__ import annotations

import statistics
from collections.abc import Hashable, Sequence

from bench.errors import StoreError
from bench.run.workspace import Workspace
from bench.store.files import read_result
from bench.suites.expand import Job
from bench.types import Training


def longest_first(jobs: Sequence[Job], workspace: Workspace) -> list[int]:
    """The places of the jobs, those that will take the longest first, equal ones in their order.

    The time of a job is its work (images that are learnt from and predicted, times their pixels) times the seconds for
    a unit of work that finished experiments of the same network took, on any dataset, and else of the median network.
    """
    seconds: dict[Hashable, list[float]] = {}
    for job in jobs:
        if (spent := _measured(job, workspace)) is not None:
            seconds.setdefault(_network(job), []).append(spent / work_of(job))
    rates = {network: statistics.median(found) for network, found in seconds.items()}
    usual = statistics.median(rates.values()) if rates else 1.0
    expected = [work_of(job) * rates.get(_network(job), usual) for job in jobs]
    return sorted(range(len(jobs)), key=lambda place: -expected[place])


def work_of(job: Job) -> float:
    """Pixels that a network sees in an experiment; a step of training counts as three predictions."""
    weights, experiment = job.experiment.weights, job.experiment
    predicted = experiment.images.count * _pixels(experiment.input.size, None)
    if not isinstance(weights, Training):
        return predicted
    recipe = weights.recipe
    return predicted + 3 * recipe.epochs * weights.images.count * _pixels(weights.input.size, recipe.patch)


def _pixels(size: tuple[int, int] | None, patch: int | None) -> float:
    if patch:
        return float(patch**2)
    height, width = size or (256, 256)
    return float(height * width)


def _network(job: Job) -> Hashable:
    return job.experiment.model, job.experiment.weights.config, isinstance(job.experiment.weights, Training)


def _measured(job: Job, workspace: Workspace) -> float | None:
    """Seconds that a finished experiment took; None where there is none."""
    try:
        result = read_result(workspace.result_folder(job.row.key))
    except StoreError:
        return None
    return sum(result.times.values()) or None if result.status != "failed" else None
