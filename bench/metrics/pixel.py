"""Metrics of pixels: IoU, nIoU, precision, recall, F1, and what DFINet's script reports under those names."""

from __future__ import annotations

from bench.metrics.counting.counts import Counts
from bench.metrics.registry import metric
from bench.metrics.statistic import HarmonicMean, Ratio, mean_over_images

NOTHING = "nothing labelled and nothing predicted; 0/0 counts as 0"
NO_PREDICTION = "no image in which a pixel is predicted"
NO_TARGET_IMAGE = "no image with a target"
SMOOTHING = 1e-15


@metric("IoU/pooled", head="IoU", unit="fraction", better="higher", undefined=NOTHING, undefined_value=0.0)
def iou_pooled(counts: Counts) -> Ratio:
    """Intersection over union of the target class, both summed over the list first: sum I / sum U.

    Called mIoU in the field's code, but neither a mean over images nor over classes. 0/0 is 0, as there.

    Source: BasicIRSTD, DNANet and DFINet `mIoU`.

    >>> from bench.metrics.counting.counts import count_masks
    >>> iou_pooled(count_masks([[1, 1, 0, 0]], [[0, 1, 1, 1]])).value()
    0.25
    """
    return Ratio.of(counts.intersection, counts.predicted + counts.labelled - counts.intersection)


@metric("nIoU/per-image", head="nIoU", unit="fraction", better="higher", undefined=NOTHING)
def niou_per_image(counts: Counts) -> Ratio:
    """Mean over images of each image's intersection over union, where 0/0 is 0.

    An image without target in which nothing is predicted is a right answer and yet counts 0, as in every published
    implementation.

    Source: Dai et al., WACV 2021 (open-acm `SamplewiseSigmoidMetric`); pyirstdmetrics `niou`.

    >>> from bench.metrics.counting.counts import count_masks
    >>> niou_per_image(count_masks([[1, 1, 0, 0]], [[0, 1, 1, 1]]).take([0, 0])).value()
    0.25
    >>> niou_per_image(count_masks([[0, 0]], [[0, 0]])).value()
    0.0
    """
    union = counts.predicted + counts.labelled - counts.intersection
    return mean_over_images(counts.intersection, union, undefined=0.0)


@metric("Precision/pooled", unit="fraction", better="higher", undefined="no pixel predicted in the list")
def precision_pooled(counts: Counts) -> Ratio:
    """Share of the list's predicted pixels that lie on a target: sum TP / sum (TP + FP).

    Source: pyirstdmetrics `precision`, which prints 0 where this is undefined.

    >>> from bench.metrics.counting.counts import count_masks
    >>> precision_pooled(count_masks([[1, 1, 0, 0]], [[0, 1, 1, 1]])).value()
    0.5
    """
    return Ratio.of(counts.hits, counts.predicted)


@metric("Recall/pooled", unit="fraction", better="higher", undefined="no target pixel in the list")
def recall_pooled(counts: Counts) -> Ratio:
    """Share of the list's target pixels that are predicted: sum TP / sum (TP + FN).

    Source: pyirstdmetrics `recall`, which prints 0 where this is undefined.

    >>> from bench.metrics.counting.counts import count_masks
    >>> recall_pooled(count_masks([[1, 1, 0, 0]], [[0, 1, 1, 0]])).value()
    0.5
    """
    return Ratio.of(counts.hits, counts.actual)


@metric("F1/pooled", head="F1", unit="fraction", better="higher", undefined=NOTHING, undefined_value=0.0)
def f1_pooled(counts: Counts) -> Ratio:
    """F1 over all pixels of the list: 2 TP / (2 TP + FP + FN) = 2 IoU / (1 + IoU). 0/0 is 0.

    Source: pyirstdmetrics `f1`; the F1 columns of SCTransNet and RPCANet satisfy it.

    >>> from bench.metrics.counting.counts import count_masks
    >>> f1_pooled(count_masks([[1, 1, 0, 0]], [[0, 1, 1, 1]])).value()
    0.4
    """
    return Ratio.of(2 * counts.hits, counts.predicted + counts.actual)


@metric("nIoU/images-with-targets", unit="fraction", better="higher", undefined=NO_TARGET_IMAGE)
def niou_with_targets(counts: Counts) -> Ratio:
    """Mean over the images that hold a target of each image's intersection over union.

    Differs: `nIoU/per-image` also takes images without target, as 0: both a right silence, which is 0/0, and a false
    alarm. On a list whose images all hold a target the two are one number.

    Source: of this project; `nIoU/per-image` without its images of 0/0.

    >>> from bench.metrics.counting.counts import count_masks, join_counts
    >>> half, empty = count_masks([[1, 0]], [[1, 1]]), count_masks([[0, 0]], [[0, 0]])
    >>> niou_with_targets(join_counts([half, empty])).value(), niou_per_image(join_counts([half, empty])).value()
    (0.5, 0.25)
    """
    union = counts.predicted + counts.labelled - counts.intersection
    has_target = counts.labelled > 0
    return mean_over_images(counts.intersection * has_target, union * has_target)


@metric("Precision/macro", unit="fraction", better="higher", undefined=NO_PREDICTION)
def precision_macro(counts: Counts) -> Ratio:
    """Mean over images of each image's precision, TP / (TP + FP), over the images in which a pixel is predicted.

    An image in which nothing is predicted has no precision and is left out, so that a network is not rewarded for
    silence here; `Recall/macro` tells what it missed.

    Source: the mean of "samples" in scikit-learn's `precision_score`, there with 0/0 as 0.

    >>> from bench.metrics.counting.counts import count_masks, join_counts
    >>> half, silent = count_masks([[1, 1]], [[1, 0]]), count_masks([[0, 0]], [[1, 0]])
    >>> precision_macro(join_counts([half, silent])).value()
    0.5
    """
    return mean_over_images(counts.hits, counts.predicted)


@metric("Recall/macro", unit="fraction", better="higher", undefined=NO_TARGET_IMAGE)
def recall_macro(counts: Counts) -> Ratio:
    """Mean over images of each image's recall, TP / (TP + FN), over the images that hold a target.

    An image without target has no recall and is left out.

    Source: the mean of "samples" in scikit-learn's `recall_score`, there with 0/0 as 0.

    >>> from bench.metrics.counting.counts import count_masks, join_counts
    >>> half, empty = count_masks([[1, 0]], [[1, 1]]), count_masks([[0, 0]], [[0, 0]])
    >>> recall_macro(join_counts([half, empty])).value()
    0.5
    """
    return mean_over_images(counts.hits, counts.actual)


@metric("F1/macro", unit="fraction", better="higher", undefined="no image with a target or a predicted pixel")
def f1_macro(counts: Counts) -> Ratio:
    """Mean over images of each image's F1, 2 TP / (2 TP + FP + FN), over those with a target or a predicted pixel.

    An image with neither has no F1 and is left out; one in which all targets are missed, or only false alarms are
    raised, counts 0.

    Differs: `legacy:F1/macro-pr` is the harmonic mean of two means, not a mean over images.

    Source: the mean of "samples" in scikit-learn's `f1_score`, there with 0/0 as 0.

    >>> from bench.metrics.counting.counts import count_masks, join_counts
    >>> perfect, missed = count_masks([[1, 0]], [[1, 0]]), count_masks([[0, 0]], [[1, 0]])
    >>> f1_macro(join_counts([perfect, missed])).value()
    0.5
    """
    return mean_over_images(2 * counts.hits, counts.predicted + counts.actual)


def macro_f1(counts: Counts) -> HarmonicMean:
    """Harmonic mean of the mean per-image precision and the mean per-image recall, with 1e-15 added above and below."""
    precision = mean_over_images(counts.hits + SMOOTHING, counts.predicted + SMOOTHING)
    recall = mean_over_images(counts.hits + SMOOTHING, counts.actual + SMOOTHING)
    return HarmonicMean(precision, recall)


@metric("legacy:F1/macro-pr", unit="fraction", better="higher", undefined=NOTHING)
def legacy_f1_macro(counts: Counts) -> HarmonicMean:
    """F1 as DFINet reports it: harmonic mean of the mean per-image precision and the mean per-image recall.

    An image with nothing predicted has precision 1, one without target has recall 1 (1e-15 is added to numerators and
    denominators). One perfect and one missed image make 0.667, where the mean of the two images' F1 is 0.5. It is not
    2 IoU / (1 + IoU), so it must not be compared with a pooled F1.

    Source: DFINet `test.py`.
    Differs: an image with neither target nor prediction has precision and recall 1; the script stops there.

    >>> from bench.metrics.counting.counts import count_masks
    >>> round(legacy_f1_macro(count_masks([[0, 0, 0, 0]], [[0, 1, 1, 0]])).value(), 12)
    0.0
    >>> legacy_f1_macro(count_masks([[0, 1, 1, 0]], [[0, 1, 1, 0]])).value()
    1.0
    """
    return macro_f1(counts)


@metric("legacy:PixAcc/recall", unit="fraction", better="higher", undefined="no target pixel in the list")
def legacy_pixacc(counts: Counts) -> Ratio:
    """Pixel accuracy as the field's code has it: the pooled recall, on a binary mask.

    Source: BasicIRSTD, DNANet and DFINet `pixAcc`, which print 0 where this is undefined.

    >>> from bench.metrics.counting.counts import count_masks
    >>> legacy_pixacc(count_masks([[1, 1, 0, 0]], [[0, 1, 1, 0]])).value()
    0.5
    """
    return Ratio.of(counts.intersection, counts.positive)


@metric(
    "legacy:IoU/soft-mask",
    unit="fraction",
    better="higher",
    undefined=NOTHING,
    undefined_value=0.0,
    ground_truth="soft",
)
def legacy_iou_soft(counts: Counts) -> Ratio:
    """Pooled IoU on a resized mask that was never binarised again: too low, about 0.5 for a perfect predictor.

    The intersection takes only mask pixels of exactly 1.0, the label area everything from 0.5 to 1.0.

    Source: DFINet `test.py`.

    >>> import numpy as np
    >>> from bench.metrics.counting.counts import count_image, counts_of
    >>> from bench.types import Scoring
    >>> soft = Scoring("soft", ground_truth="soft", resolution="network")
    >>> mask = np.array([[0.49, 0.5, 0.75, 1.0]])
    >>> counts = counts_of([count_image(np.full((1, 4), 65535, np.uint16), mask, scoring=soft)])
    >>> round(legacy_iou_soft(counts).value(), 6)  # 1 / (4 + 3 - 1)
    0.166667
    """
    return Ratio.of(counts.intersection, counts.predicted + counts.labelled - counts.intersection)


@metric(
    "legacy:PixAcc/soft-mask",
    unit="fraction",
    better="higher",
    undefined="no target pixel in the list",
    ground_truth="soft",
)
def legacy_pixacc_soft(counts: Counts) -> Ratio:
    """Predicted pixels whose soft mask is exactly 1.0, over all pixels whose soft mask is above 0.

    Source: DFINet `pixAcc`.

    >>> import numpy as np
    >>> from bench.metrics.counting.counts import count_image, counts_of
    >>> from bench.types import Scoring
    >>> soft = Scoring("soft", ground_truth="soft", resolution="network")
    >>> mask = np.array([[0.49, 0.5, 0.75, 1.0]])
    >>> legacy_pixacc_soft(counts_of([count_image(np.full((1, 4), 65535, np.uint16), mask, scoring=soft)])).value()
    0.25
    """
    return Ratio.of(counts.intersection, counts.positive)


@metric("legacy:F1/soft-mask", unit="fraction", better="higher", undefined=NOTHING, ground_truth="soft")
def legacy_f1_soft(counts: Counts) -> HarmonicMean:
    """DFINet's F1 (see `legacy:F1/macro-pr`) on a resized mask, read as target where it is above 0.5.

    Source: DFINet `test.py`.

    >>> import numpy as np
    >>> from bench.metrics.counting.counts import count_image, counts_of
    >>> from bench.types import Scoring
    >>> soft = Scoring("soft", ground_truth="soft", resolution="network")
    >>> mask = np.array([[0.49, 0.5, 0.75, 1.0]])
    >>> counts = counts_of([count_image(np.full((1, 4), 65535, np.uint16), mask, scoring=soft)])
    >>> round(legacy_f1_soft(counts).value(), 6)  # precision 2/4, recall 2/2
    0.666667
    """
    return macro_f1(counts)
