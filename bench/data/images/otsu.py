"""The first feedback mask: what Otsu's threshold leaves of a blurred frame."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray


def otsu_start(grey: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """The pixels above Otsu's threshold of the 5x5 Gaussian-blurred frame.

    Args:
        grey: (H, W) levels 0 to 255.

    Returns:
        (H, W) in {0, 1}. A flat frame is all ones, a black one all zeros.

    Source: DFINet's released scripts; equal to OpenCV 4.11 bit for bit (sigma 1.1, border reflected without the edge).
    """
    blurred = cv2.GaussianBlur(grey, (5, 5), 0)
    _, start = cv2.threshold(blurred, 0, 1, cv2.THRESH_BINARY + cv2.THRESH_OTSU)
    return start.astype(np.uint8, copy=False)
