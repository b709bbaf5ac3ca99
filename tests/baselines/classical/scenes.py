"""Images that the tests of classical detectors look at."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from scipy import ndimage

from bench.models.detector import Grey

GOLDEN = Path(__file__).parents[2] / "parity" / "golden" / "classical.npz"


def image_b() -> Grey:
    """Image B of the golden score maps, 128 x 128: waves, a step, noise, and a target at row 40, column 24."""
    stored: Grey = np.load(GOLDEN)["image_B"].astype(np.float64)
    return stored


def clouds(height: int = 256, width: int = 256) -> Grey:
    """Clouds of all sizes (H, W) with a sensor's noise and four targets: as hard to take apart as a real frame."""
    rng = np.random.default_rng(0)
    image = np.full((height, width), 90.0)
    for sigma in (2, 4, 8, 16, 32):
        cloud = ndimage.gaussian_filter(rng.normal(size=(height, width)), sigma, mode="reflect")
        image += 12 * np.sqrt(sigma / 8) * cloud / cloud.std()
    image += rng.normal(0, 1, (height, width))
    y, x = np.mgrid[:height, :width]
    for row, column in ((60, 70), (90, 200), (180, 40), (215, 150)):
        image += 90 * np.exp(-((y - row) ** 2 + (x - column) ** 2) / (2 * 1.3**2))
    grey: Grey = np.clip(np.round(image), 0, 255)
    return grey
