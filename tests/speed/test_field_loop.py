"""Training images a second beside the loop that the field's repositories share, on the same images and processors.

`pytest -m speed --log-cli-level=INFO tests/speed/test_field_loop.py` prints the ratios. Both sides take turns in one
run: the field's loop with as many threads as there are processors and two workers of its DataLoader; here two trainings
of one thread, as `run` starts them, and one alone.
"""

from __future__ import annotations

import logging
import statistics
from contextlib import ExitStack
from pathlib import Path

import pytest
import torch

from bench.parallel import usable_processors
from tests.speed.sides import Side
from tests.speed.test_feeding import write_scenes

log = logging.getLogger(__name__)

REPOSITORY = Path(__file__).parents[2]
TURNS = 3
IMAGES = 40


def side(stack: ExitStack, kind: str, model: str, folder: Path, *, threads: int) -> Side:
    """A process that trains; it answers with the seconds of an epoch, and has one behind it."""
    words = (kind, model, threads, folder, IMAGES)
    path = (REPOSITORY, REPOSITORY / "tests")
    made = Side(stack, "epochs_side.py", *words, path=path, threads=1 if threads == 1 else None)
    made.answer()
    return made


def images_a_second(*sides: Side) -> float:
    """Of an epoch of all sides at the same time."""
    for each in sides:
        each.begin()
    return sum(IMAGES / each.answer() for each in sides)


@pytest.mark.speed
@pytest.mark.skipif(torch.cuda.is_available(), reason="both sides would take the CUDA device")
@pytest.mark.skipif(usable_processors() < 2, reason="needs two processors")
@pytest.mark.parametrize("model", ["DFINet", "ACM"])
def test_training_beside_the_loop_of_the_field(model: str, tmp_path: Path) -> None:
    """DFINet of width 8 by its own recipe, ACM by BasicIRSTD's, on images of 256 x 256."""
    write_scenes(tmp_path, IMAGES)
    with ExitStack() as stack:
        field = side(stack, "field", model, tmp_path, threads=usable_processors())
        alone = side(stack, "here", model, tmp_path, threads=usable_processors())
        pair = [side(stack, "here", model, tmp_path, threads=1) for _ in range(2)]
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
        sides = [side(stack, kind, model, tmp_path, threads=usable_processors()) for kind in ("field", "here")]
        rates = [[images_a_second(each) for each in sides] for _ in range(TURNS)]
    theirs, here = (statistics.median(each) for each in zip(*rates, strict=True))
    log.info("%s: images/s %.1f in the field's loop, %.1f here (%.2f times)", model, theirs, here, here / theirs)
    assert here > theirs
