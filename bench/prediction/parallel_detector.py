"""Score maps of many images by a classical detector, in several processes if the work outweighs their start."""

from __future__ import annotations

import pickle
import time
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import AbstractContextManager
from pathlib import Path

from bench.models.detector import Detector, Grey, ScoreMap
from bench.parallel import ordered_map, process_pool, starting_with, usable_processors
from bench.registry import load_plugin, loaded_plugins

WORTH_IT = 6.0
"""Seconds of work below which a single process finishes before others have started."""

_detector: Detector
"""Detector of a worker process."""


def score_maps(
    detector: Detector, greys: Iterable[Grey], *, count: int, workers: int | None = None
) -> Iterator[ScoreMap]:
    """Yield the score map (H, W) of every image, in order; only a few images per worker are held at a time.

    Args:
        count: number of images.
        workers: number of processes; default the processors that this process may use. The first image is scored in
            this process, and so are the others if its time says that they would not take long.
    """
    workers = workers if workers is not None else usable_processors()
    waiting = iter(greys)
    began = time.perf_counter()
    for grey in waiting:
        yield detector.score(grey)
        break
    if workers < 2 or (time.perf_counter() - began) * (count - 1) < WORTH_IT:
        yield from map(detector.score, waiting)
        return
    with starting_with(threads=1), _start(detector, workers) as executor:
        yield from ordered_map(executor, _score, waiting, ahead=2 * workers)


def _start(detector: Detector, workers: int) -> AbstractContextManager[ProcessPoolExecutor]:
    return process_pool(workers, initializer=_start_worker, initargs=(loaded_plugins(), pickle.dumps(detector)))


def _start_worker(plugins: Sequence[Path], pickled: bytes) -> None:
    """Prepare a worker: plugins are imported first, since a user's detector can only be unpickled after its module."""
    global _detector
    for path in plugins:
        load_plugin(path)
    _detector = pickle.loads(pickled)  # noqa: S301  (made by the process that started this one)


def _score(grey: Grey) -> ScoreMap:
    return _detector.score(grey)
