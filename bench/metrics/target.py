"""Metrics of components: probability of detection, false alarms, and the false alarms DNANet's code counts."""

from __future__ import annotations

from bench.metrics.counting.counts import Counts
from bench.metrics.registry import metric
from bench.metrics.statistic import Ratio

NO_TARGETS = "no targets in the list"
NO_PIXELS = "no pixels in the list"
DNANET_PIXELS = 256 * 256


@metric("Pd/centroid-3px", head="Pd", unit="fraction", better="higher", undefined=NO_TARGETS, of_components=True)
def pd_centroid(counts: Counts) -> Ratio:
    """Probability of detection: share of the list's targets matched by a predicted component.

    Targets in raster order each take the first free component whose centroid is nearer than 3 px (8 neighbours make a
    component). Under another distance the id says so.

    Source: BasicIRSTD and DFINet `PD_FA`; pyirstdmetrics `DistanceOnlyMatching`.

    >>> from bench.metrics.counting.counts import count_masks
    >>> pd_centroid(count_masks([[1, 0, 0, 0, 0, 0, 0]], [[1, 0, 0, 0, 0, 0, 1]])).value()
    0.5
    """
    return Ratio.of(counts.matched, counts.targets)


@metric(
    "Fa/unmatched-area",
    head="Fa",
    unit="fraction",
    scale="1e-6",
    better="lower",
    undefined=NO_PIXELS,
    of_components=True,
)
def fa_unmatched_area(counts: Counts) -> Ratio:
    """False-alarm rate: pixels of predicted components that no target took, over all pixels of the list.

    Components are told apart by identity.

    Source: BasicIRSTD since 2024-01-25 and DFINet `PD_FA`.

    >>> from bench.metrics.counting.counts import count_masks
    >>> fa_unmatched_area(count_masks([[1, 0, 0, 0, 0, 0, 1, 1]], [[1, 0, 0, 0, 0, 0, 0, 0]])).value()
    0.25
    """
    return Ratio.of(counts.unmatched_area, counts.pixels)


@metric(
    "Fa/background-pixels",
    unit="fraction",
    scale="1e-5",
    better="lower",
    undefined="no background pixels in the list",
)
def fa_background_pixels(counts: Counts) -> Ratio:
    """False-alarm rate of pixels: predicted background pixels over all background pixels of the list.

    Pixels around a target that was found count too: no component is told apart.

    Source: RPCANet's test script, which prints it in units of 1e-5.

    >>> from bench.metrics.counting.counts import count_masks
    >>> fa_background_pixels(count_masks([[1, 1, 0, 0, 0]], [[1, 0, 0, 0, 0]])).value()
    0.25
    """
    return Ratio.of(counts.predicted - counts.hits, counts.pixels - counts.actual)


@metric(
    "Fa/components-per-image",
    unit="components per image",
    better="lower",
    undefined="no images in the list",
    of_components=True,
)
def fa_components(counts: Counts) -> Ratio:
    """False alarms an image: predicted components that no target took, over images.

    >>> from bench.metrics.counting.counts import count_masks
    >>> fa_components(count_masks([[1, 0, 0, 0, 0, 0, 1, 1]], [[1, 0, 0, 0, 0, 0, 0, 0]])).value()
    1.0
    """
    return Ratio.of(counts.unmatched, 1)


@metric(
    "Fa/images-without-targets",
    unit="fraction",
    better="lower",
    undefined="every image holds a target",
)
def fa_images_without_targets(counts: Counts) -> Ratio:
    """Share of the images without targets in which anything is predicted: one false pixel is a false alarm.

    Undefined, not 0, on a list whose images all hold a target, such as NUAA-SIRST and NUDT-SIRST.

    Source: the false-positive rate of images, as in image-level detection.

    >>> from bench.metrics.counting.counts import count_masks, join_counts
    >>> quiet, alarmed, found = (count_masks(*pair) for pair in (([[0]], [[0]]), ([[1]], [[0]]), ([[1]], [[1]])))
    >>> fa_images_without_targets(join_counts([quiet, alarmed, found])).value()
    0.5
    """
    is_empty = counts.targets == 0
    return Ratio.of(is_empty & (counts.predicted > 0), is_empty)


@metric("legacy:Fa/equal-area", unit="fraction", scale="1e-6", better="lower", undefined=NO_PIXELS, of_components=True)
def legacy_fa_equal_area(counts: Counts) -> Ratio:
    """False-alarm rate as DNANet, SCTransNet and MSHNet count it: never above the right one on 256 x 256 images.

    Components are told apart by area, so a false alarm as large as any matched component is lost; the denominator is
    65536 for every image, whatever its size.

    Source: DNANet `PD_FA`, first bin.

    >>> from bench.metrics.counting.counts import count_masks
    >>> 65536 * legacy_fa_equal_area(count_masks([[1, 0, 0, 0, 1, 0, 1, 1]], [[1, 0, 0, 0, 0, 0, 0, 0]])).value()
    2.0
    """
    return Ratio.of(counts.equal_area, DNANET_PIXELS)


@metric(
    "legacy:Fa/equal-area-over-pixels",
    unit="fraction",
    scale="1e-6",
    better="lower",
    undefined=NO_PIXELS,
    of_components=True,
)
def legacy_fa_equal_area_over_pixels(counts: Counts) -> Ratio:
    """False-alarm rate as BasicIRSTD counted it until 2024-01-25: never above the right one.

    Components are told apart by area, as in `legacy:Fa/equal-area`, so that a false alarm as large as any matched
    component is lost; the denominator is all pixels of the list, as in `Fa/unmatched-area`.

    Source: BasicIRSTD `PD_FA` before commit 6576e62.

    >>> from bench.metrics.counting.counts import count_masks
    >>> legacy_fa_equal_area_over_pixels(count_masks([[1, 0, 0, 0, 1, 0, 1, 1]], [[1, 0, 0, 0, 0, 0, 0, 0]])).value()
    0.25
    """
    return Ratio.of(counts.equal_area, counts.pixels)


@metric(
    "legacy:Pd/soft-mask",
    unit="fraction",
    better="higher",
    undefined=NO_TARGETS,
    ground_truth="soft",
    of_components=True,
)
def legacy_pd_soft(counts: Counts) -> Ratio:
    """Probability of detection on a resized mask truncated to integers: targets that resizing dimmed do not exist.

    Source: DFINet `PD_FA`.

    >>> import numpy as np
    >>> from bench.metrics.counting.counts import count_image, counts_of
    >>> from bench.types import Scoring
    >>> soft = Scoring("soft", ground_truth="soft", resolution="network")
    >>> mask, q = np.array([[0.9, 0, 0, 0, 0, 1.0]]), np.array([[0, 0, 0, 0, 0, 65535]], np.uint16)
    >>> legacy_pd_soft(counts_of([count_image(q, mask, scoring=soft)])).value()  # one target, not two
    1.0
    """
    return Ratio.of(counts.matched, counts.targets)


@metric(
    "legacy:Fa/soft-mask",
    unit="fraction",
    scale="1e-6",
    better="lower",
    undefined=NO_PIXELS,
    ground_truth="soft",
    of_components=True,
)
def legacy_fa_soft(counts: Counts) -> Ratio:
    """False-alarm rate on a resized mask truncated to integers: predicting a dimmed target is a false alarm.

    Source: DFINet `PD_FA`.

    >>> import numpy as np
    >>> from bench.metrics.counting.counts import count_image, counts_of
    >>> from bench.types import Scoring
    >>> soft = Scoring("soft", ground_truth="soft", resolution="network")
    >>> mask, q = np.array([[0.9, 0, 0, 0]]), np.array([[65535, 0, 0, 0]], np.uint16)
    >>> legacy_fa_soft(counts_of([count_image(q, mask, scoring=soft)])).value()
    0.25
    """
    return Ratio.of(counts.unmatched_area, counts.pixels)
