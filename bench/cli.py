"""The command line: words into calls, records into text. The only module that prints."""

from __future__ import annotations

import json
import logging
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.logging import RichHandler
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeRemainingColumn
from rich.table import Table

from bench import __version__
from bench.registry import load_plugin

if TYPE_CHECKING:
    import torch

    from bench.conversion import Imported
    from bench.gate import GateReport
    from bench.rescore import Rescored
    from bench.runner import Place
    from bench.suites import Job
    from bench.types import ModelInfo, RunResult, Score

# What needs torch, MLflow or matplotlib is imported inside the command that needs it, so that --help answers at once.

app = typer.Typer(
    add_completion=False,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    help="Compare infrared small target detectors under the same, named rules.",
)
data_app = typer.Typer(no_args_is_help=True, help="Prove and describe the images.")
app.add_typer(data_app, name="data")
weights_app = typer.Typer(no_args_is_help=True, help="Bring in published weights.")
app.add_typer(weights_app, name="weights")

FILE_WIDTH = 200  # columns where output goes to a file or a pipe, which have no width of their own
out = Console(highlight=False, width=None if sys.stdout.isatty() else FILE_WIDTH)
err = Console(stderr=True, highlight=False, width=None if sys.stderr.isatty() else FILE_WIDTH)
log = logging.getLogger("bench")

FAILED, WRONG = 1, 2
DEFAULT_RUNS = Path("runs")

DataOption = Annotated[
    Path | None,
    typer.Option("--data", help="Folder that holds <NAME>/images and <NAME>/masks.", envvar="DFINET_BENCH_DATA"),
]
RunsOption = Annotated[Path, typer.Option("--runs", help="Folder that takes the results.")]
PluginOption = Annotated[
    list[Path] | None, typer.Option("--plugin", help="Python file of your own that registers a model; repeatable.")
]
JsonOption = Annotated[bool, typer.Option("--json", help="One JSON object on standard output.")]
UriOption = Annotated[
    str | None,
    typer.Option("--mlflow", help="MLflow store; `off` for none. Default $MLFLOW_TRACKING_URI, else ./mlflow.db."),
]


def main() -> None:
    """Run the command line; expected errors become one line on standard error and exit code 2."""
    from bench.data.cards import DataError
    from bench.store import StoreError
    from bench.suites import SuiteError
    from bench.tracking import TrackingError

    logging.basicConfig(
        level=logging.WARNING, format="%(message)s", handlers=[RichHandler(console=err, show_path=False)]
    )
    log.setLevel(logging.INFO)
    try:
        app()
    except (DataError, StoreError, SuiteError, TrackingError, LookupError, OSError, ValueError) as error:
        message = error.args[0] if isinstance(error, LookupError) and error.args else str(error)
        if os.environ.get("DFINET_BENCH_TRACEBACK"):
            raise
        err.print(f"error: {message}", markup=False, soft_wrap=True)
        sys.exit(WRONG)
    except KeyboardInterrupt:
        err.print("interrupted; the same command goes on from here")
        sys.exit(130)


class Bar:
    """Progress on a terminal: what is done, how fast, how long still. Quiet where there is no terminal."""

    def __init__(self) -> None:
        self._bar = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("{task.fields[rate]}"),
            TimeRemainingColumn(),
            TextColumn("{task.fields[note]}"),
            console=err,
            transient=True,
            disable=not err.is_terminal,
        )
        self._task: TaskID | None = None

    def begin(self, what: str, total: int) -> None:
        """Show a new bar."""
        self._bar.start()
        self._task = self._bar.add_task(what, total=total, note="", rate="")

    def advance(self, note: str = "") -> None:
        """Move the bar by one."""
        if self._task is None:
            return
        speed = next((task.speed for task in self._bar.tasks if task.id == self._task), None)
        self._bar.update(self._task, advance=1, note=note, rate=f"{speed:.1f}/s" if speed else "")

    def end(self) -> None:
        """Take the bar away."""
        if self._task is not None:
            self._bar.remove_task(self._task)
            self._task = None
        self._bar.stop()


@app.callback(invoke_without_command=True)
def version(show: Annotated[bool, typer.Option("--version", help="Print the version.")] = False) -> None:
    """Compare infrared small target detectors under the same, named rules."""
    if show:
        out.print(__version__)
        raise typer.Exit


@app.command()
def run(
    suite: Annotated[str, typer.Argument(help="A suite's name, or a TOML file.")],
    data: DataOption = None,
    device: Annotated[str, typer.Option(help="cpu or cuda.")] = "cpu",
    executor: Annotated[str, typer.Option(help="local.")] = "local",
    set_: Annotated[
        list[str] | None, typer.Option("--set", help="recipe.epochs=40, start=zeros and the like; repeatable.")
    ] = None,
    limit: Annotated[str, typer.Option(help="train=32,test=32: a trial on fewer images.")] = "",
    dataset: Annotated[
        list[str] | None, typer.Option(help="Run the suite on this dataset instead of its own; repeatable.")
    ] = None,
    plugin: PluginOption = None,
    runs: RunsOption = DEFAULT_RUNS,
    mlflow: UriOption = None,
    budget: Annotated[
        float | None, typer.Option(help="Minutes after which no further experiment is begun.", min=0)
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Train, predict, score and measure every experiment of a suite; what is done already is kept."""
    from bench.executors.local import run_all
    from bench.rules import parse_overrides
    from bench.runner import check_names, read_images
    from bench.store import write_manifest
    from bench.suites import expand, load_suite, manifest_of, parse_limit
    from bench.tracking import Mirror, open_tracker

    if executor != "local":
        raise ValueError(f"--executor {executor!r}: expected local")
    place_device = open_device(device)
    described = load_suite(suite)
    if dataset:
        described = replace(described, datasets=tuple(dict.fromkeys(dataset)))
    jobs = expand(
        described,
        info_of=info_lookup(plugin),
        overrides=parse_overrides(set_ or []),
        limit=parse_limit(limit),
        device="cuda" if place_device.type == "cuda" else "cpu",
    )
    check_names(jobs)
    place = open_place(runs, data, place_device)
    read_images(jobs, place)
    place.tracker = Mirror(open_tracker(mlflow))
    manifest = manifest_of(described, jobs)
    write_manifest(runs, manifest)
    place.tracker.begin_suite(manifest)
    results = run_all(jobs, place, budget=None if budget is None else 60 * budget)
    failed = [result for result in results if result is not None and result.status == "failed"]
    place.tracker.end_suite(failed=bool(failed))
    unreached = [job.row.key for job, result in zip(jobs, results, strict=True) if result is None]
    if unreached:
        reason = f"not reached within the time budget of {budget:g} min"
        write_manifest(runs, replace(manifest, unreached=dict.fromkeys(unreached, reason)))
        err.print(f"note: {len(unreached)} of {len(jobs)} rows {reason}; the same command goes on with them")
    show_results(jobs, results, as_json=as_json)
    if failed:
        raise typer.Exit(FAILED)


@app.command()
def report(
    suite: Annotated[str, typer.Argument(help="A suite's name.")],
    source: Annotated[Path, typer.Option("--from", help="Folder of results.")] = DEFAULT_RUNS,
    to: Annotated[Path | None, typer.Option("--out", help="Folder for the report; default reports-out/SUITE.")] = None,
    mixed: Annotated[
        str, typer.Option(help="refuse or mark: what to do with a table that would mix splits or scorings.")
    ] = "refuse",
    mlflow: UriOption = None,
) -> None:
    """Make the tables (LaTeX, CSV, Markdown), figures (PDF, PNG) and the page of a suite that was run."""
    from bench.store import read_manifest
    from bench.suites import suite_stem
    from bench.tracking import open_tracker
    from reports.build import build_report

    name = suite_stem(suite)
    folder = to or Path("reports-out") / name
    made = build_report(source, name, out=folder, mixed=mixed)
    open_tracker(mlflow).log_report(read_manifest(source, name), folder)
    for note in made.notes:
        err.print(f"note: {note}", markup=False, soft_wrap=True)
    for path in made.paths:
        out.print(str(path), markup=False, soft_wrap=True)


@app.command()
def gate(
    suite: Annotated[str, typer.Argument(help="A suite of given weights, as a rule.")],
    reference: Annotated[Path, typer.Option(help="Stored scores with their margins.")],
    data: DataOption = None,
    plugin: PluginOption = None,
    junit: Annotated[Path | None, typer.Option(help="Write a JUnit XML file, too.")] = None,
    update: Annotated[bool, typer.Option("--update", help="Store the present scores as the reference.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Compare a suite's scores with stored ones: exit code 1, and what moved, when accuracy was lost."""
    from bench.executors.local import run_all
    from bench.gate import compare, read_reference, to_junit, write_reference
    from bench.runner import check_names, read_images
    from bench.store import write_text
    from bench.suites import expand, load_suite

    stored = None if update else read_reference(reference)
    described = load_suite(suite)
    if len(described.seeds) > 1:
        raise ValueError(f"gate: suite {described.name} has seeds {list(described.seeds)}, expected one")
    jobs = expand(described, info_of=info_lookup(plugin))
    check_names(jobs)
    with TemporaryDirectory() as runs:
        place = open_place(Path(runs), data, open_device("cpu"))
        read_images(jobs, place)
        results = {
            f"{job.row.label} on {job.row.dataset}": result.scores
            for job, result in zip(jobs, run_all(jobs, place), strict=True)
            if result is not None
        }
    if stored is None:
        write_reference(results, reference, suite=described.name)
        out.print(str(reference), markup=False)
        return
    verdict = compare(results, stored)
    if junit is not None:
        write_text(junit, to_junit(verdict))
    if as_json:
        out.print_json(json.dumps(asdict(verdict)))
    else:
        show_gate(verdict)
    if not verdict.passed:
        raise typer.Exit(FAILED)


@app.command("score")
def score_(
    predictions: Annotated[
        Path, typer.Argument(help="Folder of maps (PNG, BMP, TIFF, JPEG, .npy, .npz), an .npz file, or runs/KEY.")
    ],
    masks: Annotated[Path | None, typer.Argument(help="Folder of masks; of runs/KEY default its dataset's.")] = None,
    scoring: Annotated[list[str] | None, typer.Option(help="A named scoring; repeatable. Default native.")] = None,
    protocol: Annotated[str, typer.Option(help="A protocol whose scoring is to be used.")] = "",
    set_: Annotated[
        list[str] | None, typer.Option("--set", help="scoring.threshold=0.4 and the like; repeatable.")
    ] = None,
    images: Annotated[Path | None, typer.Option(help="Folder of images, to measure contrast on.")] = None,
    list_file: Annotated[Path | None, typer.Option("--list", help="File of the names to score, one a line.")] = None,
    data: DataOption = None,
    to: Annotated[
        Path | None, typer.Option("--out", help="Folder that takes scores.json and the integers (counts.npz, …).")
    ] = None,
    record: Annotated[
        bool, typer.Option("--record", help="Write a run's scorings.json anew, under every named scoring.")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Score anybody's predictions, or a run's once more, under any named scorings; no network is needed."""
    from bench.rules import parse_overrides
    from bench.scored import Request, judge, write_record, write_scored

    request = Request(
        predictions,
        masks,
        scorings=tuple(scoring or ()),
        protocol=protocol,
        changes=parse_overrides(set_ or []),
        images=images,
        names=list_file,
        data=data or (Path("data") if Path("data").is_dir() else None),
        out=to,
        record=record,
    )
    found = judge(request, progress=Bar())
    written = write_scored(found, to) if to is not None else []
    if record:
        written.append(write_record(found, predictions))
    show_scored(found, as_json=as_json)
    for path in written:
        err.print(f"wrote {path}", markup=False, soft_wrap=True)


@app.command()
def cost(
    models: Annotated[list[str] | None, typer.Argument(help="Models' names; none means all but ablations.")] = None,
    size: Annotated[int, typer.Option(help="Side of the square input in pixels.")] = 256,
    device: Annotated[str, typer.Option(help="cpu or cuda.")] = "cpu",
    plugin: PluginOption = None,
    as_json: JsonOption = False,
) -> None:
    """Print parameters, MACs, latency, images/s and memory of new networks and detectors, each in its own process."""
    import torch

    from bench.fresh import measure_fresh
    from bench.network import build_model, find_models
    from bench.progress import track

    info_of, on = info_lookup(plugin), open_device(device)
    if size < 1:
        raise ValueError(f"--size {size}: expected a number of pixels, at least 1")
    everything = map(info_of, sorted(find_models(), key=str.casefold))
    infos = [info_of(name) for name in models] if models else [info for info in everything if not info.ablates]
    costs = {}
    for info in track(infos, "measure", total=len(infos), progress=Bar()):
        torch.manual_seed(0)
        network = build_model(info.name, channels=info.channels)
        costs[info.name] = measure_fresh(
            network, size=(size, size), channels=info.channels, device=on, rounds=info.rounds
        )
    if as_json:
        out.print_json(json.dumps({name: asdict(one) for name, one in costs.items()}))
        return
    table = Table("model", "params (M)", "MACs (G/round)", "rounds", "p50 (ms)", "p95 (ms)", "images/s", "memory (MB)")
    for name, one in costs.items():
        memory = "—" if one.peak_memory is None else f"{one.peak_memory / 1e6:.0f}"
        table.add_row(
            escape(name),
            f"{one.parameters / 1e6:.3f}",
            "—" if one.macs is None else f"{one.macs / 1e9:.3f}",
            str(one.rounds),
            f"{one.latency_p50:.1f}",
            f"{one.latency_p95:.1f}",
            f"{one.images_per_s:.2f}",
            memory,
        )
    out.print(table)
    for device_name, precision in dict.fromkeys((one.device, one.precision) for one in costs.values()):
        out.print(f"{device_name}, {precision}, batch 1, {size} x {size}", markup=False)
    counters = dict.fromkeys(one.macs_counter for one in costs.values() if one.macs is not None)
    if counters:
        out.print(f"MACs: {', '.join(counters)}, one round; — : a classical detector, whose work is not counted")


@app.command()
def audit(
    table: Annotated[Path, typer.Argument(help="CSV file: a table of published numbers, or a report's results.csv.")],
    dataset: Annotated[str, typer.Option(help="What rows are about that name no dataset.")] = "",
    as_json: JsonOption = False,
) -> None:
    """Check a table of numbers by arithmetic; exit code 1 when something in it cannot be."""
    from bench.audit import audit_file

    found = audit_file(table, dataset=dataset)
    if as_json:
        out.print_json(json.dumps(found.to_plain()))
    else:
        for sentence in found.sentences():
            out.print(sentence, markup=False, soft_wrap=True)
    if not found.is_sound:
        raise typer.Exit(FAILED)


@app.command("list")
def list_(
    what: Annotated[str, typer.Argument(help="models, datasets, suites, protocols, scorings, metrics or starts.")],
    plugin: PluginOption = None,
    as_json: JsonOption = False,
) -> None:
    """Name what there is."""
    from bench.listing import list_rows

    for path in plugin or []:
        load_plugin(path)
    rows = list_rows(what)
    if as_json:
        out.print_json(json.dumps({what: rows}))
        return
    table = Table(*(str(name) for name in rows[0]))
    for row in rows:
        table.add_row(*(escape(str(value)) for value in row.values()))
    out.print(table)


@data_app.command()
def verify(
    name: Annotated[str, typer.Argument(help="A dataset's name.")],
    data: DataOption = None,
    as_json: JsonOption = False,
) -> None:
    """Prove a folder against its dataset's card and say exactly what differs; exit code 1 when something does."""
    from bench.data.verify import verify as verify_folder

    with shown_steps(f"verify {name}") as step:
        proof = verify_folder(name, data, progress=step)
    if as_json:
        out.print_json(json.dumps(asdict(proof), default=str))
    else:
        for finding in proof.findings:
            out.print(str(finding), markup=False, soft_wrap=True)
        state = "as its card says" if proof.ok else f"{len(proof.problems)} differences from its card"
        out.print(f"{name}: {proof.files} files read, {state}", markup=False, soft_wrap=True)
    if not proof.ok:
        raise typer.Exit(FAILED)


@weights_app.command("import")
def import_(
    file: Annotated[Path, typer.Argument(help="A checkpoint, as its authors ship it.")],
    model: Annotated[str, typer.Option(help="The model that it is of.")],
    to: Annotated[
        Path | None, typer.Option("--out", help="File to write; default FILE's name, .safetensors, in this folder.")
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Replace a file that is there already.")] = False,
    set_: Annotated[
        list[str] | None, typer.Option("--set", help="A setting of the model, width=8 and the like; repeatable.")
    ] = None,
    plugin: PluginOption = None,
    as_json: JsonOption = False,
) -> None:
    """Convert a published checkpoint to safetensors, read it back and prove that the output is the same bit for bit."""
    from bench.conversion import default_out, import_weights
    from bench.rules import parse_overrides

    info_lookup(plugin)
    made = import_weights(
        file, model, out=to or default_out(file), replace_old=force, settings=parse_overrides(set_ or [])
    )
    if as_json:
        out.print_json(json.dumps(asdict(made), default=str))
        return
    show_import(made)


@app.command()
def publish(
    suite: Annotated[str, typer.Argument(help="A suite's name.")],
    source: Annotated[Path, typer.Option("--from", help="Folder of results.")] = DEFAULT_RUNS,
    mlflow: UriOption = None,
) -> None:
    """Send stored results to MLflow; those that are there already are left alone."""
    from bench.suites import suite_stem
    from bench.tracking import OFF, is_available, open_tracker
    from bench.tracking import publish as send

    if not is_available() or mlflow == OFF:
        raise ValueError("publish needs MLflow: install it with `pip install mlflow` and name a store with --mlflow")
    name = suite_stem(suite)
    count = send(source, name, open_tracker(mlflow))
    out.print(f"{name}: {count} results are in MLflow")


@app.command()
def ui(mlflow: UriOption = None, port: Annotated[int, typer.Option(help="Port on this machine.")] = 5000) -> None:
    """Open MLflow's page on the results."""
    from bench.tracking import open_page

    raise typer.Exit(open_page(mlflow, port=port))


def open_device(name: str) -> torch.device:
    """The processor to run on.

    Raises:
        ValueError: for an unknown kind, or CUDA where there is none.
    """
    import torch

    if name not in ("cpu", "cuda"):
        raise ValueError(f"--device {name!r}: expected cpu or cuda")
    if name == "cuda" and not torch.cuda.is_available():
        raise ValueError("--device cuda: torch finds no CUDA device here; use --device cpu")
    if name == "cuda":
        torch.backends.cudnn.deterministic = True
    return torch.device(name)


def open_place(runs: Path, data: Path | None, device: torch.device) -> Place:
    """Where experiments run, with progress on the terminal."""
    from bench.runner import Place

    folder = data or (Path("data") if Path("data").is_dir() else None)
    return Place(runs=runs, data=folder, device=device, progress=Bar())


def info_lookup(plugins: Sequence[Path] | None) -> Callable[[str], ModelInfo]:
    """A function from a model's name to what it is, the user's own models included."""
    from bench.network import find_models

    for path in plugins or []:
        load_plugin(path)
    models = find_models()
    return lambda name: models.get(name).info


@contextmanager
def shown_steps(what: str) -> Iterator[Callable[[int, int], None]]:
    """A callback `(done, total)` that moves a bar."""
    bar = Bar()
    started = False

    def step(done: int, total: int) -> None:
        nonlocal started
        if not started:
            bar.begin(what, total)
            started = True
        bar.advance()

    try:
        yield step
    finally:
        bar.end()


def show_results(jobs: Sequence[Job], results: Sequence[RunResult | None], *, as_json: bool) -> None:
    """Print one line an experiment, with where its files are, or all results as one JSON object; null: not reached."""
    from bench.scorings import with_prints
    from bench.store import to_plain

    if as_json:
        rows = [
            {"row": to_plain(job.row), "result": to_plain(result)} for job, result in zip(jobs, results, strict=True)
        ]
        out.print_json(json.dumps({"results": rows}))
        return
    printed = [with_prints(job.row.scoring).printed_ids().values() for job in jobs]
    names = list(dict.fromkeys(name for ids in printed for name in ids))
    table = Table("method", "dataset", *names, "rounds", "run")
    for job, result in zip(jobs, results, strict=True):
        if result is None:
            table.add_row(
                escape(job.row.label), job.row.dataset, *["—"] * len(names), "—", f"{job.row.key} not reached"
            )
            continue
        values = [format_score(name, result.scores.get(name)) for name in names]
        state = {"done": "", "limited": " (limited)", "failed": f" failed: {result.reason}"}[result.status]
        ran = escape(f"{result.key}{state}")
        table.add_row(escape(job.row.label), job.row.dataset, *values, str(len(result.rounds) or "—"), ran)
    out.print(table)


def show_scored(found: Sequence[Rescored], *, as_json: bool) -> None:
    """Print all scores under one scoring, or under several what the code base of each would print."""
    from bench.scored import scored_json
    from bench.scorings import describe_scoring

    for note in dict.fromkeys(note for one in found for note in one.notes):
        err.print(f"note: {note}", markup=False, soft_wrap=True)
    if as_json:
        out.print_json(json.dumps(scored_json(found)))
        return
    if len(found) > 1:
        show_side_by_side(found)
        return
    (one,) = found
    counted = ", ".join(
        f"{count} {noun}{'' if count == 1 else 's'}" for count, noun in ((one.images, "image"), (one.targets, "target"))
    )
    out.print(f"{counted}; {describe_scoring(one.named.scoring)}", markup=False, soft_wrap=True)
    table = Table("metric", "value", "better", "note")
    for name, value in one.scores.items():
        table.add_row(escape(name), format_score(name, value), value.better, escape(value.reason))
    out.print(table)


def show_side_by_side(found: Sequence[Rescored]) -> None:
    """Print a line a scoring: what its code base would print for the same predictions."""
    from bench.scorings import HEADS

    out.print(f"{found[0].images} images; rules: dfinet-bench list scorings", markup=False)
    table = Table("scoring", "targets", *HEADS)
    for one in found:
        ids, scores = one.named.printed_ids(), one.scores
        printed = (format_score(ids[head], scores.get(ids[head])) if head in ids else "" for head in HEADS)
        table.add_row(escape(one.named.scoring.name), str(one.targets), *printed)
    out.print(table)
    out.print("—: undefined; empty: that code base prints no such number", markup=False)


def format_score(name: str, score: Score | None) -> str:
    """A metric's value as people read it: false alarms over pixels in 1e-6, the rest as it is."""
    if score is None or score.value is None:
        return "—"
    is_over_pixels = name.startswith(("Fa/unmatched-area", "legacy:Fa/"))
    return f"{score.value * 1e6:.2f}e-6" if is_over_pixels else f"{score.value:.4f}"


def show_import(made: Imported) -> None:
    """Print what was taken from a checkpoint, what was written and what was proved."""
    settings = "".join(f", {name} {value}" for name, value in made.settings.items())
    lines = [
        f"{made.model}: {made.tensors} tensors taken from {made.source}, {made.parameters} parameters, "
        f"channels {made.channels}{settings}",
        f"{made.out}: SHA-256 {made.sha256}",
        "read back: the same output as the source, bit for bit",
    ]
    if made.absent:
        lines.append(f"note: {made.absent} num_batches_tracked are absent from the source; outputs do without them")
    for line in lines:
        out.print(line, markup=False, soft_wrap=True)


def show_gate(verdict: GateReport) -> None:
    """Print every compared score and the verdict."""
    table = Table("row", "metric", "reference", "margin", "measured", "moved", "verdict")
    for one in verdict.checks:
        measured, moved = ("—", "—") if one.value is None else (f"{one.value:.6g}", f"{one.moved:+.3g}")
        table.add_row(
            escape(one.row), one.metric, f"{one.reference:.6g}", f"{one.margin:.3g}", measured, moved, one.verdict
        )
    out.print(table)
    for failure in verdict.failures:
        out.print(failure.sentence(), markup=False, soft_wrap=True)
    for row in verdict.unknown_rows:
        out.print(f"{row}: not in the reference, not judged", markup=False, soft_wrap=True)
    out.print("gate: passed" if verdict.passed else "gate: failed")
