"""Run a slice of a bundle: some minutes from the state that an earlier slice left to the parts that the next takes up.

`bench/bundle/start.py` starts it where the bundle is unpacked. It needs neither MLflow nor typer.
"""

from __future__ import annotations

import argparse
import logging
import math
import os
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch

from bench.api import open_device, open_session, plan_suite, run_suite
from bench.bundle.carry import carry_back, carry_out, finished_epochs
from bench.bundle.order import DATA, RUNS, WEIGHTS, Order, read_order
from bench.bundle.parts import PARTS_FILE, PartsList, Room, read_parts_list
from bench.bundle.speed import testing_speed, training_speed
from bench.environment import device_name
from bench.errors import BenchError, RequestError
from bench.metrics.units import rate_text
from bench.parallel import start_process
from bench.part_files import writing
from bench.run.attempt import name_of
from bench.run.preflight import is_done, without_images
from bench.run.workspace import Session, Workspace
from bench.stop import Stopped, describe_stop, raising_on_signals
from bench.store.files import write_text
from bench.suites.expand import Job

log = logging.getLogger("bench.bundle")

FAILED, WRONG = 1, 2
MIB = 1024 * 1024
CHECKED = "checked"
NUMBER = "slice"


@dataclass(frozen=True)
class Slice:
    """A slice of a bundle that is unpacked at `work`.

    Attributes:
        seconds: from the start to the end, the writing of parts included.
        state: folder of the parts of an earlier slice.
        check: seconds of the check of the machine.
    """

    work: Path
    seconds: float
    out: Path
    state: Path | None
    device: str
    check: float
    room: Room

    @property
    def reserve(self) -> float:
        """Seconds that are left for the writing of parts."""
        return min(30.0, 0.1 * self.seconds)


def run_slice(words: Sequence[str] | None = None) -> int:
    """Run a slice; the exit code: 0, 1 when an experiment failed or results found no room, 2 for a wrong request."""
    _log_to_output()
    began = time.monotonic()
    try:
        return _run(_parsed(words), began)
    except BenchError as error:
        log.error("error: %s", error)
    except OSError as error:
        log.error("error: %s: %s", error.filename or "the system", (error.strerror or str(error)).lower())
    except Stopped as stop:
        log.error(describe_stop(stop))
        return stop.exit_code
    return WRONG


def _log_to_output() -> None:
    logging.basicConfig(level=logging.WARNING, format="%(message)s", stream=sys.stdout)
    logging.getLogger("bench").setLevel(logging.INFO)


def _parsed(words: Sequence[str] | None) -> Slice:
    """The slice that the words of the command line ask for."""
    parser = argparse.ArgumentParser(prog="python BUNDLE", description=__doc__)
    parser.add_argument("work", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--minutes", type=_positive, default=8.0, help="length of the slice; default 8")
    parser.add_argument("--out", type=Path, required=True, help="folder that takes the parts")
    parser.add_argument("--state", type=Path, help="folder of the parts of the slice before; it may be --out itself")
    parser.add_argument("--device", choices=("cpu", "cuda"), help="default cuda where there is one")
    parser.add_argument("--check", type=_length, default=20.0, help="seconds that speed is measured for; default 20")
    parser.add_argument("--files", type=int, default=8, help="most files in --out; default 8")
    parser.add_argument("--file-size", type=_positive, default=16.0, help="MiB of a file; default 16")
    parser.add_argument("--total", type=_positive, default=64.0, help="MiB of all files; default 64")
    parser.add_argument("--work", dest="own", help="folder that the bundle is unpacked in; default in the cache folder")
    given = parser.parse_args(words)
    if given.files < 2:
        parser.error("--files: expected at least 2, a list and a part")
    room = Room(given.files, int(given.file_size * MIB), int(given.total * MIB))
    device = given.device or ("cuda" if torch.cuda.is_available() else "cpu")
    return Slice(given.work, 60 * given.minutes, given.out, given.state, device, given.check, room)


def _length(text: str) -> float:
    number = float(text)
    if not 0 <= number < math.inf:
        raise argparse.ArgumentTypeError(f"{text!r}, expected a number of at least 0")
    return number


def _positive(text: str) -> float:
    number = _length(text)
    if number == 0:
        raise argparse.ArgumentTypeError(f"{text!r}, expected a number above 0")
    return number


def _run(part: Slice, began: float) -> int:
    order = read_order(part.work)
    with writing(part.out):
        part.out.mkdir(parents=True, exist_ok=True)
    runs = part.work / RUNS
    with raising_on_signals():
        number = 1 + _restore(part, order, runs)
        session = _session(part)
        log.info("device: %s (%s), torch %s", device_name(session.device), part.device, torch.__version__)
        jobs = _jobs(part, order, session)
        before = _epochs(jobs, session.workspace)
    code = _run_beside(part, part.seconds - part.reserve - (time.monotonic() - began))
    write_text(runs / NUMBER, f"{number}\n")
    scratch = part.work / "scratch"
    with raising_on_signals():
        found = carry_out(
            jobs, session.workspace, part.out, room=part.room, code=order.code, number=number, scratch=scratch
        )
    if code is None and found.finished < found.rows and before == _epochs(jobs, session.workspace):
        log.warning("no epoch was finished in this slice; give the next one more --minutes")
    _tell(part, found)
    return FAILED if code or not any(parcel.kind == "results" for parcel in found.parcels) else 0


def _session(part: Slice) -> Session:
    """A session in the unpacked bundle."""
    data, weights = part.work / DATA, part.work / WEIGHTS
    return open_session(part.work / RUNS, data, weights=weights, device=open_device(part.device))


def _restore(part: Slice, order: Order, runs: Path) -> int:
    """Bring back what earlier slices left; how many there have been."""
    here = runs / NUMBER
    number = int(here.read_text()) if here.is_file() else 0
    is_first = part.state is not None and part.state.resolve() == part.out.resolve() and not list(part.out.iterdir())
    if part.state is not None and not is_first:
        found = carry_back(part.state, runs, code=order.code)
        log.info("slice %d left %d of %d rows finished", found.number, found.finished, found.rows)
        number = max(number, found.number)
    elif (part.out / PARTS_FILE).is_file() and not number:
        left = read_parts_list(part.out).number
        raise RequestError(
            f"{part.out}: holds the parts of slice {left}; go on with --state {part.out}, or name another --out"
        )
    return number


def _jobs(part: Slice, order: Order, session: Session) -> list[Job]:
    """The experiments of all suites, once each, without those whose images the bundle does not hold."""
    found: dict[str, Job] = {}
    for name in order.suites_in(part.work):
        suite, jobs = plan_suite(name, device=part.device, **order.options(part.work))
        absent = without_images(jobs, session) if suite.absent == "leave-out" else {}
        found |= {job.row.key: job for job in jobs if job.row.key not in absent}
    return list(found.values())


def _check_speed(part: Slice, order: Order) -> None:
    """Log how fast the first unfinished network learns and predicts, once on each machine."""
    if not part.check:
        return
    session = _session(part)
    jobs = _jobs(part, order, session)
    told, mark = f"{device_name(session.device)} {os.uname().nodename}", part.work / CHECKED
    waiting = [job for job in jobs if not is_done(job, session.workspace)]
    if not waiting or (mark.is_file() and mark.read_text(encoding="utf-8") == told):
        return
    for measure, doing in ((training_speed, "training"), (testing_speed, "testing")):
        rate = measure(waiting[0], session, seconds=part.check / 2)
        if rate is not None:
            log.info("%s: %s images/s in %s", name_of(waiting[0]), rate_text(rate), doing)
    if session.device.type == "cuda":
        torch.cuda.empty_cache()
    write_text(mark, told)


def _run_beside(part: Slice, seconds: float) -> int | None:
    """Run the suites in a process of their own until the time is over; its exit code, None when it was stopped.

    A signal can get lost in a library, so that a process that goes on in spite of it is ended. Nothing but work after
    the last saved epoch is lost by that.
    """
    process = start_process(_work, part, threads=torch.get_num_threads())
    try:
        with raising_on_signals():
            process.join(max(0.0, seconds))
    except Stopped as stop:
        log.info(describe_stop(stop).replace("the same command starts over", "writing the parts"))
    code = process.exitcode
    for end in (process.terminate, process.terminate, process.kill):
        if process.exitcode is None:
            end()
            process.join(part.reserve / 2)
    return code


def _work(part: Slice) -> None:
    """Check the machine and run the suites, in the process that this is called in; its exit code says how that went."""
    _log_to_output()
    order, runs = read_order(part.work), part.work / RUNS
    try:
        with raising_on_signals():
            _check_speed(part, order)
            sys.exit(FAILED if _run_suites(part, order, runs) else 0)
    except Stopped as stop:
        log.info(describe_stop(stop).replace("the same command", "the next slice"))
        sys.exit(stop.exit_code)
    except BenchError as error:
        log.error("error: %s", error)
        sys.exit(WRONG)


def _run_suites(part: Slice, order: Order, runs: Path) -> bool:
    """Run the suites in their order; whether an experiment of them failed, or one of them could not run."""
    failed = False
    for name in order.suites_in(part.work):
        try:
            outcome = run_suite(
                name,
                data=part.work / DATA,
                weights=part.work / WEIGHTS,
                runs=runs,
                device=part.device,
                workers=1,
                **order.options(part.work),
            )
        except BenchError as error:
            log.error("error: %s: %s", name, error)
            failed = True
            continue
        failed = failed or bool(outcome.failed)
    return failed


def _epochs(jobs: Sequence[Job], workspace: Workspace) -> tuple[int, ...]:
    """The finished epochs of every training, and the finished results."""
    keys = dict.fromkeys(job.experiment.training_key or "" for job in jobs)
    done = sum(is_done(job, workspace) for job in jobs)
    return (done, *(finished_epochs(workspace.training_folder(key)) for key in keys if key))


def _tell(part: Slice, found: PartsList) -> None:
    """Log what was carried out and how to go on."""
    for reason in found.left_out:
        log.warning("note: %s", reason)
    files = [each for parcel in found.parcels for each in parcel.parts]
    size = sum(each.size for each in files) / MIB
    going_on = "all is done" if found.finished == found.rows else f"the next slice goes on with --state {part.out}"
    log.info(
        "slice %d: %d of %d rows finished; %d files, %.1f MiB in %s; %s",
        *(found.number, found.finished, found.rows, len(files) + 1, size, part.out, going_on),
    )


if __name__ == "__main__":
    sys.exit(run_slice())
