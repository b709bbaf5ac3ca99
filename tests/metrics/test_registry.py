"""Scores: every doctest, the ids under each scoring, and what is undefined."""

from __future__ import annotations

import doctest
import importlib

import numpy as np
import pytest

from bench.metrics.counting.counts import Counts, CountsWriter, count_image, count_masks, counts_of, join_counts
from bench.metrics.counting.levels import quantise
from bench.metrics.registry import (
    METRICS,
    Metric,
    find_metrics,
    metric,
    metric_infos,
    ordered_metrics,
    score_counts,
    score_rounds,
)
from bench.metrics.statistic import Ratio
from bench.types import Score, Scoring

NATIVE = Scoring("native")
SOFT = Scoring("soft", ground_truth="soft", resolution="network")
BINARY_IDS = [
    "IoU/pooled",
    "nIoU/per-image",
    "Precision/pooled",
    "Recall/pooled",
    "F1/pooled",
    "nIoU/images-with-targets",
    "Precision/macro",
    "Recall/macro",
    "F1/macro",
    "Fa/background-pixels",
    "Fa/images-without-targets",
    "Pd/centroid-3px",
    "Fa/unmatched-area",
    "Fa/components-per-image",
    "legacy:F1/macro-pr",
    "legacy:PixAcc/recall",
    "legacy:Fa/equal-area",
    "legacy:Fa/equal-area-over-pixels",
]
SOFT_IDS = [
    "legacy:IoU/soft-mask",
    "legacy:PixAcc/soft-mask",
    "legacy:F1/soft-mask",
    "legacy:Pd/soft-mask",
    "legacy:Fa/soft-mask",
]
CUMULATIVE_IDS = ["legacy:IoU/cumulative-rounds", "legacy:Pd/cumulative-rounds", "legacy:Fa/cumulative-rounds"]
SOFT_CUMULATIVE_IDS = [name.replace("/", "/soft-mask-") for name in CUMULATIVE_IDS]


@pytest.mark.parametrize(
    "name",
    [
        "counting.components",
        "counting.counts",
        "cumulative",
        "ids",
        "pixel",
        "registry",
        "rounds",
        "statistic",
        "target",
        "units",
    ],
)
def test_the_examples_in_the_docstrings_hold(name: str) -> None:
    outcome = doctest.testmod(importlib.import_module(f"bench.metrics.{name}"))
    assert outcome.attempted > 0
    assert outcome.failed == 0


@pytest.mark.parametrize("entry", ordered_metrics(), ids=lambda entry: entry.id)
def test_every_metric_has_a_formula_line_and_an_example(entry: Metric) -> None:
    text = entry.compute.__doc__ or ""
    assert text.partition("\n")[0].strip()
    assert ">>>" in text


def test_a_binary_scoring_gives_the_standard_ids_first() -> None:
    assert list(score_counts(count_masks([[1]], [[1]]), NATIVE)) == BINARY_IDS


def test_a_soft_scoring_gives_only_ids_that_say_so() -> None:
    counts = counts_of([count_image(np.array([[9]], np.uint16), np.array([[0.7]]), scoring=SOFT)])
    assert list(score_counts(counts, SOFT)) == SOFT_IDS


def test_another_distance_or_connectivity_is_another_id() -> None:
    ids = list(score_counts(count_masks([[1]], [[1]]), Scoring("wide", distance=5, connectivity=4)))
    assert ids[:14] == [
        *BINARY_IDS[:11],
        "Pd/centroid-5px-4conn",
        "Fa/unmatched-area-5px-4conn",
        "Fa/components-per-image-5px-4conn",
    ]
    half = Scoring("soft", ground_truth="soft", resolution="network", distance=2.5)
    counts = counts_of([count_image(np.array([[9]], np.uint16), np.array([[0.7]]), scoring=half)])
    assert "legacy:Pd/soft-mask-2.5px" in score_counts(counts, half)


def two_rounds(scoring: Scoring) -> tuple[dict[str, Score], ...]:
    """Scores of a perfect round and an empty one, on one mask of 1 x 8 pixels whose first is a target."""
    truth = np.array([[1, 0, 0, 0, 0, 0, 0, 0]], np.float32 if scoring.ground_truth == "soft" else np.uint8)
    writer = CountsWriter(scoring)
    writer.add("one", [np.array(levels, np.uint16) for levels in ([[65535] + [0] * 7], [[0] * 8])], truth=truth)
    return score_rounds(writer.table(), scoring)


def test_of_several_rounds_those_so_far_are_scored_last_in_order() -> None:
    first, second = two_rounds(NATIVE)
    assert list(first) == list(second) == [*BINARY_IDS, *CUMULATIVE_IDS]
    assert [first[name].value for name in CUMULATIVE_IDS] == [1.0, 1.0, 0.0]
    assert [second[name].value for name in CUMULATIVE_IDS] == [0.5, 0.5, 0.0]
    assert (second["IoU/pooled"].value, second["Pd/centroid-3px"].value) == (0.0, 0.0), "each round by itself"


def test_rounds_so_far_under_other_rules_have_other_ids() -> None:
    assert list(two_rounds(SOFT)[1]) == [*SOFT_IDS, *SOFT_CUMULATIVE_IDS]
    wide = two_rounds(Scoring("wide", distance=5, connectivity=4))[1]
    assert list(wide)[-3:] == [
        "legacy:IoU/cumulative-rounds",
        "legacy:Pd/cumulative-rounds-5px-4conn",
        "legacy:Fa/cumulative-rounds-5px-4conn",
    ]


def test_one_round_has_no_rounds_so_far() -> None:
    writer = CountsWriter(NATIVE)
    writer.add("one", [np.array([[65535]], np.uint16)], truth=np.array([[1]], np.uint8))
    (alone,) = score_rounds(writer.table(), NATIVE)
    assert alone == score_counts(writer.table().round(0), NATIVE)
    assert list(alone) == BINARY_IDS


def test_rounds_so_far_without_images_are_null() -> None:
    writer = CountsWriter(NATIVE)
    writer.rounds = 2
    for scores in score_rounds(writer.table(), NATIVE):
        assert {scores[name].reason for name in CUMULATIVE_IDS} == {"no images in the list"}


def test_every_value_of_a_perfect_prediction() -> None:
    scores = score_counts(count_masks([[1, 0, 1]], [[1, 0, 1]]), NATIVE)
    assert {name: s.value for name, s in scores.items()} == {
        "IoU/pooled": 1.0,
        "nIoU/per-image": 1.0,
        "Precision/pooled": 1.0,
        "Recall/pooled": 1.0,
        "F1/pooled": 1.0,
        "nIoU/images-with-targets": 1.0,
        "Precision/macro": 1.0,
        "Recall/macro": 1.0,
        "F1/macro": 1.0,
        "Fa/background-pixels": 0.0,
        "Fa/images-without-targets": None,
        "Pd/centroid-3px": 1.0,
        "Fa/unmatched-area": 0.0,
        "Fa/components-per-image": 0.0,
        "legacy:F1/macro-pr": 1.0,
        "legacy:PixAcc/recall": 1.0,
        "legacy:Fa/equal-area": 0.0,
        "legacy:Fa/equal-area-over-pixels": 0.0,
    }


def test_scores_know_their_unit_and_direction() -> None:
    scores = score_counts(count_masks([[1]], [[1]]), NATIVE)
    assert (scores["Fa/unmatched-area"].unit, scores["Fa/unmatched-area"].better) == ("fraction", "lower")
    assert (scores["IoU/pooled"].unit, scores["IoU/pooled"].better) == ("fraction", "higher")
    assert scores["Fa/components-per-image"].unit == "components per image"


def test_without_targets_detection_and_recall_are_null_with_the_reason() -> None:
    scores = score_counts(count_masks([[1, 0, 0]], [[0, 0, 0]]), NATIVE)
    assert (scores["Pd/centroid-3px"].value, scores["Pd/centroid-3px"].reason) == (None, "no targets in the list")
    assert (scores["Recall/pooled"].value, scores["Recall/pooled"].reason) == (None, "no target pixel in the list")
    assert scores["legacy:PixAcc/recall"].value is None
    assert scores["IoU/pooled"].value == 0.0
    assert scores["IoU/pooled"].reason == ""
    assert scores["Fa/unmatched-area"].value == pytest.approx(1 / 3, rel=1e-15)


def test_nothing_predicted_leaves_precision_null() -> None:
    scores = score_counts(count_masks([[0, 0]], [[0, 1]]), NATIVE)
    assert (scores["Precision/pooled"].value, scores["Precision/pooled"].reason) == (
        None,
        "no pixel predicted in the list",
    )
    assert scores["F1/pooled"].value == 0.0


def test_zero_over_zero_counts_as_zero_and_says_so() -> None:
    scores = score_counts(count_masks([[0, 0]], [[0, 0]]), NATIVE)
    for name in ("IoU/pooled", "F1/pooled"):
        assert scores[name].value == 0.0
        assert scores[name].reason == "nothing labelled and nothing predicted; 0/0 counts as 0"


def test_an_empty_image_lowers_the_mean_of_images_but_not_the_pooled_value() -> None:
    perfect, empty = np.array([[1, 1]], np.uint8), np.array([[0, 0]], np.uint8)
    images = [count_image(np.where(m > 0, 65535, 0).astype(np.uint16), m, scoring=NATIVE) for m in (perfect, empty)]
    scores = score_counts(counts_of(images), NATIVE)
    assert (scores["nIoU/per-image"].value, scores["IoU/pooled"].value) == (0.5, 1.0)


def test_a_list_without_images_gives_nulls_and_no_crash() -> None:
    for name, value in score_counts(CountsWriter(NATIVE).table().round(0), NATIVE).items():
        assert (value.value, value.reason) == (None, "no images in the list"), name


def test_one_perfect_and_one_missed_image_have_a_macro_f1_of_two_thirds() -> None:
    mask, nothing = np.array([[1, 1]], np.uint8), np.zeros((1, 2), np.uint16)
    images = [count_image(q, mask, scoring=NATIVE) for q in (np.full((1, 2), 65535, np.uint16), nothing)]
    value = score_counts(counts_of(images), NATIVE)["legacy:F1/macro-pr"].value
    assert value == pytest.approx(2 / 3, abs=1e-14)  # the 1e-15 of the smoothing


def _random_counts() -> Counts:
    generator = np.random.default_rng(11)
    masks = [(generator.random((16, 16)) > 0.9).astype(np.uint8) for _ in range(6)]
    return counts_of([count_image(quantise(generator.random(m.shape)), m, scoring=NATIVE) for m in masks])


def test_pooled_f1_follows_from_pooled_iou() -> None:
    scores = score_counts(_random_counts(), NATIVE)
    iou, f1 = scores["IoU/pooled"].value, scores["F1/pooled"].value
    assert iou is not None
    assert f1 == pytest.approx(2 * iou / (1 + iou), rel=1e-14)


def test_the_order_of_the_list_changes_no_score() -> None:
    counts = _random_counts()
    forward, backward = score_counts(counts, NATIVE), score_counts(counts.take(np.arange(len(counts))[::-1]), NATIVE)
    for name, value in forward.items():
        if value.value is None:
            assert backward[name] == value
        else:
            assert backward[name].value == pytest.approx(value.value, rel=1e-15)  # means add up in another order


def test_infos_list_every_metric_with_its_first_line() -> None:
    infos = {info.id: info for info in metric_infos()}
    assert list(infos)[:13] == BINARY_IDS[:13]
    assert set(infos) == {*BINARY_IDS, *SOFT_IDS, *CUMULATIVE_IDS, *SOFT_CUMULATIVE_IDS}
    assert infos["legacy:IoU/cumulative-rounds"].summary.startswith("Pooled IoU of rounds 1 to k")
    assert infos["Pd/centroid-3px"].summary.startswith("Probability of detection: share of the list's targets")
    assert all(info.summary and info.unit for info in infos.values())


def test_a_metric_of_ones_own_stands_beside_ours_and_a_taken_name_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    find_metrics()
    monkeypatch.setattr(METRICS, "_entries", dict(METRICS._entries))

    @metric("MissedTargets/per-image", unit="targets per image", better="lower", undefined="never")
    def missed(counts: Counts) -> Ratio:
        """Targets an image that nothing was matched with."""
        return Ratio.of(counts.targets - counts.matched, 1)

    assert score_counts(count_masks([[0]], [[1]]), NATIVE)["MissedTargets/per-image"].value == 1.0
    with pytest.raises(ValueError, match="two metrics are called 'MissedTargets/per-image'"):
        metric("MissedTargets/per-image", unit="targets per image", better="lower", undefined="never")(missed)


def test_a_metric_that_returns_a_plain_number_is_told_what_to_return(monkeypatch: pytest.MonkeyPatch) -> None:
    find_metrics()
    monkeypatch.setattr(METRICS, "_entries", dict(METRICS._entries))
    metric("Own/plain", unit="fraction", better="higher", undefined="never")(lambda counts: 0.5)  # type: ignore[arg-type,return-value]
    with pytest.raises(TypeError, match=r"metric Own/plain returned float, expected a Statistic; return Ratio\.of"):
        score_counts(count_masks([[0]], [[1]]), NATIVE)


@pytest.mark.parametrize(
    ("facts", "said"),
    [
        ({"better": "up"}, "better is 'up', expected higher or lower"),
        ({"table": "count"}, "table is 'count', expected counts or curves or errors or contrast"),
        ({"scale": "percent"}, "scale is 'percent', expected a power of ten as '1e-3'"),
    ],
)
def test_facts_that_no_table_could_print_are_refused(facts: dict[str, str], said: str) -> None:
    with pytest.raises(ValueError, match=f"metric Own/bad: {said}"):
        metric("Own/bad", **{"unit": "fraction", "better": "higher", **facts})(lambda counts: Ratio.of([1], 1))  # type: ignore[arg-type]
    assert "Own/bad" not in METRICS


def images(*pairs: tuple[list[list[int]], list[list[int]]]) -> Counts:
    """The counts of images, each given as what is predicted and its mask."""
    return join_counts([count_masks(predicted, mask) for predicted, mask in pairs])


PERFECT, MISSED, ALARMED, SILENT = (
    ([[1, 0]], [[1, 0]]),
    ([[0, 0]], [[1, 0]]),
    ([[1, 1]], [[0, 0]]),
    ([[0, 0]], [[0, 0]]),
)


def test_means_over_images_leave_out_the_images_where_they_are_undefined() -> None:
    scores = score_counts(images(PERFECT, MISSED, ALARMED, SILENT), NATIVE)
    values = {name: scores[name].value for name in BINARY_IDS if "macro" in name or "images-with" in name}
    assert {name: value for name, value in values.items() if not name.startswith("legacy")} == {
        "nIoU/images-with-targets": 0.5,  # perfect 1, missed 0
        "Precision/macro": 0.5,  # perfect 1, alarmed 0
        "Recall/macro": 0.5,  # perfect 1, missed 0
        "F1/macro": 1 / 3,  # perfect 1, missed 0, alarmed 0
        "Fa/images-without-targets": 0.5,  # alarmed, silent
    }
    assert scores["nIoU/per-image"].value == 0.25


def test_means_over_no_image_are_null_with_the_reason() -> None:
    silent, found = score_counts(images(SILENT), NATIVE), score_counts(images(PERFECT), NATIVE)
    assert (silent["Precision/macro"].value, silent["Precision/macro"].reason) == (
        None,
        "no image in which a pixel is predicted",
    )
    for name in ("Recall/macro", "nIoU/images-with-targets"):
        assert (silent[name].value, silent[name].reason) == (None, "no image with a target")
    assert silent["F1/macro"].reason == "no image with a target or a predicted pixel"
    assert silent["Fa/images-without-targets"].value == 0.0
    assert (found["Fa/images-without-targets"].value, found["Fa/images-without-targets"].reason) == (
        None,
        "every image holds a target",
    )


def test_false_pixels_are_a_share_of_the_background_halos_of_found_targets_among_them() -> None:
    """Of seven background pixels one is beside the target that is found, one far away."""
    scores = score_counts(images(([[1, 1, 0, 0, 0, 0, 0, 1]], [[1, 0, 0, 0, 0, 0, 0, 0]])), NATIVE)
    assert scores["Fa/background-pixels"].value == 2 / 7
    assert scores["Fa/unmatched-area"].value == 1 / 8
    covered = score_counts(images(([[1, 1]], [[1, 1]])), NATIVE)["Fa/background-pixels"]
    assert (covered.value, covered.reason) == (None, "no background pixels in the list")


def test_false_alarms_of_equal_area_are_lost_over_all_pixels_as_over_256_by_256() -> None:
    prediction, mask = [[1, 0, 0, 0, 1, 0, 1, 1]], [[1, 0, 0, 0, 0, 0, 0, 0]]
    scores = score_counts(images((prediction, mask)), NATIVE)
    assert scores["Fa/unmatched-area"].value == 3 / 8
    assert scores["legacy:Fa/equal-area-over-pixels"].value == 2 / 8
    assert scores["legacy:Fa/equal-area"].value == 2 / 65536


def test_an_unknown_metric_is_answered_with_its_neighbours() -> None:
    with pytest.raises(LookupError, match="did you mean IoU/pooled"):
        find_metrics().get("iou/poled")
