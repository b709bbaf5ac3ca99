"""Counting a list keeps integers alone: four times the images take no maps' worth of memory more."""

from __future__ import annotations

import tracemalloc

import numpy as np

from bench.metrics.counting.counts import CountsWriter
from bench.metrics.counting.levels import quantise
from bench.metrics.curves import CurveCounts
from bench.types import Scoring

SIZE = (128, 128)


def peak_of(images: int) -> int:
    """Most bytes held at once while so many images are counted, one map made at a time."""
    writer, curves = CountsWriter(Scoring("native")), CurveCounts(Scoring("native"))
    generator = np.random.default_rng(0)
    tracemalloc.start()
    for number in range(images):
        q, mask = quantise(generator.random(SIZE)), (generator.random(SIZE) > 0.999).astype(np.uint8)
        writer.add(str(number), [q], truth=mask)
        curves.add(q, mask)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    return peak


def test_memory_does_not_grow_by_maps() -> None:
    peak_of(2)  # what is made once
    growth = peak_of(120) - peak_of(30)
    assert growth < 90 * 8_000, f"{growth / 90:.0f} bytes an image, a map of levels takes {2 * SIZE[0] * SIZE[1]}"
