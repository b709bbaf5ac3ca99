"""The commands as Python functions: run a suite, score or compare predictions, hold scores to a reference, report.

`bench` exports them; they print nothing. Heavy libraries are imported when a function that needs them is called.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from bench.errors import RequestError
from bench.progress import Progress, Silent
from bench.registry import load_plugin

if TYPE_CHECKING:
    from collections.abc import Callable

    import torch

    from bench.bundle.archive import Bundled
    from bench.run.cluster.request import ClusterRequest
    from bench.run.gate import GateReport
    from bench.run.gate_reference import Reference
    from bench.run.workspace import Session
    from bench.scoring.score import Scored
    from bench.store.files import Manifest
    from bench.suites.expand import Job
    from bench.suites.suite import Limit, Suite
    from bench.types import ModelInfo, RunResult
    from reports.build import Report
    from reports.tables.compared_values import ComparedNumber

log = logging.getLogger(__name__)

__all__ = ["ComparisonResult", "SuiteResult", "bundle_suite", "compare", "gate", "report", "run_suite", "score"]

MLFLOW_OFF = "off"
WORKERS = "DFINET_BENCH_WORKERS"


@dataclass(frozen=True)
class SuiteResult:
    """The outcome of a suite.

    Attributes:
        jobs: every row of the suite with its experiment, in order.
        results: of each job; None for those that the time budget did not reach.
        budget: the time budget, seconds; None without one.
        absent: by the row's key, why a job was left out whose images are not there.
    """

    suite: Suite
    jobs: tuple[Job, ...]
    results: tuple[RunResult | None, ...]
    budget: float | None = None
    absent: Mapping[str, str] = field(default_factory=dict)

    @property
    def failed(self) -> tuple[RunResult, ...]:
        """Results of the experiments that failed, with their reasons."""
        return tuple(result for result in self.results if result is not None and result.status == "failed")

    @property
    def unreached(self) -> tuple[Job, ...]:
        """The jobs that the time budget did not reach."""
        pairs = zip(self.jobs, self.results, strict=True)
        return tuple(job for job, result in pairs if result is None and job.row.key not in self.absent)

    @property
    def unreached_reason(self) -> str:
        """The reason that `unreached` jobs have no result, to go behind their names."""
        return f"not reached within the time budget of {(self.budget or 0) / 60:.3g} min"


@dataclass(frozen=True)
class ComparisonResult:
    """The outcome of a comparison.

    Attributes:
        manifest: the methods, in order.
        numbers: every metric of every method, with intervals and tests against the best.
        notes: what the reader should know of how files were read, as sentences.
        report: the files of the report; None where none was asked for.
    """

    manifest: Manifest
    numbers: tuple[ComparedNumber, ...]
    notes: tuple[str, ...] = ()
    report: Report | None = None


def run_suite(
    suite: str | Path | Suite,
    *,
    data: Path | str | None = None,
    weights: Path | str | None = None,
    runs: Path | str = "runs",
    device: str = "cpu",
    executor: str = "local",
    ray_address: str | None = None,
    share: str = "",
    overrides: Mapping[str, Any] | None = None,
    limit: Limit | str = "",
    datasets: Sequence[str] = (),
    corruptions: Sequence[str] = (),
    trained_on: Sequence[str] = (),
    seeds: Sequence[int] = (),
    plugins: Iterable[Path | str] = (),
    mlflow: str | None = MLFLOW_OFF,
    allow_leak: bool = False,
    budget: float | None = None,
    workers: int | None = None,
    progress: Progress | None = None,
) -> SuiteResult:
    """Train, predict, score and measure every experiment of a suite; finished ones are read from `runs`.

    In a script that torchrun starts in several processes the first one does so; the others join its trainings, and
    their outcome has no results.

    Args:
        suite: a name, a TOML file, or a `Suite`.
        data: folder that holds <NAME>/images and <NAME>/masks; default ./data where there is one.
        weights: folder of published checkpoints; default $DFINET_BENCH_WEIGHTS, else ./weights where there is one.
        runs: folder that takes the results.
        device: cpu or cuda.
        executor: the name of a registered executor: local, or ray.
        ray_address: HOST:PORT of a Ray cluster's head, or auto; default $RAY_ADDRESS, else Ray on this machine alone.
        share: of a node for each experiment on Ray, as `"cpus=2,gpus=0.5,memory=3"` (GiB); default 1, 1 on CUDA and 2.
        overrides: fields by path, as `{"recipe.epochs": 40, "settings.width": 8}`; they win over the suite's own.
        limit: shortens the lists for a trial, as `"train=32,test=32"`; results are marked as limited.
        datasets, corruptions, trained_on, seeds: replace the suite's own.
        plugins: Python files that register models or metrics, beside those that the suite names.
        mlflow: URI of an MLflow store; None for the default store, "off" for none.
        allow_leak: run although test images were trained on; every table says so.
        budget: seconds after which no further experiment is begun.
        workers: experiments that run at the same time, each in a process of its own with its share of the threads, and
            whose costs are measured when all are scored; 1 for this process alone. Default $DFINET_BENCH_WORKERS, else
            one for each processor on a CPU, and 1 on CUDA.
        progress: shown every long step, and the rows where it is a `bench.progress.RowProgress`.

    Raises:
        BenchError: when the request, a list, an image or a stored file is not usable. An experiment that fails is a
            result with `status="failed"` and raises nothing.
    """
    from bench.lock import waiting_lock
    from bench.part_files import sweep
    from bench.run.executor import find_executor
    from bench.run.experiment import environment_of
    from bench.run.preflight import check_datasets, check_jobs, check_weights, read_images, with_leaks, without_images
    from bench.run.torchrun import Place, dismiss, follow, join
    from bench.run.watched import watched
    from bench.store.files import manifest_path, write_manifest
    from bench.store.mirror import open_mirror
    from bench.store.tracker import PlannedExperiment
    from bench.suites.expand import manifest_of
    from reports.tables.suite_summary import summarise_suite

    data = data_folder(data)
    execute = find_executor(executor)
    cluster = _cluster_request(executor, ray_address, share, workers)
    on = open_device(device)
    described, jobs = plan_suite(
        suite,
        device=on.type,
        overrides=overrides,
        limit=limit,
        datasets=datasets,
        corruptions=corruptions,
        trained_on=trained_on,
        seeds=seeds,
        plugins=plugins,
        allow_leak=allow_leak,
    )
    check_jobs(jobs)
    session = open_session(Path(runs), data, weights=weights, device=on, progress=progress)
    join(on)
    if Place.given().is_follower:
        follow(jobs, session)
        return SuiteResult(described, tuple(jobs), (None,) * len(jobs), budget)
    session.cluster = cluster
    session.workers = 1 if Place.given().count > 1 else worker_limit(workers)
    sweep(Path(runs))
    absent = without_images(jobs, session) if described.absent == "leave-out" else {}
    present = [place for place, job in enumerate(jobs) if job.row.key not in absent]
    here = [jobs[place] for place in present]
    check_weights(here, session.workspace)
    check_datasets(here, session)
    read_images(here, session)
    here = with_leaks(here, session, allowed=described.allow_leak)
    for place, job in zip(present, here, strict=True):
        jobs[place] = job
    tracker = open_mirror(mlflow, Path(runs), summarise=summarise_suite)
    session.tracker = watched(tracker, here, session.progress)
    manifest = manifest_of(described, jobs)
    with waiting_lock(manifest_path(Path(runs), manifest.suite).with_suffix(".lock"), f"{manifest.suite}: waiting"):
        write_manifest(Path(runs), manifest)
        plans = {job.row.key: PlannedExperiment(job.experiment, environment_of(job, session)) for job in here}
        session.tracker.begin_suite(manifest, plans)
    found = dict(zip(present, execute(here, session, budget=budget), strict=True))
    results = tuple(found.get(place) for place in range(len(jobs)))
    outcome = SuiteResult(described, tuple(jobs), results, budget, absent)
    dismiss()
    unreached = {job.row.key: outcome.unreached_reason for job in outcome.unreached}
    reasons = {**unreached, **absent, **removed_results(outcome, Path(runs))}
    manifest = replace(manifest, unreached=reasons)
    write_manifest(Path(runs), manifest)
    summary = None if mlflow == MLFLOW_OFF else summarise_suite(Path(runs), manifest.suite)
    session.tracker.end_suite(manifest, failed=bool(outcome.failed), summary=summary)
    return outcome


def plan_suite(
    suite: str | Path | Suite,
    *,
    device: str = "cpu",
    overrides: Mapping[str, Any] | None = None,
    limit: Limit | str = "",
    datasets: Sequence[str] = (),
    corruptions: Sequence[str] = (),
    trained_on: Sequence[str] = (),
    seeds: Sequence[int] = (),
    plugins: Iterable[Path | str] = (),
    allow_leak: bool = False,
) -> tuple[Suite, list[Job]]:
    """The suite as it is to be run, and its experiments; nothing is looked for on disk but the suite's own files.

    Args:
        overrides, limit, datasets, corruptions, trained_on, seeds, plugins, allow_leak: as in `run_suite`.
    """
    from bench.suites.expand import expand
    from bench.suites.suite import Suite, load_suite, parse_limit, restricted

    described = suite if isinstance(suite, Suite) else load_suite(str(suite))
    described = restricted(described, datasets=datasets, corruptions=corruptions, trained_on=trained_on, seeds=seeds)
    described = replace(described, allow_leak=described.allow_leak or allow_leak)
    jobs = expand(
        described,
        info_of=info_lookup((*plugins, *described.plugins)),
        overrides=overrides,
        limit=parse_limit(limit) if isinstance(limit, str) else limit,
        device="cuda" if device == "cuda" else "cpu",
    )
    return described, jobs


def bundle_suite(
    suite: str | Path | Sequence[str | Path],
    out: Path | str,
    *,
    data: Path | str | None = None,
    weights: Path | str | None = None,
    overrides: Mapping[str, Any] | None = None,
    limit: str = "",
    datasets: Sequence[str] = (),
    corruptions: Sequence[str] = (),
    trained_on: Sequence[str] = (),
    seeds: Sequence[int] = (),
    plugins: Sequence[Path | str] = (),
    allow_leak: bool = False,
    max_size: int = 64 * 1024 * 1024,
    progress: Progress | None = None,
) -> Bundled:
    """Pack one or several suites into an archive that runs them on a machine without network: `python OUT --out DIR`.

    It holds the code, cards and lists, and of images and weights those that the suites need; equal content gives equal
    bytes.

    Args:
        out: the archive, whose name ends in .zip.
        max_size: bytes that it may take.
        data, weights, overrides, limit, datasets, corruptions, trained_on, seeds, plugins, allow_leak: as in
            `run_suite`.

    Raises:
        BenchError: as `run_suite` before its first experiment; and when the archive would take more than `max_size`.
    """
    from bench.bundle.archive import pack_suites, write_bundle
    from bench.run.preflight import check_datasets, check_jobs, require_weights, without_images

    out = Path(out)
    if out.suffix != ".zip":
        raise RequestError(f"--out {out}: expected a file that ends in .zip, such as bundle.zip")
    names = [str(suite)] if isinstance(suite, str | Path) else [str(each) for each in suite]
    session = open_session(out.parent, data, weights=weights, device=open_device("cpu"), progress=progress)
    packed: dict[str, tuple[Suite, list[Job]]] = {}
    for name in names:
        described, jobs = plan_suite(
            name,
            overrides=overrides,
            limit=limit,
            datasets=datasets,
            corruptions=corruptions,
            trained_on=trained_on,
            seeds=seeds,
            plugins=plugins,
            allow_leak=allow_leak,
        )
        check_jobs(jobs)
        absent = without_images(jobs, session) if described.absent == "leave-out" else {}
        here = [job for job in jobs if job.row.key not in absent]
        check_datasets(here, session)
        require_weights(here, session.workspace.weights)
        packed[name] = described, here
    contents, order = pack_suites(packed, session, plugins=[Path(each) for each in plugins])
    order = replace(
        order,
        overrides=dict(overrides or {}),
        limit=limit,
        datasets=tuple(datasets),
        corruptions=tuple(corruptions),
        trained_on=tuple(trained_on),
        seeds=tuple(seeds),
        allow_leak=allow_leak,
    )
    return write_bundle(out, contents, order, most=max_size)


def removed_results(outcome: SuiteResult, runs: Path) -> dict[str, str]:
    """The reason by key for results whose files somebody removed while the suite ran, which the log tells as well."""
    from bench.store.files import RESULT_FILE

    pairs = zip(outcome.jobs, outcome.results, strict=True)
    keys = [job.row.key for job, result in pairs if result is not None]
    removed = [key for key in keys if not (runs / key / RESULT_FILE).is_file()]
    if removed:
        log.warning(
            "%s: %d of %d results were removed while the suite ran, the first %s; the same command makes them again",
            *(runs, len(removed), len(keys), removed[0]),
        )
    return dict.fromkeys(removed, "its files were removed while the suite ran")


def score(
    predictions: Path | str,
    masks: Path | str | None = None,
    *,
    scorings: Sequence[str] = (),
    protocol: str = "",
    overrides: Mapping[str, Any] | None = None,
    images: Path | str | None = None,
    names: Path | str | None = None,
    suffix: str = "",
    mask_suffix: str = "",
    data: Path | str | None = None,
    progress: Progress | None = None,
) -> tuple[Scored, ...]:
    """Score prediction files, or those of a run, against ground truth; one outcome for each scoring.

    Args:
        predictions: folder of maps, an .npz file, or a run's folder.
        masks: folder of ground-truth masks; of a run's folder default those of its dataset.
        scorings: names; default `native`.
        protocol: a protocol whose scoring is to be used instead.
        overrides: fields of the scoring by path, as `{"scoring.threshold": 0.4}`.
        images: folder of images, which signal-to-clutter ratios are measured on.
        names: file with the names of the images to score, one a line.
        suffix, mask_suffix: endings of the names of predictions and masks, as `_Pred`; others are left aside.
        data: folder of datasets, for a run's folder.

    Raises:
        BenchError: in one line, for whatever cannot be scored.
    """
    from bench.scoring.request import ScoreRequest, score_request

    request = ScoreRequest(
        Path(predictions),
        None if masks is None else Path(masks),
        scorings=tuple(scorings),
        protocol=protocol,
        changes=dict(overrides or {}),
        images=None if images is None else Path(images),
        names=None if names is None else Path(names),
        suffix=suffix,
        mask_suffix=mask_suffix,
        data=data_folder(data),
    )
    return tuple(score_request(request, progress=progress or Silent()))


def compare(
    predictions: Sequence[Path | str],
    masks: Path | str | None = None,
    *,
    labels: Sequence[str] = (),
    scoring: str = "",
    protocol: str = "",
    overrides: Mapping[str, Any] | None = None,
    images: Path | str | None = None,
    names: Path | str | None = None,
    suffix: str = "",
    mask_suffix: str = "",
    common: bool = False,
    dataset: str = "",
    data: Path | str | None = None,
    out: Path | str | None = None,
    columns: Sequence[str] = (),
    plugins: Iterable[Path | str] = (),
    progress: Progress | None = None,
    on_scored: Callable[[ComparisonResult], None] | None = None,
) -> ComparisonResult:
    """Compare predictions of several methods on the same images; nothing is trained or predicted.

    Args:
        predictions: folders of maps, .npz files or runs' folders, at least two.
        masks: folder of ground-truth masks; of runs alone default those of their dataset.
        labels: names of the methods; default those of the folders.
        scoring, protocol: name of the rules; default `native`, of runs alone their own.
        overrides, images, names, suffix, mask_suffix, data: as in `score`.
        common: take the images that all have, where they have different ones.
        dataset: name of the dataset in tables; default that of the folder of masks.
        out: folder for a report, and for the scores in its folder `results`; default none.
        columns: metric ids of the tables' columns.
        plugins: Python files that register metrics.
        on_scored: called with the numbers before the report is drawn.

    Raises:
        BenchError: in one line, for whatever cannot be compared.
    """
    from bench.scoring.comparison import CompareRequest, score_methods
    from reports.build import build_report
    from reports.columns import chosen_metrics
    from reports.figures.side_by_side import choose_images
    from reports.tables.compared_values import read_compared

    for path in plugins:
        load_plugin(Path(path))
    chosen_metrics(columns, ())  # before anything is scored
    request = CompareRequest(
        tuple(map(Path, predictions)),
        None if masks is None else Path(masks),
        labels=tuple(labels),
        scoring=scoring,
        protocol=protocol,
        changes=dict(overrides or {}),
        images=None if images is None else Path(images),
        names=None if names is None else Path(names),
        suffix=suffix,
        mask_suffix=mask_suffix,
        common=common,
        dataset=dataset,
        data=data_folder(data),
        out=None if out is None else Path(out),
    )
    with TemporaryDirectory() as temporary:
        root = Path(temporary) if request.out is None else request.out / "results"
        compared = score_methods(request, root, columns=columns, choose=choose_images, progress=progress)
        numbers = read_compared(root, compared.manifest.suite)
        found = ComparisonResult(compared.manifest, numbers, compared.notes)
        if on_scored is not None:
            on_scored(found)
        if request.out is None:
            return found
        return replace(found, report=build_report(root, compared.manifest.suite, out=request.out, data=request.data))


def gate(
    suite: str | Path,
    reference: Path | str,
    *,
    data: Path | str | None = None,
    weights: Path | str | None = None,
    device: str = "cpu",
    overrides: Mapping[str, Any] | None = None,
    limit: Limit | str = "",
    plugins: Iterable[Path | str] = (),
    update: bool = False,
    reason: str = "",
    progress: Progress | None = None,
) -> GateReport | None:
    """Compare what a suite gives with a stored reference: scores, images, rules, cost and time.

    Args:
        reference: file of stored rows with their margins.
        data, weights: as in `run_suite`; a published checkpoint that is missing is an error here.
        device, overrides, limit: as in `run_suite`; of a limited list the reference's counts of the same images count.
        update: store what the suite gives now as the reference instead; None is returned.
        reason: why the reference is updated; stored with the date and the commit.

    Raises:
        BenchError: when the suite or the reference is not usable, or a score of the reference could not fail.
    """
    from bench.run.gate import compare_with_reference, refuse_powerless
    from bench.run.gate_measure import measure_rows
    from bench.run.gate_reference import ReferenceChange, make_reference, previous_reference, write_reference
    from bench.run.preflight import check_jobs, read_images, require_weights
    from bench.suites.expand import expand
    from bench.suites.suite import load_suite, parse_limit

    data, path = data_folder(data), Path(reference)
    stored = None if update else _reference_for(path)
    described = load_suite(str(suite))
    if len(described.seeds) > 1:
        raise RequestError(f"gate: suite {described.name} has seeds {list(described.seeds)}, expected one")
    if described.allow_leak:
        raise RequestError(
            f"gate: suite {described.name} has allow_leak = true, expected false: scores on images that were trained "
            "on prove nothing; remove it"
        )
    on = open_device(device)
    jobs = expand(
        described,
        info_of=info_lookup((*plugins, *described.plugins)),
        overrides=overrides,
        limit=parse_limit(limit) if isinstance(limit, str) else limit,
        device="cuda" if on.type == "cuda" else "cpu",
    )
    check_jobs(jobs)
    with TemporaryDirectory() as runs:
        session = open_session(Path(runs), data, weights=weights, device=on, progress=progress)
        require_weights(jobs, session.workspace.weights)
        before = previous_reference(path) if update else None
        if update and not reason.strip():
            raise RequestError(
                "gate: --update without --reason TEXT, expected why the reference changes; it is stored with the date"
            )
        read_images(jobs, session)
        measured = measure_rows(jobs, session, stored)
        environment = session.workspace.environment
    if stored is not None:
        return compare_with_reference(measured, stored)
    change = ReferenceChange(datetime.now(UTC).date().isoformat(), reason.strip(), environment.get("commit"))
    made = make_reference(measured, suite=described.name, change=change, before=before, environment=environment)
    refuse_powerless(made, measured=measured)
    write_reference(made, path)
    return None


def _reference_for(path: Path) -> Reference:
    """The stored reference, checked before anything runs."""
    from bench.run.gate import refuse_powerless
    from bench.run.gate_reference import read_reference

    stored = read_reference(path)
    refuse_powerless(stored)
    return stored


def report(
    suite: str,
    *,
    source: Path | str | Sequence[Path | str] = "runs",
    out: Path | str | None = None,
    mixed: str = "",
    columns: Sequence[str] = (),
    plugins: Iterable[Path | str] = (),
    images: Sequence[str] = (),
    data: Path | str | None = None,
    mlflow: str | None = MLFLOW_OFF,
) -> Report:
    """Make the tables (LaTeX, CSV, Markdown), figures (PDF, PNG) and the page of a suite that was run.

    Args:
        suite: a name, or the TOML file, whose plugins are loaded; of scores any name, which the dataset bears as well.
        source: folder of results; the URI of an MLflow store, as sqlite:///mlflow.db; or what `score` has written of
            each method, a folder, a JSON file or a folder of such folders.
        out: folder for the report; default reports-out/SUITE.
        mixed: "refuse" or "mark" tables that would mix splits or scorings; default as the suite says.
        columns: metric ids of the tables' columns; default those of the suite.
        plugins: Python files that register metrics.
        images: names of those that methods are shown side by side on; default by rule.
        data: folder of datasets, from which such images are taken; default the runs' examples.
        mlflow: as in `run_suite`.

    Raises:
        BenchError: when the suite was not run there, or its files are broken.
    """
    from bench.scoring.given import store_scores, written_scores
    from bench.store.files import read_manifest
    from bench.store.mirror import open_mirror
    from bench.store.publish import fetch_suite
    from bench.suites.suite import load_suite, stored_suite, suite_stem
    from reports.build import build_report
    from reports.tables.suite_summary import summarise_suite

    own = load_suite(suite).plugins if suite.endswith(".toml") and Path(suite).is_file() else ()
    for path in (*plugins, *own):
        load_plugin(Path(path))
    sources = [str(each) for each in ([source] if isinstance(source, Path | str) else source)]
    scores = [path for each in sources if "://" not in each for path in written_scores(Path(each))]
    with TemporaryDirectory() as temporary:
        root = Path(temporary)
        if scores:
            _refuse_other_sources(sources)
            name, mlflow = store_scores(scores, root, suite).suite, MLFLOW_OFF
        elif len(sources) != 1:
            raise RequestError(
                f"--from: {len(sources)} given, expected one; only folders of scores, as dfinet-bench score --out "
                "writes them, can be several"
            )
        elif "://" in sources[0]:
            name = suite_stem(suite)
            root = fetch_suite(sources[0], name, root)
            mlflow = mlflow or sources[0]
        else:
            root = Path(sources[0])
            name = stored_suite(suite, root)
        folder = Path(out) if out is not None else Path("reports-out") / name
        made = build_report(root, name, out=folder, mixed=mixed, columns=columns, images=images, data=data_folder(data))
        kept = None if root.is_relative_to(temporary) else root
        open_mirror(mlflow, kept, summarise=summarise_suite).log_report(read_manifest(root, name), folder)
    return made


def _refuse_other_sources(sources: Sequence[str]) -> None:
    """Raise RequestError unless all are scores."""
    from bench.scoring.given import written_scores

    if other := next((each for each in sources if "://" in each or not written_scores(Path(each))), ""):
        raise RequestError(
            f"--from {other}: holds no scores, expected some as in the others; write them with dfinet-bench score --out"
        )


def open_device(name: str) -> torch.device:
    """The processor to run on.

    Raises:
        RequestError: for an unknown kind, or CUDA where there is none.
    """
    import torch

    from bench.run.torchrun import own_device

    if name not in ("cpu", "cuda"):
        raise RequestError(f"--device {name!r}: expected cpu or cuda")
    if name == "cuda" and not torch.cuda.is_available():
        raise RequestError("--device cuda: torch finds no CUDA device here; use --device cpu")
    if name == "cuda":
        torch.backends.cudnn.deterministic = True
    return own_device(torch.device(name))


def _cluster_request(executor: str, address: str | None, share: str, workers: int | None) -> ClusterRequest:
    """The request to the Ray executor.

    Raises:
        RequestError: for options of the other executor.
    """
    from bench.run.cluster.request import ClusterRequest, parse_share

    if executor != "ray" and (address or share):
        raise RequestError(f"{'--ray-address' if address else '--share'}: only with --executor ray")
    if executor == "ray" and workers is not None:
        raise RequestError("--workers: only with --executor local; --share says how many experiments fit on a node")
    return ClusterRequest(address, parse_share(share))


def worker_limit(given: int | str | None) -> int | None:
    """The number of workers: the given one, else $DFINET_BENCH_WORKERS; None to choose one by the machine.

    Raises:
        RequestError: for anything but a whole number of at least 1.
    """
    asked, name = (given, "--workers") if given is not None else (os.environ.get(WORKERS), WORKERS)
    if asked is None or (asked == "" and given is None):
        return None
    try:
        count = 0 if isinstance(asked, float | bool) else int(asked)
    except ValueError:
        count = 0
    if count < 1:
        raise RequestError(f"{name} {asked!r}: expected a whole number of at least 1")
    return count


def data_folder(given: Path | str | None) -> Path | None:
    """The folder of datasets: the given one, else $DFINET_BENCH_DATA, else ./data where there is one.

    Cards of datasets of the user's own that lie there are known from now on.
    """
    from bench.data.catalogue.cards import read_cards_in

    folder = _folder(given, "DFINET_BENCH_DATA", Path("data"))
    read_cards_in(folder)
    return folder


def weights_folder(given: Path | str | None) -> Path | None:
    """The folder of checkpoints: the given one, else $DFINET_BENCH_WEIGHTS, else ./weights where there is one."""
    return _folder(given, "DFINET_BENCH_WEIGHTS", Path("weights"))


def _folder(given: Path | str | None, variable: str, usual: Path) -> Path | None:
    named = given if given is not None else os.environ.get(variable)
    if named:
        return Path(named)
    return usual if usual.is_dir() else None


def open_session(
    runs: Path,
    data: Path | str | None,
    *,
    weights: Path | str | None = None,
    device: torch.device,
    progress: Progress | None = None,
) -> Session:
    """A session of experiments whose results go to `runs`."""
    from bench.run.workspace import Session, Workspace

    workspace = Workspace.open(runs, data=data_folder(data), weights=weights_folder(weights), device=device)
    return Session(workspace, progress=progress or Silent())


def info_lookup(plugins: Iterable[Path | str] | None) -> Callable[[str], ModelInfo]:
    """A function from a model's name to its record, the models of plugins included."""
    from bench.models.network import find_models

    for path in plugins or ():
        load_plugin(Path(path))
    models = find_models()
    return lambda name: models.get(name).info
