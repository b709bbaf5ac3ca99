"""The largest pixels of every window of an image, exactly, by merging sorted lists of whole planes.

The pixels of a window of 2n are those of one of n and of the one beside it. So lists that are sorted at every pixel
are merged at all pixels at once, by minima and maxima of planes, and a window's lists serve all windows it is part of.

Source: K. E. Batcher, "Sorting Networks and Their Applications", AFIPS Spring Joint Computer Conference, 1968.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

Plane = NDArray[Any]
"""One pixel per window, which bears the coordinates of its first (top left) pixel; of the image's own type."""

STRIP = 1 << 16
"""Bytes of a plane that is worked on at a time, so that the planes of a merge stay in the processor's cache."""


def largest(image: Plane, window: tuple[int, int], *, count: int) -> Plane:
    """The `count` largest pixels of every window that lies in the image, in ascending order.

    Args:
        image: (H, W), of any type that can be compared.
        window: (height, width) in pixels, not above the image's.
        count: from 1 to height x width.

    Returns:
        (count, H - height + 1, W - width + 1).
    """
    height, width = window
    rows, columns = image.shape[0] - height + 1, image.shape[1] - width + 1
    planes = np.empty((count, rows, columns), image.dtype)
    step = max(1, STRIP // (image.shape[1] * image.itemsize))
    for top in range(0, rows, step):
        upright = largest_of_line([image[top : top + step + height - 1]], height, step=(1, 0), count=count)
        planes[:, top : top + step] = largest_of_line(upright, width, step=(0, 1), count=count)
    return planes


def largest_of_line(lists: list[Plane], length: int, *, step: tuple[int, int], count: int) -> list[Plane]:
    """The `count` largest of `length` lists along a line, in ascending order; all of them where there are fewer.

    Args:
        lists: ascending planes (H, W); one plane is an image.
        length: of the line, in pixels.
        step: (down, right), not below 0, from one pixel of the line to the next.
        count: how many of the largest are kept.

    Returns:
        Ascending planes (H - (length - 1) down, W - (length - 1) right).
    """
    if length == 1:
        return lists
    half = largest_of_line(lists, length // 2, step=step, count=count)
    whole = merge(half, ahead(half, length // 2, step=step), count=count)
    return merge(whole, ahead(lists, length - 1, step=step), count=count) if length % 2 else whole


def ahead(lists: list[Plane], distance: int, *, step: tuple[int, int]) -> list[Plane]:
    """The lists that lie `distance` steps ahead, as far as there are any."""
    return [plane[distance * step[0] :, distance * step[1] :] for plane in lists]


def merge(one: list[Plane], other: list[Plane], *, count: int) -> list[Plane]:
    """The `count` largest of two ascending lists, none longer, ascending, on the part of the planes that both cover.

    With one list turned round, the larger of each pair are the largest of all; they first fall, then rise.
    """
    H, W = other[0].shape
    one = [plane[:H, :W] for plane in one]
    count = min(count, len(one) + len(other))
    falling = other[::-1]
    alone = count - len(one)  # places, counted from the smallest, that `one` is too short for
    pairs = zip(one, falling[alone:], strict=False)
    return ascending([*falling[:alone], *(np.maximum(a, b) for a, b in pairs), *one[len(other) - alone :]])


def ascending(valley: list[Plane]) -> list[Plane]:
    """A list that first falls, then rises, in ascending order: a bitonic merge, of any length."""
    if len(valley) == 1:
        return valley
    half = 1 << ((len(valley) - 1).bit_length() - 1)
    pairs = list(zip(valley, valley[half:], strict=False))
    low = [*(np.minimum(a, b) for a, b in pairs), *valley[len(pairs) : half]]
    return ascending(low) + ascending([np.maximum(a, b) for a, b in pairs])
