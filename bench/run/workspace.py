"""The folders and processor that experiments run with, and the live objects that those of one process share."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

from bench.data.catalogue.splits import list_names
from bench.data.images.frames import Frames, open_frames
from bench.environment import describe_environment
from bench.progress import Progress, Silent, counting
from bench.run.cluster.request import ClusterRequest
from bench.store.tracker import Tracker
from bench.training.train import Trained
from bench.types import Cost, Decoder, ImageList


@dataclass(frozen=True)
class Workspace:
    """Paths, processor and versions. It can be pickled, so that another process or machine can take it over.

    Attributes:
        runs: folder that takes `<key>/`, `trainings/` and `suites/`.
        data: folder with one folder for each dataset; None where only generated images are used.
        weights: folder that published checkpoints are looked for in; None where there is none.
        device: the processor that networks train, predict and are measured on.
        environment: versions, processor and commit at the start, whatever is committed in the meantime.
    """

    runs: Path
    data: Path | None
    device: torch.device
    environment: Mapping[str, Any]
    weights: Path | None = None

    @classmethod
    def open(
        cls, runs: Path, *, data: Path | None = None, weights: Path | None = None, device: torch.device | None = None
    ) -> Workspace:
        """A workspace with the environment as it is at this moment; default device the CPU."""
        on = device or torch.device("cpu")
        return cls(runs, data, on, describe_environment(on), weights)

    def result_folder(self, key: str) -> Path:
        """The folder of the result with this key."""
        return self.runs / key

    def training_folder(self, key: str) -> Path:
        """The folder of the training, or the tuning of a detector, with this key."""
        return self.runs / "trainings" / key


@dataclass
class Session:
    """A workspace with the live objects that the experiments of one process share. It cannot be pickled.

    Attributes:
        tracker: told of everything that happens.
        progress: shown every long step.
        workers: experiments that run at the same time, in processes of their own; 1 for this process alone, None for
            as many as there are processors.
        cluster: the Ray cluster of the executor of that name.
        frames: decoded images by dataset, digest of the list, and decoder.
        digests: SHA-256 of each image's grey levels, by list.
        trainings: outcome of every training so far, by key.
        costs: measured costs, by network and size; datasets share them.
    """

    workspace: Workspace
    tracker: Tracker = field(default_factory=Tracker)
    progress: Progress = field(default_factory=Silent)
    workers: int | None = 1
    cluster: ClusterRequest = field(default_factory=ClusterRequest)
    frames: dict[tuple[str, str, str], Frames] = field(default_factory=dict)
    digests: dict[ImageList, dict[str, str]] = field(default_factory=dict)
    trainings: dict[str, Trained] = field(default_factory=dict)
    costs: dict[tuple[Any, ...], Cost] = field(default_factory=dict)

    @property
    def device(self) -> torch.device:
        """The workspace's processor."""
        return self.workspace.device

    def frames_of(self, images: ImageList, *, decoder: Decoder) -> Frames:
        """The decoded images of a list, read once.

        Raises:
            DataError: naming the first file that is missing or broken.
        """
        key = (images.dataset, images.digest, decoder)
        if key not in self.frames:
            names = list_names(images.dataset, images.split, images.part, limit=images.limit)
            root = self.workspace.data
            with counting(f"read {images.dataset}", total=len(names), progress=self.progress) as tell:
                self.frames[key] = open_frames(images.dataset, names, root=root, decoder=decoder, progress=tell)
        return self.frames[key]
