"""Training images a second beside the loop that the field's repositories share, on the same images and processors.

`pytest -m speed --log-cli-level=INFO tests/speed/test_field_loop.py` prints the ratios. Both sides take turns in one
run: the field's loop with as many threads as there are processors and two workers of its DataLoader; here two trainings
of one thread, as `run` starts them, and one alone.
"""

from __future__ import annotations

import json
import logging
import os
import statistics
import subprocess
import sys
from contextlib import ExitStack
from pathlib import Path

import pytest
import torch

from bench.parallel import THREADS, usable_processors
from tests.speed.test_feeding import write_scenes

log = logging.getLogger(__name__)

REPOSITORY = Path(__file__).parents[2]
TURNS = 3
IMAGES = 40


class Side:
    """A process that trains; the seconds of its epochs, one at a time."""

    def __init__(self, stack: ExitStack, kind: str, model: str, folder: Path, *, threads: int) -> None:
        words = [kind, model, str(threads), str(folder), str(IMAGES)]
        environment = {name: value for name, value in os.environ.items() if name not in THREADS}
        if threads == 1:
            environment |= dict.fromkeys(THREADS, "1")
        path = os.pathsep.join(map(str, (REPOSITORY, REPOSITORY / "tests")))
        self.process = subprocess.Popen(
            [sys.executable, str(REPOSITORY / "tests/speed/epochs_side.py"), *words],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={**environment, "PYTHONPATH": path},
        )
        stack.callback(self.process.wait)
        stack.callback(self.process.stdin.close)  # type: ignore[union-attr]
        self.ended()

    def begin(self) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write("\n")
        self.process.stdin.flush()

    def ended(self) -> float:
        """Seconds of the epoch that runs."""
        assert self.process.stdout is not None
        return float(json.loads(self.process.stdout.readline()))


def images_a_second(*sides: Side) -> float:
    """Of an epoch of all sides at the same time."""
    for side in sides:
        side.begin()
    return sum(IMAGES / side.ended() for side in sides)


@pytest.mark.speed
@pytest.mark.skipif(torch.cuda.is_available(), reason="both sides would take the CUDA device")
@pytest.mark.skipif(usable_processors() < 2, reason="needs two processors")
@pytest.mark.parametrize("model", ["DFINet", "ACM"])
def test_training_beside_the_loop_of_the_field(model: str, tmp_path: Path) -> None:
    """DFINet of width 8 by its own recipe, ACM by BasicIRSTD's, on images of 256 x 256."""
    write_scenes(tmp_path, IMAGES)
    with ExitStack() as stack:
        field = Side(stack, "field", model, tmp_path, threads=usable_processors())
        alone = Side(stack, "here", model, tmp_path, threads=usable_processors())
        pair = [Side(stack, "here", model, tmp_path, threads=1) for _ in range(2)]
        rates = [[images_a_second(*sides) for sides in ([field], [alone], pair)] for _ in range(TURNS)]
    theirs, one, two = (statistics.median(each) for each in zip(*rates, strict=True))
    log.info(
        "%s: images/s %.1f in the field's loop, %.1f here (%.2f times), %.1f in two trainings here (%.2f times)",
        *(model, theirs, one, one / theirs, two, two / theirs),
    )
    assert two > theirs


@pytest.mark.speed
@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
@pytest.mark.parametrize("model", ["DFINet", "DNANet", "UIU-Net", "ACM"])
def test_training_on_a_gpu_beside_the_loop_of_the_field(model: str, tmp_path: Path) -> None:
    """One training on either side; DFINet of width 8."""
    write_scenes(tmp_path, IMAGES)
    with ExitStack() as stack:
        sides = [Side(stack, kind, model, tmp_path, threads=usable_processors()) for kind in ("field", "here")]
        rates = [[images_a_second(side) for side in sides] for _ in range(TURNS)]
    theirs, here = (statistics.median(each) for each in zip(*rates, strict=True))
    log.info("%s: images/s %.1f in the field's loop, %.1f here (%.2f times)", model, theirs, here, here / theirs)
    assert here > theirs
