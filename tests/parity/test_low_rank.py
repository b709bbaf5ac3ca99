"""IPI, NRAM, RIPT and PSTNN on the image that an independent implementation was run on."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from baselines.classical.ipi import IPISettings, ipi
from baselines.classical.nram import NRAMSettings, nram
from baselines.classical.parts.shrinkage import Split
from baselines.classical.pstnn import PSTNNSettings, pstnn
from baselines.classical.ript import RIPTSettings, ript
from bench.models.network import build_model
from bench.types import Setting
from tests.baselines.classical.scenes import GOLDEN, image_b

STORED = np.load(GOLDEN)


@dataclass(frozen=True)
class Vector:
    """What the independent implementation found on image B.

    Attributes:
        peak: the highest score, at row 40, column 24.
        pixels: whose score is above 1e-6.
        mean: of all scores.
        iterations: that it took.
        rank: of the background, where it is known.
    """

    peak: float
    pixels: int
    mean: float
    iterations: int
    rank: int | None


VECTORS = {
    "IPI": Vector(0.621831, 20, 0.000225, 38, 31),
    "NRAM": Vector(0.611063, 9, 0.000181, 16, None),
    "RIPT": Vector(47.227304, 33, 0.017426, 5, None),
    "PSTNN": Vector(73.412751, 9, 0.025841, 2, 1),
}

METHODS = {
    "IPI": lambda grey: ipi(grey, IPISettings()),
    "NRAM": lambda grey: nram(grey, NRAMSettings()),
    "RIPT": lambda grey: ript(grey, RIPTSettings()),
    "PSTNN": lambda grey: pstnn(grey, PSTNNSettings()),
}


@pytest.fixture(scope="module", params=VECTORS)
def found(request: pytest.FixtureRequest) -> tuple[str, Split]:
    """A method's name and what it finds on image B."""
    return request.param, METHODS[request.param](image_b())


def test_the_score_map_is_that_of_the_independent_implementation(found: tuple[str, Split]) -> None:
    name, (scores, _, _) = found
    golden = STORED[name.lower()]
    assert scores.dtype == np.float64
    # kept in float32; rounding in singular values may move a solver by more than that, but hardly by this
    assert np.abs(scores - golden).max() <= 1e-5 * golden.max()


def test_peak_support_and_mean_are_those_of_the_test_vectors(found: tuple[str, Split]) -> None:
    name, (scores, _, _) = found
    vector = VECTORS[name]
    assert np.unravel_index(scores.argmax(), scores.shape) == (40, 24)
    assert scores.max() == pytest.approx(vector.peak, rel=1e-3)
    assert abs(np.count_nonzero(scores > 1e-6) - vector.pixels) <= 2
    assert scores.mean() == pytest.approx(vector.mean, rel=3e-3)  # the figures have three to five digits


def test_the_solver_stops_where_the_independent_one_does(found: tuple[str, Split]) -> None:
    name, (_, iterations, rank) = found
    vector = VECTORS[name]
    assert iterations == vector.iterations
    assert vector.rank is None or rank == vector.rank


def predicted(name: str, **settings: Setting) -> NDArray[np.bool_]:
    """The mask (H, W) of image B."""
    image = torch.from_numpy(image_b())[None, None]
    mask: NDArray[np.bool_] = (build_model(name, channels=1, settings=settings)(image) > 0)[0, 0].numpy()
    return mask


def outside(mask: NDArray[np.bool_]) -> int:
    """Pixels of a mask farther than 14 rows or columns from the target."""
    far = mask.copy()
    far[40 - 14 : 40 + 15, 24 - 14 : 24 + 15] = False
    return int(far.sum())


@pytest.mark.parametrize("name", VECTORS)
def test_the_registered_threshold_leaves_the_target_alone(name: str) -> None:
    mask = predicted(name)
    assert mask[40, 24]
    assert outside(mask) == 0


@pytest.mark.parametrize("name", VECTORS)
@pytest.mark.parametrize(("rule", "level"), [("lambda-blend", 0.8), ("max-or-sigma", 0.7), ("share-of-max", 0.5)])
def test_shares_of_the_maximum_do_so_too(name: str, rule: str, level: float) -> None:
    mask = predicted(name, rule=rule, level=level)
    assert mask[40, 24]
    assert outside(mask) == 0


@pytest.mark.parametrize(
    ("name", "elsewhere"), [("IPI", (0, 0, 0)), ("NRAM", (0, 0, 0)), ("RIPT", (5, 4, 3)), ("PSTNN", (0, 0, 0))]
)
def test_deviations_above_the_mean_find_as_many_other_pixels_as_tabulated(
    name: str, elsewhere: tuple[int, ...]
) -> None:
    assert tuple(outside(predicted(name, rule="k-sigma", level=k)) for k in (3.0, 4.0, 5.0)) == elsewhere
