"""Carry results, states and weights out of a folder of results into parts, and back into another one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import torch

from bench.bundle.parts import (
    PARTS_FILE,
    SHOWN,
    Parcel,
    PartsList,
    Room,
    check_parts,
    cut_parcel,
    read_parts_list,
    unpack_parcel,
    write_parcel,
    write_parts_list,
)
from bench.data.images.start_masks import OTSU
from bench.errors import StoreError
from bench.models.network import build_model
from bench.run.attempt import name_of
from bench.run.preflight import is_done
from bench.run.workspace import Workspace
from bench.store.collect import files_of_result
from bench.store.files import RESULT_FILE, SCORED_FILE, read_log, read_result, read_without_cost
from bench.suites.expand import Job
from bench.training.train import checkpoint_metadata
from bench.types import Training
from bench.weights.load import save_weights

STATE, LOG, CHECKPOINT, BEST = "state.pt", "log.jsonl", "checkpoint.safetensors", "best-so-far.safetensors"
MIB = 1024 * 1024


def carry_out(
    jobs: Sequence[Job], workspace: Workspace, out: Path, *, room: Room, code: str, number: int, scratch: Path
) -> PartsList:
    """Write parts: results first, then states of unfinished trainings, then weights of finished ones, as room allows.

    Of a state that finds no room the best epoch's weights are carried, so that they at least are not lost.

    Args:
        room: of all files, the list of the parts included.
        scratch: a folder that each parcel is packed in before it is cut.

    Raises:
        WriteError: when the parts cannot be written.
    """
    packing = _Packing(out, Room(room.files - 1, room.file_size, room.total - MIB // 4), scratch / "parcel.zip", number)
    runs = workspace.runs
    if not packing.add(Parcel("results", "results", ()), _results(jobs, runs)):
        packing.leave_out("finished results", "raise --files or --total and run a slice again")
    waiting, finished = _trainings(jobs, workspace)
    for job, training in waiting.items():
        folder = workspace.training_folder(training.key)
        epoch = finished_epochs(folder)
        state = Parcel("state", training.key, (), epoch)
        if packing.add(state, _named(runs, folder / STATE, folder / LOG)):
            continue
        instead = "nothing goes instead"
        with suppress(StoreError):
            best_epoch = _write_best(training, folder)
            if packing.add(Parcel("weights", training.key, ()), _named(runs, folder / BEST, folder / LOG)):
                instead = f"its best weights (epoch {best_epoch}) go instead"
        packing.leave_out(
            f"the state of {name_of(job)} after epoch {epoch}",
            f"{instead}, and on another machine its training starts over",
        )
    for job, training in finished.items():
        folder = workspace.training_folder(training.key)
        if not packing.add(Parcel("weights", training.key, ()), _named(runs, folder / CHECKPOINT)):
            packing.leave_out(f"the weights of {name_of(job)}", "its results are there")
    done = sum(is_done(job, workspace) for job in jobs)
    found = PartsList(code, number, len(jobs), done, tuple(packing.parcels), tuple(packing.left_out))
    write_parts_list(out, found)
    return found


@dataclass
class _Packing:
    """Parcels as they are packed, and the room that is left."""

    out: Path
    room: Room
    scratch: Path
    number: int

    def __post_init__(self) -> None:
        self.parcels: list[Parcel] = []
        self.left_out: list[str] = []
        self.last_size = 0

    def add(self, parcel: Parcel, files: dict[str, Path]) -> bool:
        """Pack a parcel, cut it and write its parts, if it fits."""
        if not files:
            return True
        self.scratch.parent.mkdir(parents=True, exist_ok=True)
        try:
            self.last_size = write_parcel(self.scratch, files).stat().st_size
            if not self.room.holds(self.last_size):
                return False
            self.room = self.room.without(self.last_size)
            stem = f"slice-{self.number}-{parcel.kind}-{len(self.parcels) + 1}"
            self.parcels.append(cut_parcel(self.scratch, self.out, parcel, file_size=self.room.file_size, stem=stem))
        finally:
            self.scratch.unlink(missing_ok=True)
        return True

    def leave_out(self, name: str, rest: str) -> None:
        """Record what found no room."""
        left = min(self.room.total, max(0, self.room.files) * self.room.file_size)
        self.left_out.append(f"{name} finds no room in {left / MIB:.1f} MiB: {rest}")


def _named(runs: Path, *files: Path) -> dict[str, Path]:
    return {file.relative_to(runs).as_posix(): file for file in files if file.is_file()}


def _results(jobs: Sequence[Job], runs: Path) -> dict[str, Path]:
    """The manifests of the suites, and the small files of all results."""
    files = _named(runs, *sorted((runs / "suites").glob("*.json")))
    for job in jobs:
        folder = runs / job.row.key
        for read in (read_result, read_without_cost):
            with suppress(StoreError):
                files |= _named(runs, *files_of_result(runs, read(folder)), folder / SCORED_FILE)
    return files


def _trainings(jobs: Sequence[Job], workspace: Workspace) -> tuple[dict[Job, Training], dict[Job, Training]]:
    """The trainings that unfinished experiments need and have begun, and all others that are there, by experiment."""
    waiting: dict[str, Job] = {}
    finished: dict[str, Job] = {}
    for job in jobs:
        training = job.experiment.weights
        if isinstance(training, Training):
            folder, is_finished = workspace.training_folder(training.key), is_done(job, workspace)
            if (folder / (CHECKPOINT if is_finished else STATE)).is_file():
                (finished if is_finished else waiting).setdefault(training.key, job)
    return _by_job(waiting), _by_job({key: job for key, job in finished.items() if key not in waiting})


def _by_job(jobs: Mapping[str, Job]) -> dict[Job, Training]:
    weights = ((job, job.experiment.weights) for job in jobs.values())
    return {job: training for job, training in weights if isinstance(training, Training)}


def finished_epochs(folder: Path) -> int:
    """The epochs in a training's log; 0 without one."""
    try:
        return len(read_log(folder / LOG))
    except StoreError:
        return 0


def _write_best(training: Training, folder: Path) -> int:
    """Write the best epoch's weights of an unfinished training; the epoch.

    Raises:
        StoreError: when the state cannot be read.
    """
    try:
        state = torch.load(folder / STATE, map_location="cpu", weights_only=True)
        average = {
            name.removeprefix("module."): each for name, each in state["average"].items() if name != "n_averaged"
        }
        network = build_model(training.model, channels=training.input.channels, settings=dict(training.config))
        network.load_state_dict(state["best"] or average or state["network"])
        epoch = int(state["done"]["best_epoch"])
    except Exception as error:
        raise StoreError(f"{folder / STATE}: not a readable state") from error
    start = OTSU if network.needs_start else ""
    save_weights(
        network, folder / BEST, metadata=checkpoint_metadata(training, epoch), input=training.input, start=start
    )
    return epoch


def carry_back(folder: Path, runs: Path, *, code: str = "") -> PartsList:
    """Write what parts hold below a folder of results; what is further on there stays as it is.

    All parts are checked before the first file is written.

    Args:
        code: SHA-256 of the code that is to go on with it; empty for results and weights alone.

    Raises:
        StoreError: when a part is missing or damaged, or another code made the states.
    """
    found = read_parts_list(folder)
    if code and found.code != code:
        raise StoreError(
            f"{folder / PARTS_FILE}: made by code {found.code[:SHOWN]}…, this bundle has {code[:SHOWN]}…; go on "
            "with the bundle that made it"
        )
    check_parts(folder, found.parcels)
    for parcel in found.parcels:
        if not _is_further_on(parcel, runs):
            unpack_parcel(
                folder, parcel, runs, wanted=_Unknown(runs) if parcel.kind == "results" else lambda name: True
            )
    return found


def _is_further_on(parcel: Parcel, runs: Path) -> bool:
    """Return true for a state whose training is as far here."""
    folder = runs / "trainings" / parcel.name
    return parcel.kind == "state" and (folder / STATE).is_file() and finished_epochs(folder) >= parcel.epoch


class _Unknown:
    """The files of results that a folder does not have: none of a finished result there, and no log beside a state."""

    def __init__(self, runs: Path) -> None:
        self._finished = {path.parent.name for path in runs.glob(f"*/{RESULT_FILE}") if _is_finished(path.parent)}
        self._begun = {path.parent.name for path in (runs / "trainings").glob(f"*/{STATE}")}

    def __call__(self, name: PurePosixPath) -> bool:
        if name.parts[0] == "trainings":
            return name.parts[1] not in self._begun
        return name.parts[0] not in self._finished


def _is_finished(folder: Path) -> bool:
    try:
        return read_result(folder).status != "failed"
    except StoreError:
        return False
