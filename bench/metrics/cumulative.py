"""Cumulative scores, as DFINet's script prints them for a feedback round: over that round and all rounds before it.

Its accumulators of IoU, Pd and Fa are made once, before the first round, and never reset; those of F1 are. These
metrics are given the counts of rounds 1 to k as one list. The standard metrics take every round by itself.
"""

from __future__ import annotations

from bench.metrics.counting.counts import Counts
from bench.metrics.pixel import NOTHING, iou_pooled
from bench.metrics.registry import metric
from bench.metrics.statistic import Ratio
from bench.metrics.target import NO_PIXELS, NO_TARGETS, fa_unmatched_area, pd_centroid


@metric(
    "legacy:IoU/soft-mask-cumulative-rounds",
    unit="fraction",
    better="higher",
    undefined=NOTHING,
    undefined_value=0.0,
    ground_truth="soft",
    cumulative=True,
)
@metric(
    "legacy:IoU/cumulative-rounds",
    unit="fraction",
    better="higher",
    undefined=NOTHING,
    undefined_value=0.0,
    cumulative=True,
)
def legacy_iou_cumulative(counts: Counts) -> Ratio:
    """Pooled IoU of rounds 1 to k, as DFINet's script prints it for round k: a late loss does not show.

    Source: DFINet `test.py`, whose accumulator outlives the loop over rounds.

    >>> from bench.metrics.counting.counts import count_masks, join_counts
    >>> first, second = count_masks([[1, 1, 0, 0]], [[1, 1, 1, 1]]), count_masks([[1, 1, 1, 1]], [[1, 1, 1, 1]])
    >>> legacy_iou_cumulative(join_counts([first, second])).value()  # (2 + 4) / (4 + 4), the second round alone 1.0
    0.75
    """
    return iou_pooled(counts)


@metric(
    "legacy:Pd/soft-mask-cumulative-rounds",
    unit="fraction",
    better="higher",
    undefined=NO_TARGETS,
    ground_truth="soft",
    of_components=True,
    cumulative=True,
)
@metric(
    "legacy:Pd/cumulative-rounds",
    unit="fraction",
    better="higher",
    undefined=NO_TARGETS,
    of_components=True,
    cumulative=True,
)
def legacy_pd_cumulative(counts: Counts) -> Ratio:
    """Probability of detection over rounds 1 to k, as DFINet's script prints it for round k.

    Source: DFINet `test.py`, whose accumulator outlives the loop over rounds.

    >>> from bench.metrics.counting.counts import count_masks, join_counts
    >>> legacy_pd_cumulative(join_counts([count_masks([[1]], [[1]]), count_masks([[0]], [[1]])])).value()
    0.5
    """
    return pd_centroid(counts)


@metric(
    "legacy:Fa/soft-mask-cumulative-rounds",
    unit="fraction",
    scale="1e-6",
    better="lower",
    undefined=NO_PIXELS,
    ground_truth="soft",
    of_components=True,
    cumulative=True,
)
@metric(
    "legacy:Fa/cumulative-rounds",
    unit="fraction",
    scale="1e-6",
    better="lower",
    undefined=NO_PIXELS,
    of_components=True,
    cumulative=True,
)
def legacy_fa_cumulative(counts: Counts) -> Ratio:
    """False-alarm rate over rounds 1 to k, as DFINet's script prints it for round k.

    Source: DFINet `test.py`, whose accumulator outlives the loop over rounds.

    >>> from bench.metrics.counting.counts import count_masks, join_counts
    >>> legacy_fa_cumulative(join_counts([count_masks([[1, 0]], [[0, 0]]), count_masks([[0, 0]], [[0, 0]])])).value()
    0.25
    """
    return fa_unmatched_area(counts)
