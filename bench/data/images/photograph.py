"""The rule by which a photograph is told from a mask with soft edges."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from bench.errors import DataError

GREY = (0.1, 0.9)
"""Shares of the highest level between which a level is neither background nor target."""

MOST_GREY, MOST_GREY_OF_LIT = 0.03, 0.2
"""Most grey pixels of a mask: of all its pixels, and of those that are not background.

A mask is refused beyond both. Over 2755 masks of NUAA-SIRST, NUDT-SIRST and IRSTD-1k the shares reach 0.00004 and 0.07,
over their images and those of SIRST-v2 they are at least 0.06 and 0.32.
"""


def grey_shares(levels: NDArray[np.uint8]) -> tuple[float, float]:
    """Share of grey pixels among all, and among those above the background.

    >>> grey_shares(np.array([[0, 0, 100, 200]], np.uint8))
    (0.25, 0.5)
    """
    counts = np.bincount(levels.ravel(), minlength=256)
    shares = np.arange(256) / max(1, int(levels.max(initial=0)))
    grey, lit = counts[(shares > GREY[0]) & (shares < GREY[1])].sum(), counts[shares > GREY[0]].sum()
    return float(grey / max(1, levels.size)), float(grey / max(1, lit))


def refuse_photograph(levels: NDArray[np.uint8], where: object) -> None:
    """Raise DataError if a mask holds grey levels as a photograph does, rather than soft edges.

    Args:
        levels: (H, W), 0 to 255.
    """
    of_all, of_lit = grey_shares(levels)
    if of_all > MOST_GREY and of_lit > MOST_GREY_OF_LIT:
        raise DataError(
            f"{where}: {100 * of_all:.0f} % of its pixels are grey as in a photograph or a probability map, expected a "
            "mask of 0 and 255; give the folder of masks"
        )
