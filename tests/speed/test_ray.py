"""Seconds of very many short experiments on Ray against the shortest possible: their sum, shared by the processors.

`pytest -m speed --log-cli-level=INFO tests/speed/test_ray.py` prints the ratio. The experiments sleep, so that the
figure is that of the executor: what Ray, the driver and the messages add to each experiment.
"""

from __future__ import annotations

import logging
import time
from pathlib import Path

import pytest
import ray

from bench.models.network import find_models
from bench.parallel import usable_processors
from bench.run.cluster.request import ClusterRequest, ClusterShare
from bench.run.cluster.task import RunTask
from bench.run.experiment import failed_result
from bench.run.ray import run_on_ray
from bench.run.worker import Tell
from bench.run.workspace import Session, Workspace
from bench.suites.expand import Job, expand
from bench.suites.suite import load_suite

log = logging.getLogger(__name__)

COUNT = 2000
SECONDS = 0.05
PROCESSORS = 2


def sleeping() -> RunTask:
    """An experiment that takes `SECONDS` with its result; made here, so that it is sent to the tasks as a whole."""

    def sleep(job: Job, session: Session, tell: Tell, waits: bool) -> None:
        began = time.perf_counter()
        tell("begun")
        result = failed_result(job, session, ValueError("it slept"))
        time.sleep(max(0.0, SECONDS - (time.perf_counter() - began)))
        tell("failed", result)

    return sleep


def seconds_of_bare_tasks() -> float:
    """As many tasks of Ray's that only sleep, all handed to it at once."""

    def sleep() -> None:
        time.sleep(SECONDS)

    task = ray.remote(num_cpus=1, memory=int(0.2 * 2**30), max_retries=0)(sleep)
    ray.get([task.remote() for _ in range(8)])
    began = time.perf_counter()
    ray.get([task.remote() for _ in range(COUNT)])
    return time.perf_counter() - began


@pytest.mark.speed
@pytest.mark.skipif(usable_processors() < PROCESSORS, reason="needs two processors")
def test_two_thousand_short_experiments_take_little_more_than_their_sum(tmp_path: Path) -> None:
    seeds = list(range(COUNT))
    (tmp_path / "short.toml").write_text(f'datasets = ["synthetic"]\nseeds = {seeds}\n[[row]]\nmodel = "ACM"\n')
    models = find_models()
    jobs = expand(load_suite(str(tmp_path / "short.toml")), info_of=lambda name: models.get(name).info)
    assert len(jobs) == COUNT
    request = ClusterRequest("local", ClusterShare(memory=0.2))
    ideal = COUNT * SECONDS / PROCESSORS
    ray.init(address="local", num_cpus=PROCESSORS, include_dashboard=False, object_store_memory=80 * 2**20)
    try:
        session = Session(Workspace.open(tmp_path / "runs"), cluster=request)
        run_on_ray(jobs[:8], session, run=sleeping())  # starts the tasks' processes
        began, own = time.perf_counter(), time.process_time()
        results = run_on_ray(jobs, session, run=sleeping())
        seconds, own = time.perf_counter() - began, time.process_time() - own
        bare = seconds_of_bare_tasks()
    finally:
        ray.shutdown()
    assert len(results) == COUNT
    log.info("%d experiments of %g s on %d processors: %.1f s, ideal %.1f s: %.1f %% of ideal",
             COUNT, SECONDS, PROCESSORS, seconds, ideal, 100 * ideal / seconds)  # fmt: skip
    log.info("driver: %.1f ms of processor time each; bare tasks of Ray: %.1f %% of ideal",
             1000 * own / COUNT, 100 * ideal / bare)  # fmt: skip
    assert ideal / seconds >= 0.9
