"""The counts again, slowly: flood fill and loops over pixels, nothing but plain Python, to be checked by eye."""

from __future__ import annotations

import itertools
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


def apart(one: Pixels, other: Pixels) -> float:
    """How far two centroids are apart; in float64, which is part of the rule where thirds meet."""
    squared = 0.0
    for axis in (0, 1):
        offset = sum(pixel[axis] for pixel in one) / len(one) - sum(pixel[axis] for pixel in other) / len(other)
        squared += offset * offset
    return math.sqrt(squared)


def pairs_greedily(targets: list[Pixels], found: list[Pixels], distance: float) -> dict[int, int]:
    """Targets in raster order each take the first free component that is near enough."""
    taken: dict[int, int] = {}
    for t, target in enumerate(targets):
        for c, component in enumerate(found):
            if c not in taken.values() and apart(target, component) < distance:
                taken[t] = c
                break
    return taken


def pairs_by_nearness(targets: list[Pixels], found: list[Pixels], distance: float) -> dict[int, int]:
    """All pairs from the nearest to the farthest, each taken when both are still free."""
    taken: dict[int, int] = {}
    for far, t, c in sorted((apart(a, b), t, c) for t, a in enumerate(targets) for c, b in enumerate(found)):
        if far < distance and t not in taken and c not in taken.values():
            taken[t] = c
    return taken


def most_pairs_and_least_distance(targets: list[Pixels], found: list[Pixels], distance: float) -> tuple[int, float]:
    """The number of pairs and the sum of their distances of the best of all choices, by trying all."""
    best = (0, 0.0)
    choices: list[int | None] = [None, *range(len(found))]
    for choice in itertools.product(choices, repeat=len(targets)):
        used = [c for c in choice if c is not None]
        far = [apart(targets[t], found[c]) for t, c in enumerate(choice) if c is not None]
        if len(set(used)) == len(used) and all(f < distance for f in far):
            best = min(best, (-len(used), sum(far)))
    return -best[0], best[1]


def near(pixel: tuple[int, int], others: Pixels, reach: int) -> bool:
    """Whether any of the others lies within a box of that reach around a pixel."""
    return any(max(abs(pixel[0] - r), abs(pixel[1] - c)) <= reach for r, c in others)


def verdict(
    targets: list[Pixels], found: list[Pixels], *, matching: str, distance: float
) -> tuple[int, list[int], int]:
    """Matched targets, the components that are false alarms, and the pixels that are."""
    if matching in ("greedy-raster", "nearest"):
        pairs = (pairs_greedily if matching == "greedy-raster" else pairs_by_nearness)(targets, found, distance)
        alarms = [c for c in range(len(found)) if c not in pairs.values()]
        return len(pairs), alarms, sum(len(found[c]) for c in alarms)
    predicted = [pixel for component in found for pixel in component]
    marked = [pixel for target in targets for pixel in target]
    hit, spared = {"overlap": (0, 0), "shooting": (1, 4)}[matching]
    matched = sum(1 for target in targets if any(near(pixel, predicted, hit) for pixel in target))
    alarms = [c for c, component in enumerate(found) if not any(near(pixel, marked, spared) for pixel in component)]
    if matching == "overlap":
        return matched, alarms, sum(len(found[c]) for c in alarms)
    return matched, alarms, sum(1 for pixel in predicted if not near(pixel, marked, spared))


def slow_counts(
    prob: Sequence[Sequence[float]],
    mask: Grid,
    *,
    threshold: float,
    distance: float,
    connectivity: int,
    matching: str = "greedy-raster",
) -> dict[str, int]:
    """Every integer of a prediction against a binary mask."""
    predicted = [[int(p > threshold) for p in row] for row in prob]
    targets = flood_fill(mask, connectivity=connectivity)
    found = flood_fill(predicted, connectivity=connectivity)
    matched, alarms, alarm_area = verdict(targets, found, matching=matching, distance=distance)
    cells = [(r, c) for r in range(len(mask)) for c in range(len(mask[0]))]
    hits = sum(1 for r, c in cells if predicted[r][c] and mask[r][c])
    labelled = sum(1 for r, c in cells if mask[r][c])
    right_areas = {len(component) for c, component in enumerate(found) if c not in alarms}
    return {
        "pixels": len(cells),
        "labelled": labelled,
        "actual": labelled,
        "positive": labelled,
        "targets": len(targets),
        "intersection": hits,
        "predicted": sum(sum(row) for row in predicted),
        "hits": hits,
        "matched": matched,
        "components": len(found),
        "unmatched": len(alarms),
        "unmatched_area": alarm_area,
        "equal_area": sum(len(component) for component in found if len(component) not in right_areas),
    }


def level(p: float) -> int:
    """A probability as a level 0 to 65535, by exact arithmetic."""
    return min(65535, math.ceil(Fraction(p) * 65536))
