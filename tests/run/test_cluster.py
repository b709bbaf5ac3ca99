"""What Ray's executor decides before anything runs: the order of the experiments, and nodes that cannot take any."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from fakes import make_jobs, register_fakes
from records import RESULT

from bench.errors import RequestError
from bench.run.cluster.connect import check_view
from bench.run.cluster.longest_first import longest_first, work_of
from bench.run.cluster.task import NodeView
from bench.run.workspace import Workspace
from bench.store.files import write_result
from bench.suites.expand import Job
from bench.types import Status

HERE = NodeView(("3.12.3", "1.0", "2.13.0"), (), "")


@pytest.fixture
def jobs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[Job]:
    """Two networks that train for one epoch, the same two for four, and a detector that learns nothing."""
    register_fakes(monkeypatch)
    short = make_jobs(tmp_path, "Dot", "ACM", recipe__epochs=1)
    return [*short, *make_jobs(tmp_path, "Dot", "ACM", recipe__epochs=4), *make_jobs(tmp_path, "TopHat")]


def keep(job: Job, workspace: Workspace, seconds: float, status: Status = "done") -> None:
    result = replace(RESULT, key=job.row.key, experiment=job.experiment, status=status, times={"train_s": seconds})
    write_result(workspace.result_folder(job.row.key), result)


def test_without_results_the_order_goes_by_images_epochs_and_pixels(tmp_path: Path, jobs: list[Job]) -> None:
    work = [work_of(job) for job in jobs]
    learnt, tested = jobs[0].experiment.weights.images.count, jobs[0].experiment.images.count  # type: ignore[union-attr]
    assert work[0] == 3 * learnt * 32**2 + tested * 256**2
    assert work[2] - work[0] == 3 * 3 * learnt * 32**2
    assert longest_first(jobs, Workspace.open(tmp_path / "runs")) == [2, 3, 0, 1, 4]


def test_measured_seconds_of_a_network_decide_for_all_its_experiments(tmp_path: Path, jobs: list[Job]) -> None:
    workspace = Workspace.open(tmp_path / "runs")
    keep(jobs[0], workspace, 1.0)
    keep(jobs[1], workspace, 50.0)
    assert longest_first(jobs, workspace)[:2] == [3, 1]
    keep(jobs[1], workspace, 0.001, "failed")  # says nothing about the time of one that does not fail
    assert longest_first(jobs, workspace) == [2, 3, 0, 1, 4]


@pytest.mark.parametrize(
    ("there", "said"),
    [
        (replace(HERE, versions=("3.11.7", "1.0", "2.11.0")), r"node n7: has .* 3\.11\.7, 1\.0, 2\.11\.0, this"),
        (replace(HERE, missing=("/data", "/a")), "node n7: /a is not there; put it on a file system that all"),
        (replace(HERE, unwritable="/runs: read-only"), "node n7: /runs: read-only; --runs has to be one"),
    ],
)  # fmt: skip
def test_a_node_that_is_not_as_this_machine_is_named_with_the_difference(there: NodeView, said: str) -> None:
    check_view("n7", HERE, HERE)
    with pytest.raises(RequestError, match=said):
        check_view("n7", there, HERE)


def test_a_folder_that_is_missing_here_as_well_is_not_the_node_s_fault() -> None:
    check_view("n7", replace(HERE, missing=("/data",)), replace(HERE, missing=("/data",)))
