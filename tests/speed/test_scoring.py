"""How much sooner a folder is scored with a thread a processor than with one.

`OMP_NUM_THREADS=1 pytest -m speed --log-cli-level=INFO tests/speed/test_scoring.py` prints the ratio. Both sides count
the same maps with everything that `dfinet-bench score` counts, and give the same numbers, which is asserted.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from time import perf_counter

import numpy as np
import pytest

from bench.parallel import usable_processors
from bench.protocols.scorings import named_scoring
from bench.scoring import score
from bench.scoring.score import MaskFile, Sample, Scored, score_samples
from tests.speed.test_counting import smooth

log = logging.getLogger(__name__)

IMAGES = 128


@pytest.mark.speed
@pytest.mark.skipif(usable_processors() < 2, reason="one processor")
def test_images_are_scored_side_by_side(monkeypatch: pytest.MonkeyPatch) -> None:
    """Wall time; the curves, which take most of it, are compiled and run while other threads hold the interpreter."""
    cases = [smooth(np.random.default_rng(seed)) for seed in range(IMAGES)]
    samples = {str(i): Sample(str(i), q, MaskFile(255 * mask)) for i, (q, mask) in enumerate(cases)}

    def read(block: Sequence[str]) -> Iterator[Sample]:
        yield from (samples[name] for name in block)

    def timed(threads: int) -> tuple[float, Scored]:
        monkeypatch.setattr(score, "usable_processors", lambda: threads)
        seconds = []
        for _ in range(3):
            begun = perf_counter()
            (found,) = score_samples(list(samples), read, [named_scoring("native")], with_grey=False)
            seconds.append(perf_counter() - begun)
        return min(seconds), found

    timed(1)
    alone, one = timed(1)
    together, all_ = timed(usable_processors())
    assert one.scores == all_.scores
    log.info(
        "%d maps of 256 x 256: one thread %.2f s, %d threads %.2f s, %.2f times",
        *(IMAGES, alone, usable_processors(), together, alone / together),
    )
    assert alone / together >= 1.3
