"""The Ray executor: run every experiment as a task of a cluster, or of this machine; measure costs here at the end."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from bench.errors import RequestError
from bench.run.cluster.connect import check_nodes, connected
from bench.run.cluster.staff import AHEAD, RayStaff
from bench.run.cluster.task import RunTask, run_task
from bench.run.executor import executor
from bench.run.preflight import is_done
from bench.run.side_by_side import Crew, with_costs
from bench.run.torchrun import Place
from bench.run.workspace import Session, Workspace
from bench.suites.expand import Job
from bench.types import RunResult


@executor("ray")
def run_on_ray(
    jobs: Sequence[Job], session: Session, *, budget: float | None = None, run: RunTask = run_task
) -> list[RunResult | None]:
    """The results of all jobs, in order, as those of the local executor with as many threads.

    Args:
        budget: seconds after which no further experiment is begun.
        run: function that carries out an experiment in a task.

    Raises:
        RequestError: when there is no cluster, or a node that an experiment fits on does not see the folders.
    """
    if Place.given().count > 1:
        raise RequestError("--executor ray: torchrun starts processes of its own; use one of both")
    session = replace(session, workspace=_absolute(session.workspace))
    share = session.cluster.share
    resources = share.resources(session.device.type)
    with connected(session.cluster.address) as ray:
        if not all(is_done(job, session.workspace) for job in jobs):
            check_nodes(ray, session.workspace, resources, share.cpus)
        ahead = AHEAD if budget is None else 1  # what waits at Ray would begin when the budget is spent
        staff = RayStaff(ray, session.workspace, resources, threads=share.cpus, run=run, ahead=ahead)
        with Crew(jobs, session, staff) as crew:
            crew.run(budget)
    return with_costs(crew)


def _absolute(workspace: Workspace) -> Workspace:
    """The workspace with folders that mean the same from any working folder."""
    data, weights = (None if path is None else path.resolve() for path in (workspace.data, workspace.weights))
    return replace(workspace, runs=workspace.runs.resolve(), data=data, weights=weights)
