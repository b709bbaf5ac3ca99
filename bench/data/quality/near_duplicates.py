"""Near duplicates: pairs of images of the same place, proposed by hash and shift search, confirmed at full size.

A pair is proposed when its perceptual hashes are alike in one of the eight orientations (a copy that was turned or
mirrored), or when its thumbnails correlate at some shift (a camera that moved): roughly at 32 x 32 pixels, then at
64 x 64 over the part that both show. It is confirmed when its images correlate over that part at full size.

All correlations are of band-pass maps: an image less its blur, over its local contrast. Raw grey levels of any two
skies over land correlate at 0.9, band-pass maps of different places do not reach 0.8; docs/leaks.md says where the
thresholds come from. Images without texture, such as an even sky, have no near duplicates.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache

import cv2
import imagehash
import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy import fft

from bench.data.images.decode import Pixels
from bench.progress import Step

BandPassMap = NDArray[np.float32]
ReadGrey = Callable[[int], Pixels]
"""Function from a position to the grey levels (H, W) of the image there."""

SIDE, COARSE = 64, 32
"""Sides of the thumbnails, in pixels: all pairs are compared at the coarse one, those it leaves at the other."""

MOST_BITS = 14
"""Bits of 64 in which the perceptual hashes of a proposed pair differ at most."""

LEAST_COARSE = 0.25
"""Correlation of coarse thumbnails, over the whole of both, at which a pair is looked at again: images that share half
of their area reach about half of what the shared part does."""

LEAST_THUMBNAIL = 0.5
"""Correlation of thumbnails over their common part that proposes a pair."""

LEAST_CORRELATION = 0.8
"""Correlation at full size, over the common part, from which a pair is confirmed."""

LEAST_COMMON = 0.25
"""Share of the image that both must show: half of its height and half of its width."""

SAME_VIEW = 0.9
"""Common share of the image from which a pair shows the same view, not two adjacent ones."""

REACH = 8
"""Pixels around a proposed shift in which the best one is looked for at full size."""

EVEN = 1e-3
"""Root mean square below which a band-pass map holds only rounding errors."""

THRESHOLDS = {
    "sides": (SIDE, COARSE),
    "bits": MOST_BITS,
    "coarse": LEAST_COARSE,
    "thumbnail": LEAST_THUMBNAIL,
    "correlation": LEAST_CORRELATION,
    "common": LEAST_COMMON,
}

ORIENTATIONS = (
    "upright",
    "turned 90°",
    "turned 180°",
    "turned 270°",
    "mirrored",
    "mirrored and turned 90°",
    "mirrored and turned 180°",
    "mirrored and turned 270°",
)


@dataclass(frozen=True)
class Proposal:
    """Pair of positions to be confirmed, with the turn and shift that bring the first image onto the second.

    Attributes:
        orientation: index into `ORIENTATIONS`.
        rows, cols: shift, as a share of the second image's height and width.
    """

    one: int
    two: int
    orientation: int = 0
    rows: float = 0.0
    cols: float = 0.0


@dataclass(frozen=True)
class Match:
    """Two images that show the same place.

    Attributes:
        correlation: over the common part, at full size, from `LEAST_CORRELATION` to 1.
        rows, cols: pixels of the second image by which the first one is moved down and to the right.
        common: share of the second image that both show.
    """

    one: int
    two: int
    correlation: float
    orientation: int
    rows: int
    cols: int
    common: float


@dataclass(frozen=True, eq=False)
class Sketch:
    """Small description of one image, by which pairs are proposed.

    Attributes:
        coarse, thumbnail: band-pass maps (32, 32) and (64, 64) of mean 0 and Euclidean norm 1.
        hashes: (8,) perceptual hash in each orientation.
    """

    coarse: BandPassMap
    thumbnail: BandPassMap
    hashes: NDArray[np.uint64]


def band_pass(levels: Pixels | BandPassMap, *, fine: float, coarse: float, around: float, floor: float) -> BandPassMap:
    """Structure (H, W) between two scales, divided by its local contrast and clipped at 3, so that no target dominates.

    Args:
        fine, coarse: standard deviations of the two blurs, in pixels; 0 for no fine one.
        around: standard deviation of the window that contrast is measured in.
        floor: grey levels added to the contrast, so that noise stays small.
    """
    plane = np.asarray(levels, np.float32)
    smooth = cv2.GaussianBlur(plane, (0, 0), fine) if fine else plane
    detail = smooth - cv2.GaussianBlur(smooth, (0, 0), coarse)
    contrast = np.sqrt(cv2.GaussianBlur(detail * detail, (0, 0), around)) + floor
    return np.clip(detail / contrast, -3, 3).astype(np.float32)


def full_map(levels: Pixels) -> BandPassMap:
    """Band-pass map at full size."""
    return band_pass(levels, fine=1.0, coarse=8.0, around=12.0, floor=2.0)


def oriented(plane: NDArray[np.generic], orientation: int) -> NDArray[np.generic]:
    """Turn a plane (H, W) by quarter turns to the left, and from index 4 on mirror it left to right afterwards."""
    turned = np.rot90(plane, orientation % 4)
    return np.ascontiguousarray(turned[:, ::-1] if orientation >= 4 else turned)


def sketch(levels: Pixels) -> Sketch:
    """Calculate the thumbnails and hashes of an image (H, W)."""
    small = np.asarray(cv2.resize(levels, (SIDE, SIDE), interpolation=cv2.INTER_AREA), np.uint8)
    hashes = [_hash(oriented(small, index)) for index in range(len(ORIENTATIONS))]
    return Sketch(thumbnail(levels, COARSE), thumbnail(levels, SIDE), np.array(hashes, np.uint64))


def thumbnail(levels: Pixels, side: int) -> BandPassMap:
    """Band-pass map of the image at (side, side), of mean 0 and Euclidean norm 1; zeros for an even image."""
    small = np.asarray(cv2.resize(levels, (side, side), interpolation=cv2.INTER_AREA), np.uint8)
    plane = band_pass(small, fine=0.0, coarse=side / 16, around=3 * side / 32, floor=1.0)
    plane = plane - plane.mean()
    length = float(np.linalg.norm(plane))
    return plane / length if length > EVEN * side else np.zeros_like(plane)


def _hash(small: NDArray[np.generic]) -> np.uint64:
    """ImageHash's perceptual hash: 64 bits, set where a low cosine coefficient is above the median."""
    bits = imagehash.phash(Image.fromarray(np.asarray(small, np.uint8))).hash
    return np.uint64(int.from_bytes(np.packbits(bits).tobytes(), "big"))


def propose(sketches: Sequence[Sketch], *, judged: int, step: Step | None = None) -> list[Proposal]:
    """Propose pairs of near duplicates, in order; at most one proposal by hash and one by shift for each pair.

    Args:
        judged: number of first images that are compared with all that follow; the others are not compared with each
            other.
    """
    if not sketches:
        return []
    hashes = np.array([each.hashes for each in sketches])  # (N, 8)
    coarse = _Spectra.of([each.coarse for each in sketches])
    thumbnails = _Spectra.of([each.thumbnail for each in sketches])
    found: list[Proposal] = []
    for one in range(min(judged, len(sketches) - 1)):
        found += _by_hash(hashes, one)
        found += _by_shift(coarse, thumbnails, one)
        if step is not None:
            step(one + 1, judged)
    return found


@dataclass(frozen=True, eq=False)
class _Spectra:
    """Thumbnails (N, side, side) and their Fourier transforms, which give the correlation at all shifts at once."""

    planes: BandPassMap
    spectra: NDArray[np.complex64]

    @staticmethod
    def of(planes: Sequence[BandPassMap]) -> _Spectra:
        stacked = np.array(planes)
        return _Spectra(stacked, np.asarray(fft.rfft2(stacked), np.complex64))

    def peaks(self, one: int, others: slice | NDArray[np.intp]) -> tuple[NDArray[np.float32], NDArray[np.intp]]:
        """Best correlation of `one` with each other image over all circular shifts, and that shift as a flat index."""
        side = self.planes.shape[1]
        surfaces = np.asarray(fft.irfft2(self.spectra[others] * np.conj(self.spectra[one]), s=(side, side)))
        flat = surfaces.reshape(-1, side * side)
        at = flat.argmax(axis=1)
        return flat[np.arange(len(flat)), at], at


def _by_hash(hashes: NDArray[np.uint64], one: int) -> Iterator[Proposal]:
    """Propose later images whose hash is like that of `one` in its best orientation."""
    bits = np.bitwise_count(hashes[one + 1 :, :1] ^ hashes[one][None, :])  # (N - one - 1, 8)
    best = bits.argmin(axis=1)
    for index in np.flatnonzero(bits.min(axis=1) <= MOST_BITS):
        yield Proposal(one, one + 1 + int(index), int(best[index]))


def _by_shift(coarse: _Spectra, thumbnails: _Spectra, one: int) -> Iterator[Proposal]:
    """Propose later images whose thumbnails correlate with that of `one` over their common part, at the best shift."""
    rough, _ = coarse.peaks(one, slice(one + 1, None))
    others = one + 1 + np.flatnonzero(rough >= LEAST_COARSE)
    _, peaks = thumbnails.peaks(one, others)
    for other, peak in zip(others.tolist(), peaks.tolist(), strict=True):
        shift = _signed(peak // SIDE), _signed(peak % SIDE)
        if _shifted_correlation(thumbnails.planes[one], thumbnails.planes[other], shift) >= LEAST_THUMBNAIL:
            yield Proposal(one, other, 0, shift[0] / SIDE, shift[1] / SIDE)


def _signed(shift: int) -> int:
    """Circular shift from 0 to 63 as a signed one from -31 to 32."""
    return shift - SIDE if shift > SIDE // 2 else shift


def _shifted_correlation(one: BandPassMap, two: BandPassMap, shift: tuple[int, int]) -> float:
    """Correlation over the common part when the first is moved by `shift`, (rows, columns) down and to the right."""
    (top, bottom), (left, right) = (_common(extent, by) for extent, by in zip(two.shape, shift, strict=True))
    under = two[top + shift[0] : bottom + shift[0], left + shift[1] : right + shift[1]]
    return _correlation(one[top:bottom, left:right], under)


def confirm(proposals: Sequence[Proposal], read: ReadGrey, *, step: Step | None = None) -> list[Match]:
    """Confirm proposed pairs at full size: the best proposal of each pair, by falling correlation."""
    maps = lru_cache(maxsize=512)(lambda index: full_map(read(index)))
    best: dict[tuple[int, int], Match] = {}
    for done, proposal in enumerate(proposals, start=1):
        match = _match(proposal, read, maps)
        pair = proposal.one, proposal.two
        if match is not None and (pair not in best or match.correlation > best[pair].correlation):
            best[pair] = match
        if step is not None:
            step(done, len(proposals))
    return sorted(best.values(), key=lambda match: (-match.correlation, match.one, match.two))


def _match(proposal: Proposal, read: ReadGrey, maps: Callable[[int], BandPassMap]) -> Match | None:
    """Match of a proposed pair, or None if it is not confirmed."""
    two = maps(proposal.two)
    height, width = two.shape
    one = np.asarray(oriented(maps(proposal.one), proposal.orientation), np.float32)
    if one.shape != two.shape:
        grey = np.asarray(oriented(read(proposal.one), proposal.orientation), np.uint8)
        one = full_map(np.asarray(cv2.resize(grey, (width, height), interpolation=cv2.INTER_AREA), np.uint8))
    near = round(proposal.rows * height), round(proposal.cols * width)
    correlation, (rows, cols) = best_shift(one, two, near=near)
    common = max(0.0, 1 - abs(rows) / height) * max(0.0, 1 - abs(cols) / width)
    if correlation < LEAST_CORRELATION or common < LEAST_COMMON:
        return None
    return Match(proposal.one, proposal.two, correlation, proposal.orientation, rows, cols, common)


def best_shift(one: BandPassMap, two: BandPassMap, *, near: tuple[int, int]) -> tuple[float, tuple[int, int]]:
    """Find the best correlation of two maps (H, W) over their common part, and its shift (rows, columns).

    Args:
        near: shift in pixels around which shifts up to `REACH` away are tried, in both directions.
    """
    (top, bottom), (left, right) = (_common(extent, shift) for extent, shift in zip(two.shape, near, strict=True))
    inner = one[top + REACH : bottom - REACH, left + REACH : right - REACH]
    outer = two[top + near[0] : bottom + near[0], left + near[1] : right + near[1]]
    if min(inner.shape) < 2 * REACH:
        return 0.0, near
    surface = np.nan_to_num(cv2.matchTemplate(outer, inner, cv2.TM_CCOEFF_NORMED), posinf=0.0, neginf=0.0)
    rows, cols = (int(at) for at in np.unravel_index(surface.argmax(), surface.shape))
    under = outer[rows : rows + inner.shape[0], cols : cols + inner.shape[1]]
    return _correlation(inner, under), (near[0] + rows - REACH, near[1] + cols - REACH)


def _common(extent: int, shift: int) -> tuple[int, int]:
    """First and end row of the part of the first image that lies on the second one when moved."""
    return max(0, -shift), min(extent, extent - shift)


def _correlation(one: BandPassMap, two: BandPassMap) -> float:
    """Pearson's correlation; 0 where one of the maps is flat."""
    first, second = (plane.astype(np.float64).ravel() - float(plane.mean()) for plane in (one, two))
    lengths = float(np.linalg.norm(first) * np.linalg.norm(second))
    return float(first @ second) / lengths if lengths > EVEN**2 * first.size else 0.0
