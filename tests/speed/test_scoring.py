"""Speed of scoring stored predictions: with a thread a processor beside one, and beside an earlier checkout.

`OMP_NUM_THREADS=1 pytest -m speed --log-cli-level=INFO tests/speed/test_scoring.py` prints the ratios. Both sides count
the same maps with everything that `dfinet-bench score` counts, and give the same numbers, which is asserted.
DFINET_BENCH_BEFORE names the earlier checkout, DFINET_BENCH_DATA the folder that holds NUDT-SIRST.
"""

from __future__ import annotations

import json
import logging
import os
import statistics
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from time import perf_counter
from typing import Any

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import ndimage

from bench.data.catalogue.splits import list_names
from bench.parallel import usable_processors
from bench.protocols.scorings import named_scoring
from bench.scoring import score
from bench.scoring.score import MaskFile, Sample, Scored, score_samples
from tests.speed.test_counting import sigmoid, smooth

log = logging.getLogger(__name__)

IMAGES = 128
ROUNDS = 3
REPOSITORY = Path(__file__).parents[2]


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


@pytest.mark.speed
def test_scoring_beside_an_earlier_checkout(real_data: Path, tmp_path: Path) -> None:
    """All named scorings of 664 predictions, one thread, alternating; the ratio is of processor time, medians."""
    before = os.environ.get("DFINET_BENCH_BEFORE")
    if not before:
        pytest.skip("DFINET_BENCH_BEFORE is not set; it names an earlier checkout to compare with")
    names = list_names("NUDT-SIRST", "basicirstd", "test")
    assert len(names) == 664
    make_predictions(names, real_data / "NUDT-SIRST" / "masks", tmp_path)
    checkouts = {"before": Path(before).resolve(), "here": REPOSITORY}
    sides = {side: start(checkout, real_data, tmp_path, side) for side, checkout in checkouts.items()}
    seconds: dict[str, list[tuple[float, float]]] = {side: [] for side in sides}
    try:
        for side, process in sides.items():
            assert Path(answer(process)).is_relative_to(checkouts[side])
        for turn in range(ROUNDS):
            for side in (*sides,) if turn % 2 == 0 else (*reversed(sides),):
                seconds[side].append(tuple(answer(sides[side], asked="score")))
    finally:
        for process in sides.values():
            process.kill()
            process.communicate()  # closes its pipes too
    assert_same_files(tmp_path / "before", tmp_path / "here")
    pairs = list(zip(seconds["before"], seconds["here"], strict=True))
    processor, wall = (statistics.median(old[kind] / new[kind] for old, new in pairs) for kind in (0, 1))
    log.info(
        "664 maps, all scorings, processor seconds: before %s, here %s; %.2f times (wall %.2f)",
        *([round(one[0], 1) for one in seconds["before"]], [round(one[0], 1) for one in seconds["here"]]),
        *(processor, wall),
    )
    assert processor >= 1.5


def make_predictions(names: Sequence[str], masks: Path, folder: Path) -> None:
    """Write maps as a trained network makes them: blurred, shifted, some dim targets, and 0.3 false spots an image."""
    generator, maps = np.random.default_rng(0), {}
    for name in names:
        mask = cv2.imread(str(masks / f"{name}.png"), cv2.IMREAD_GRAYSCALE) > 127  # type: ignore[operator]
        shift = generator.normal(0, 0.4, 2)
        spots = ndimage.shift(ndimage.gaussian_filter(mask.astype(np.float64), 0.7), shift, order=1)
        spots *= generator.uniform(0.75, 1.1)
        for _ in range(generator.poisson(0.3)):
            spot = np.zeros(mask.shape)
            spot[tuple(generator.integers(0, mask.shape))] = 1
            spot = ndimage.gaussian_filter(spot, 1.0)
            spots = np.maximum(spots, generator.uniform(0.5, 1) * spot / spot.max())
        clutter = ndimage.gaussian_filter(generator.normal(0, 1, mask.shape), 2)
        noise = generator.normal(0, 0.2, mask.shape)
        prob = sigmoid(20 * spots - 10 + 0.8 * clutter / clutter.std() + noise)
        maps[name] = np.minimum(np.ceil(prob * 65536), 65535).astype(np.uint16)
    np.savez_compressed(folder / "maps.npz", **maps)
    (folder / "names.txt").write_text("\n".join(names))


def start(checkout: Path, real_data: Path, folder: Path, side: str) -> subprocess.Popen[str]:
    dataset = real_data / "NUDT-SIRST"
    paths = (folder / "maps.npz", dataset / "masks", dataset / "images", folder / "names.txt", folder / side)
    settings = {"PYTHONPATH": str(checkout), "OMP_NUM_THREADS": "1", "NUMBA_CACHE_DIR": str(folder / f"numba-{side}")}
    return subprocess.Popen(
        [sys.executable, str(Path(__file__).with_name("scoring_side.py")), *map(str, paths)],
        cwd=folder,
        env=os.environ | settings,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )


def answer(process: subprocess.Popen[str], *, asked: str = "") -> Any:
    """The next line of a side, asked for it unless it comes by itself."""
    assert process.stdin is not None
    assert process.stdout is not None
    if asked:
        process.stdin.write(f"{asked}\n")
        process.stdin.flush()
    return json.loads(process.stdout.readline())


def assert_same_files(before: Path, here: Path) -> None:
    """Scores are the same text, and arrays the same bits; the order of arrays within a file is left aside."""
    files = sorted(path.relative_to(before) for path in before.rglob("*.npz"))
    assert files == sorted(path.relative_to(here) for path in here.rglob("*.npz"))
    assert files
    assert (before / "scores.json").read_bytes() == (here / "scores.json").read_bytes()
    for file in files:
        old, new = bits(before / file), bits(here / file)
        assert old == new, file


def bits(path: Path) -> dict[str, tuple[str, tuple[int, ...], bytes]]:
    with np.load(path) as archive:
        arrays: dict[str, NDArray[Any]] = dict(archive)
    return {name: (str(array.dtype), array.shape, array.tobytes()) for name, array in arrays.items()}
