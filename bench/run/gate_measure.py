"""Measure what the gate compares: run a suite in a folder that is thrown away, and time its networks."""

from __future__ import annotations

from collections.abc import Sequence

from bench.cost.measure import ATTEMPTS, evaluating, example, one_pass
from bench.cost.plain_form import PlainForm, TimeRatio, least_ratio, record_plain_form, time_beside
from bench.errors import RequestError
from bench.metrics.counting.counts import CountTable
from bench.models.detector import Detector
from bench.models.network import to_device
from bench.progress import track
from bench.run.experiment import COST_SIZE, obtain_weights
from bench.run.gate_reference import (
    GateCost,
    Measured,
    MeasuredRow,
    MeasuredTime,
    Reference,
    StoredTime,
    pack_text,
    unpack_text,
)
from bench.run.local import run_all
from bench.run.workspace import Session
from bench.store.files import load_arrays
from bench.suites.expand import Job
from bench.types import Cost, RunResult, Weights


def measure_rows(jobs: Sequence[Job], session: Session, reference: Reference | None) -> Measured:
    """Measure every row, by its title and test set.

    Args:
        reference: has the plain forms that times are taken beside; None to record new ones.
    """
    results = run_all(jobs, session)
    pairs = [(job, result) for job, result in zip(jobs, results, strict=True) if result is not None]
    rows = {}
    for job, result in track(pairs, "time", total=len(pairs), progress=session.progress):
        name = f"{job.row.title} on {job.row.test_set}"
        stored = None if reference is None else reference.rows.get(name)
        is_wanted = reference is None or (stored is not None and stored.time is not None)
        rows[name] = _measured_row(job, result, session, stored.time if stored else None, is_timed=is_wanted)
    return rows


def _measured_row(
    job: Job, result: RunResult, session: Session, stored: StoredTime | None, *, is_timed: bool
) -> MeasuredRow:
    if result.status == "failed":
        return MeasuredRow({}, failure=result.reason)
    weights = job.experiment.weights
    time, untimed = _timed(job, session, stored) if is_timed else (None, "")
    return MeasuredRow(
        result.scores,
        counts=CountTable.from_arrays(load_arrays(session.workspace.result_folder(result.key) / "counts.npz")),
        scoring=result.scoring,
        dataset_digest=str(result.environment.get("dataset_digest", "")),
        images_digest=str(result.environment.get("images_digest", "")),
        weights=weights.sha256 if isinstance(weights, Weights) else "",
        cost=next((_exact(cost) for cost in result.costs), None),
        time=time,
        untimed=untimed,
    )


def _exact(cost: Cost) -> GateCost:
    return GateCost(cost.parameters, cost.macs, cost.size)


def _timed(job: Job, session: Session, stored: StoredTime | None) -> tuple[MeasuredTime | None, str]:
    """The network's time beside its plain form; or None and the reason."""
    network, _ = obtain_weights(job, session)
    device = session.device
    if isinstance(network, Detector):
        return None, "a classical detector has no plain form"
    if stored is not None and stored.device != device.type:
        return None, f"the reference was timed on {stored.device}, this on {device.type}"
    network = to_device(network, device)
    with evaluating(network):
        predictor = network.predictor().eval()
        predictor.ends_early = False
        size, channels = job.experiment.input.size or COST_SIZE, job.experiment.input.channels
        image, start = example(network, size=size, channels=channels, device=device)
        if stored is None:
            try:
                text = record_plain_form(predictor, image, start)
            except RequestError as error:
                return None, str(error)
        else:
            text = unpack_text(stored.plain, "plain form's operators").decode()
        plain = PlainForm(text, device=device)

        limit = None if stored is None else stored.ratio * (1 + stored.margin)

        def series() -> TimeRatio:
            return time_beside(lambda: one_pass(predictor, image, start, rounds=1), plain, limit=limit)

        if stored is None or limit is None:
            middle = sorted((series() for _ in range(ATTEMPTS)), key=lambda one: one.value)[ATTEMPTS // 2]
            return MeasuredTime(middle.value, middle.low, device.type, pack_text(text.encode())), ""
        found = least_ratio(series, limit=limit, attempts=ATTEMPTS)
        return MeasuredTime(found.value, found.low, device.type, stored.plain), ""
