"""Runs that torchrun starts in several processes: the first one carries out the suite, the others join its trainings.

torch is imported when it is needed, for every command asks whether it is one of several.
"""

from __future__ import annotations

import logging
import os
import signal
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from bench.errors import BrokenGroupError, RequestError
from bench.progress import Silent
from bench.stop import Stopped

if TYPE_CHECKING:
    import torch

    from bench.run.workspace import Session
    from bench.suites.expand import Job
    from bench.types import Training

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Place:
    """The place of this process among those that one command is started in.

    Attributes:
        rank, count: its number among all of them, from 0, and theirs.
        local_rank, local_count: the same on this machine.
    """

    rank: int = 0
    count: int = 1
    local_rank: int = 0
    local_count: int = 1

    @classmethod
    def given(cls, variables: Mapping[str, str] = os.environ) -> Place:
        """The place that torchrun gave this process; the only one without torchrun."""
        if "TORCHELASTIC_RUN_ID" not in variables:
            return cls()
        names = ("RANK", "WORLD_SIZE", "LOCAL_RANK", "LOCAL_WORLD_SIZE")
        return cls(*(int(variables[name]) for name in names))

    @property
    def is_follower(self) -> bool:
        """True if another process speaks for this one."""
        return self.rank > 0


def own_device(device: torch.device) -> torch.device:
    """The processor of this process: on GPUs, that of its number.

    Raises:
        RequestError: when there are fewer GPUs than processes.
    """
    import torch

    place = Place.given()
    if device.type != "cuda" or place.count == 1:
        return device
    found = torch.cuda.device_count()
    if found < place.local_count:
        raise RequestError(
            f"--device cuda: {place.local_count} processes, {found} GPUs, expected a GPU for each process; "
            f"start torchrun with --nproc-per-node {found}"
        )
    own = torch.device("cuda", place.local_rank)
    torch.cuda.set_device(own)
    return own


def join(device: torch.device) -> None:
    """Meet the other processes of the command, if there are others."""
    import torch.distributed as dist

    from bench.training.distributed import ranks

    if Place.given().count > 1 and not dist.is_initialized():
        dist.init_process_group("cpu:gloo,cuda:nccl" if device.type == "cuda" else "gloo")
        ranks()


@contextmanager
def leading(key: str) -> Iterator[None]:
    """Have all processes of the command join the training that the first one carries out in this block.

    Raises:
        Stopped: when the processes cannot go on together.
    """
    try:
        tell(key)
        yield
    except BrokenGroupError as broken:
        stop = Stopped(signal.SIGTERM)
        stop.add_note(f"because {broken}")
        raise stop from broken


def dismiss() -> None:
    """End the other processes of the command, which wait for a training."""
    import torch.distributed as dist

    if Place.given().count > 1 and dist.is_initialized():
        tell("")
        dist.destroy_process_group()


def tell(key: str) -> str:
    """The key of the next training, which the first process says and the others wait for; empty for none.

    Raises:
        BrokenGroupError: when another process ended.
    """
    from bench.training.distributed import ranks

    return ranks().told_by_first(key)


def follow(jobs: Sequence[Job], session: Session) -> None:
    """Join the trainings of the first process until it needs no more.

    An error that all processes run into is the first one's to report.

    Raises:
        BrokenGroupError: when the processes cannot go on together.
    """
    import torch.distributed as dist

    from bench.types import Training

    session.progress = Silent()
    made_from = [job.experiment.weights for job in jobs]
    trainings = {each.key: each for each in made_from if isinstance(each, Training)}
    while key := tell(""):
        try:
            _take_part(trainings[key], session)
        except BrokenGroupError as broken:
            if broken.own:
                log.error("%s", broken)
            raise
        except (Exception, SystemExit) as error:
            log.debug("training %s: %s", key, error)
    dist.destroy_process_group()


def _take_part(training: Training, session: Session) -> None:
    from bench.training.train import train

    decoder, chosen = training.input.decoder, training.selection_images
    train(
        training,
        session.frames_of(training.images, decoder=decoder),
        folder=session.workspace.training_folder(training.key),
        selection_frames=None if chosen is None else session.frames_of(chosen, decoder=decoder),
        device=session.device,
    )
