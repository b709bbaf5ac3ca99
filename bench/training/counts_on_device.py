"""Counts of predictions that never leave the device: integers are made there batch by batch and fetched once.

Equal, count for count, to bench/metrics/counting/counts.py under the greedy raster rule on binary masks. Components are
labelled by hooking and pointer jumping: every pixel learns the least pixel of its component, whose number is its raster
order.
B images, T targets of the batch, C components of the batch.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from bench.arrays import IntArray
from bench.errors import RequestError
from bench.metrics.counting.components import Connectivity
from bench.metrics.counting.counts import Counts, ImageCounts, count_image, counts_of
from bench.metrics.counting.levels import LEVELS
from bench.types import Scoring

SHIFTS = {4: ((0, 1), (1, 0)), 8: ((0, 1), (1, 0), (1, 1), (1, -1))}
"""Half of a pixel's neighbours, as steps down and right; the other half looks back along the same steps."""

IMAGE_COLUMNS = (
    "pixels",
    "actual",
    "targets",
    "intersection",
    "predicted",
    "matched",
    "components",
    "unmatched",
    "unmatched_area",
    "equal_area",
)


@dataclass(frozen=True)
class DeviceComponents:
    """The components of a batch of maps, image by image and each in raster order.

    Attributes:
        rows, cols, owner: (P,) place of every positive pixel in its image, and which component it belongs to.
        image: (C,) position in the batch.
        area: (C,) pixels.
        centroid: (C, 2) mean row and column in its image, float64.
    """

    rows: Tensor
    cols: Tensor
    owner: Tensor
    image: Tensor
    area: Tensor
    centroid: Tensor

    def __len__(self) -> int:
        return len(self.area)


def label(positive: Tensor, *, connectivity: Connectivity = 8) -> Tensor:
    """For every pixel the flat position in the batch of its component's first pixel; -1 where nothing is.

    Args:
        positive: (B, H, W) bool.

    Returns:
        (B, H, W) int64.
    """
    nothing = positive.numel()
    here = torch.arange(nothing, device=positive.device).view(positive.shape)
    labels = torch.where(positive, here, nothing)
    while True:
        least = torch.where(positive, _least_around(labels, connectivity, nothing), nothing)
        roots = torch.arange(nothing + 1, device=positive.device)
        roots.scatter_reduce_(0, labels.flatten(), least.flatten(), "amin")  # a root hooks on to the least it touches
        roots = roots[roots[roots]]
        hooked = roots[torch.minimum(labels, least)]
        if torch.equal(hooked, labels):
            return torch.where(positive, labels, -1)
        labels = hooked


def _least_around(labels: Tensor, connectivity: Connectivity, nothing: int) -> Tensor:
    """The least label among every pixel and its neighbours."""
    height, width = labels.shape[1:]
    framed = torch.nn.functional.pad(labels, (1, 1, 1, 1), value=nothing)
    least = labels
    for down, right in SHIFTS[connectivity]:
        for row, col in ((1 + down, 1 + right), (1 - down, 1 - right)):
            least = torch.minimum(least, framed[:, row : row + height, col : col + width])
    return least


def find_device_components(positive: Tensor, *, connectivity: Connectivity = 8) -> DeviceComponents:
    """The components of a batch of maps (B, H, W)."""
    height, width = positive.shape[1:]
    places = positive.flatten().nonzero()[:, 0]
    roots, owner = torch.unique(label(positive, connectivity=connectivity).flatten()[places], return_inverse=True)
    rows, cols = places % (height * width) // width, places % width
    area, row_sums, col_sums = (sums_by(owner, values, len(roots)) for values in (torch.ones_like(rows), rows, cols))
    centroid = torch.stack([row_sums.double() / area, col_sums.double() / area], dim=1)
    return DeviceComponents(rows, cols, owner, roots // (height * width), area, centroid)


def sums_by(owner: Tensor, values: Tensor, count: int) -> Tensor:
    """(count,) sums of whole numbers by whose they are."""
    return torch.zeros(count, dtype=torch.int64, device=owner.device).index_add_(0, owner, values.long())


def match_greedily(targets: DeviceComponents, found: DeviceComponents, *, distance: float) -> Tensor:
    """(T,) for each target the component it is matched with, or -1: the rule of `bench.metrics.counting.matching`.

    Targets wait in line within their image; the first of every image choose at once, then the second ones.
    """
    partner = torch.full((len(targets),), -1, dtype=torch.int64, device=targets.area.device)
    if not len(targets) or not len(found):
        return partner
    offset = targets.centroid[:, None] - found.centroid[None]  # (T, C, 2)
    apart = (offset[..., 0] * offset[..., 0] + offset[..., 1] * offset[..., 1]).sqrt()
    is_near = (apart < distance) & (targets.image[:, None] == found.image[None])
    is_free = torch.ones(len(found), dtype=torch.bool, device=partner.device)
    first = torch.searchsorted(targets.image, targets.image)
    turn = torch.arange(len(targets), device=partner.device) - first
    for now in range(int(turn.max()) + 1):
        mine = (turn == now).nonzero()[:, 0]
        possible = is_near[mine] & is_free
        chosen = possible.int().argmax(dim=1)  # the first of those possible
        has_one = possible.any(dim=1)
        partner[mine] = torch.where(has_one, chosen, -1)
        is_free[chosen[has_one]] = False
    return partner


def device_border_distances(targets: DeviceComponents, inside: Tensor) -> Tensor:
    """(T,) pixels between each target's outermost pixel and the border of its image, padding left out."""
    heights, widths = inside.any(dim=2).sum(1), inside.any(dim=1).sum(1)  # (B,)
    image = targets.image[targets.owner]
    to_end = torch.minimum(heights[image] - 1 - targets.rows, widths[image] - 1 - targets.cols)
    to_border = torch.minimum(torch.minimum(targets.rows, targets.cols), to_end)
    farthest = torch.maximum(heights, widths)[targets.image]
    return farthest.scatter_reduce(0, targets.owner, to_border, "amin")


def _is_unlike(found: DeviceComponents, is_alarm: Tensor) -> Tensor:
    """(C,) whether no component of the same image that is not an alarm has the component's area."""
    kinds = torch.stack([found.image, found.area], dim=1)
    _, kind = torch.unique(kinds, dim=0, return_inverse=True) if len(found) else (None, found.area)
    return ~torch.isin(kind, kind[~is_alarm])


class DeviceCounts:
    """Collects the integers of one round over a list, batch by batch, on the device the predictions are on.

    On a CPU it is right and slow; `HostCounts` is the same there, compiled.
    """

    def __init__(self, *, distance: float = 3.0, connectivity: Connectivity = 8) -> None:
        self.distance, self.connectivity = distance, connectivity
        self._images: list[Tensor] = []
        self._targets: list[Tensor] = []
        self._count = 0

    def add(self, predicted: Tensor, mask: Tensor, *, inside: Tensor | None = None) -> None:
        """Count one batch.

        Args:
            predicted, mask: (B, H, W) bool.
            inside: (B, H, W) bool, false where an image was padded, if any was.

        Raises:
            RequestError: when a map is not bool, or shapes differ.
        """
        predicted, mask, inside = _checked(predicted, mask, inside)
        targets = find_device_components(mask, connectivity=self.connectivity)
        found = find_device_components(predicted, connectivity=self.connectivity)
        partner = match_greedily(targets, found, distance=self.distance)
        is_alarm = torch.ones(len(found), dtype=torch.bool, device=mask.device)
        is_alarm[partner[partner >= 0]] = False
        images = len(mask)
        columns = {
            "pixels": inside.sum((1, 2)),
            "actual": mask.sum((1, 2)),
            "targets": torch.bincount(targets.image, minlength=images),
            "intersection": (predicted & mask).sum((1, 2)),
            "predicted": predicted.sum((1, 2)),
            "matched": sums_by(targets.image, partner >= 0, images),
            "components": torch.bincount(found.image, minlength=images),
            "unmatched": sums_by(found.image, is_alarm, images),
            "unmatched_area": sums_by(found.image, found.area * is_alarm, images),
            "equal_area": sums_by(found.image, found.area * _is_unlike(found, is_alarm), images),
        }
        self._images.append(torch.stack([columns[name] for name in IMAGE_COLUMNS]))
        borders = device_border_distances(targets, inside)
        self._targets.append(torch.stack([targets.image + self._count, targets.area, borders, (partner >= 0).long()]))
        self._count += images

    def counts(self) -> Counts:
        """Everything added so far, fetched from the device; signal-to-clutter ratios are not measured there."""
        images = _fetched(self._images, len(IMAGE_COLUMNS))
        image, area, border, matched = _fetched(self._targets, 4)
        columns = dict(zip(IMAGE_COLUMNS, images, strict=True))
        return Counts(
            **columns,
            labelled=columns["actual"],
            positive=columns["actual"],
            hits=columns["intersection"],
            target_image=image,
            target_area=area,
            target_border=border,
            target_scr=np.full(len(area), np.nan),
            target_matched=matched.astype(bool),
        )


class HostCounts:
    """Collects the same integers as `DeviceCounts`, of predictions on a CPU, by the compiled counting."""

    def __init__(self, *, distance: float = 3.0, connectivity: Connectivity = 8) -> None:
        self.scoring = Scoring("host", distance=distance, connectivity=connectivity)
        self._images: list[ImageCounts] = []

    def add(self, predicted: Tensor, mask: Tensor, *, inside: Tensor | None = None) -> None:
        """Count one batch; arguments and errors as of `DeviceCounts.add`."""
        predicted, mask, inside = _checked(predicted, mask, inside)
        for one, its, shown in zip(predicted.numpy(), mask.numpy(), inside.numpy(), strict=True):
            height, width = int(shown.any(axis=1).sum()), int(shown.any(axis=0).sum())
            levels = np.where(one[:height, :width], LEVELS - 1, 0).astype(np.uint16)
            self._images.append(count_image(levels, its[:height, :width], scoring=self.scoring))

    def counts(self) -> Counts:
        """Everything added so far."""
        return counts_of(self._images)


def counts_on(device: torch.device) -> DeviceCounts | HostCounts:
    """An empty collection for predictions on that device."""
    return HostCounts() if device.type == "cpu" else DeviceCounts()


def _checked(predicted: Tensor, mask: Tensor, inside: Tensor | None) -> tuple[Tensor, Tensor, Tensor]:
    """Both maps with nothing in their padding, and what is none."""
    inside = torch.ones_like(predicted, dtype=torch.bool) if inside is None else inside
    for what, maps in (("prediction", predicted), ("mask", mask), ("inside", inside)):
        if maps.dtype != torch.bool or maps.shape != predicted.shape or maps.ndim != 3:
            kind = f"{maps.dtype} of shape {tuple(maps.shape)}"
            raise RequestError(f"{what} is {kind}, expected torch.bool (B, H, W), all of one shape")
    return predicted & inside, mask & inside, inside


def _fetched(parts: list[Tensor], rows: int) -> IntArray:
    """The columns of all batches side by side, on the host."""
    whole = torch.cat(parts, dim=1) if parts else torch.zeros((rows, 0), dtype=torch.int64)
    columns: IntArray = whole.cpu().numpy()
    return columns
