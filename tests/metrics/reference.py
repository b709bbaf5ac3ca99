"""The counts again, slowly: flood fill and loops over pixels, nothing but plain Python, to be checked by eye."""

from __future__ import annotations

import math
from collections.abc import Sequence
from fractions import Fraction

Grid = Sequence[Sequence[int]]
Pixels = list[tuple[int, int]]

STEPS = {
    4: [(-1, 0), (0, -1), (0, 1), (1, 0)],
    8: [(-1, -1), (-1, 0), (-1, 1), (0, -1), (0, 1), (1, -1), (1, 0), (1, 1)],
}


def flood_fill(grid: Grid, *, connectivity: int) -> list[Pixels]:
    """The components of a map, each as a list of (row, column), in the order a row-major scan meets them."""
    height, width = len(grid), len(grid[0])
    seen: set[tuple[int, int]] = set()
    components = []
    for row in range(height):
        for col in range(width):
            if not grid[row][col] or (row, col) in seen:
                continue
            seen.add((row, col))
            pixels, waiting = [], [(row, col)]
            while waiting:
                r, c = waiting.pop()
                pixels.append((r, c))
                for dr, dc in STEPS[connectivity]:
                    near = (r + dr, c + dc)
                    inside = 0 <= near[0] < height and 0 <= near[1] < width
                    if inside and grid[near[0]][near[1]] and near not in seen:
                        seen.add(near)
                        waiting.append(near)
            components.append(pixels)
    return components


def is_nearer(one: Pixels, other: Pixels, distance: float) -> bool:
    """Whether two centroids are nearer than `distance`; in float64, which is part of the rule where thirds meet."""
    squared = 0.0
    for axis in (0, 1):
        offset = sum(pixel[axis] for pixel in one) / len(one) - sum(pixel[axis] for pixel in other) / len(other)
        squared += offset * offset
    return math.sqrt(squared) < distance


def slow_counts(
    prob: Sequence[Sequence[float]], mask: Grid, *, threshold: float, distance: float, connectivity: int
) -> dict[str, int]:
    """Every integer of a prediction against a binary mask."""
    predicted = [[int(p > threshold) for p in row] for row in prob]
    targets = flood_fill(mask, connectivity=connectivity)
    found = flood_fill(predicted, connectivity=connectivity)
    taken: list[int] = []
    for target in targets:
        for index, component in enumerate(found):
            if index not in taken and is_nearer(target, component, distance):
                taken.append(index)
                break
    cells = [(r, c) for r in range(len(mask)) for c in range(len(mask[0]))]
    hits = sum(1 for r, c in cells if predicted[r][c] and mask[r][c])
    labelled = sum(1 for r, c in cells if mask[r][c])
    matched_areas = {len(found[index]) for index in taken}
    return {
        "pixels": len(cells),
        "labelled": labelled,
        "actual": labelled,
        "positive": labelled,
        "targets": len(targets),
        "intersection": hits,
        "predicted": sum(sum(row) for row in predicted),
        "hits": hits,
        "matched": len(taken),
        "components": len(found),
        "unmatched": len(found) - len(taken),
        "unmatched_area": sum(len(component) for index, component in enumerate(found) if index not in taken),
        "equal_area": sum(len(component) for component in found if len(component) not in matched_areas),
    }


def level(p: float) -> int:
    """A probability as a level 0 to 65535, by exact arithmetic."""
    return min(65535, math.ceil(Fraction(p) * 65536))
