"""Statistics: values from sums over images, for all images and for any weights of them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest

from bench.metrics.contrast import ContrastWriter
from bench.metrics.counting.counts import Counts, count_image, counts_of
from bench.metrics.counting.levels import quantise
from bench.metrics.curves import CurveCounts
from bench.metrics.errors import ErrorsWriter
from bench.metrics.registry import Metric, TableName, find_metrics, ordered_metrics
from bench.metrics.statistic import HarmonicMean, MemberMean, Ratio, Statistic, mean_over_images
from bench.types import Scoring


def random_counts(images: int, *, ground_truth: str) -> Counts:
    """Counts of random predictions against random masks, two of them without a target and one without a prediction."""
    generator = np.random.default_rng(5)
    soft = Scoring("soft", ground_truth="soft", resolution="network")
    found = []
    for number in range(images):
        binary = generator.random((12, 12)) > (1 if number < 2 else 0.9)
        prob = generator.random(binary.shape) * (0.4 if number == 2 else 0.6)
        if ground_truth == "soft":
            mask = np.where(binary, 1.0, 0.3 * generator.random(binary.shape))
            found.append(count_image(quantise(prob), mask, scoring=soft))
        else:
            found.append(count_image(quantise(prob), binary.astype(np.uint8), scoring=Scoring("native")))
    return counts_of(found)


@pytest.mark.parametrize("entry", ordered_metrics(), ids=lambda entry: entry.id)
def test_the_value_under_weights_is_that_of_a_list_in_which_images_come_so_often(entry: Metric) -> None:
    counts = random_counts(7, ground_truth=entry.ground_truth)
    drawn = np.random.default_rng(1).integers(0, 7, size=(20, 7))
    drawn[0] = 0  # seven times an image without a target
    weights = np.stack([np.bincount(row, minlength=7) for row in drawn])
    found = entry.statistic(counts).weighted(weights)
    for row, value in zip(drawn, found.tolist(), strict=True):
        expected = entry.statistic(counts.take(row)).value()
        assert np.isnan(value) if expected is None else value == pytest.approx(expected, rel=1e-13)  # order of adding


@pytest.mark.parametrize("table", ["errors", "contrast"])
def test_errors_and_contrast_under_weights_are_those_of_a_list_in_which_images_come_so_often(table: TableName) -> None:
    generator = np.random.default_rng(7)
    masks = [(generator.random((24, 24)) > 0.98).astype(np.uint8) for _ in range(5)] + [np.zeros((24, 24), np.uint8)]
    maps = [quantise((0.4 + 0.6 * (mask > 0)) * generator.random(mask.shape)) for mask in masks]
    greys = [generator.integers(0, 256, mask.shape, dtype=np.uint8) for mask in masks]

    def listed(images: Sequence[int]) -> object:
        errors, contrast = ErrorsWriter(Scoring("native")), ContrastWriter(Scoring("native"))
        for image in images:
            errors.add("", maps[image], truth=masks[image])
            contrast.add("", maps[image], truth=masks[image], grey=greys[image])
        return errors.table() if table == "errors" else contrast.table()

    drawn = np.random.default_rng(1).integers(0, 6, size=(10, 6))
    drawn[0] = 5  # six times the image without a target
    weights = np.stack([np.bincount(row, minlength=6) for row in drawn])
    entries = [entry for entry in ordered_metrics(table) if isinstance(entry.evaluate(listed(range(6))), Statistic)]
    assert len(entries) == {"errors": 10, "contrast": 2}[table], "medians alone have no terms of images"
    for entry in entries:
        found = entry.statistic(listed(range(6))).weighted(weights)
        for row, value in zip(drawn, found.tolist(), strict=True):
            expected = entry.score(listed(row.tolist())).value
            assert (
                np.isnan(value) if expected is None else value == pytest.approx(expected, rel=1e-13)
            )  # order of adding


@pytest.mark.parametrize("name", ["AP/pixels", "SCRG/local-20px-median"])
def test_a_value_alone_has_no_statistic(name: str) -> None:
    entry = find_metrics().get(name)
    table = CurveCounts(Scoring("native")) if entry.table == "curves" else ContrastWriter(Scoring("native")).table()
    assert entry.score(table).reason
    with pytest.raises(TypeError, match=f"metric {name} has a value alone, expected a Statistic for an interval"):
        entry.statistic(table)


def test_a_mean_over_members_is_numpys_to_the_last_bit() -> None:
    generator = np.random.default_rng(3)
    values, owner = generator.random(1000), np.sort(generator.integers(0, 50, 1000))
    mean = MemberMean.of(values, owner=owner, whole=np.bincount(owner, minlength=50))
    assert mean.value() == float(np.mean(values))
    assert MemberMean.of([], owner=[], whole=[0, 0]).value() is None


def test_a_ratio_of_integers_is_exact_where_floats_would_be_rounded_twice() -> None:
    assert Ratio.of([2**52, 1], [3, 0]).value() == (2**52 + 1) / 3


def test_a_mean_over_images_is_numpys_to_the_last_bit() -> None:
    generator = np.random.default_rng(3)
    part, whole = generator.integers(0, 50, 1000), generator.integers(50, 99, 1000)
    assert mean_over_images(part, whole).value() == float(np.mean(part / whole))


def test_a_ratio_without_whole_is_undefined_and_not_zero() -> None:
    assert Ratio.of([0, 0], [0, 0]).value() is None
    assert np.isnan(Ratio.of([1, 0], [0, 1]).weighted([[3, 0]])).tolist() == [True]


def test_a_harmonic_mean_is_undefined_where_either_is_or_both_are_zero() -> None:
    half, none, nothing = Ratio.of([1], [2]), Ratio.of([0], [2]), Ratio.of([0], [0])
    assert HarmonicMean(half, half).value() == 0.5
    assert HarmonicMean(half, none).value() == 0.0
    assert HarmonicMean(none, none).value() is None
    assert HarmonicMean(half, nothing).value() is None


def test_terms_of_different_lengths_are_refused_in_one_line() -> None:
    with pytest.raises(
        ValueError, match=r"ratio: part has shape \(2,\) and whole \(3,\), expected \(images,\) for both"
    ):
        Ratio.of([1, 2], [1, 2, 3])


def test_a_statistic_of_ones_own_has_value_and_weights_from_terms_and_formula() -> None:
    class Product(Statistic):
        """The product of two sums."""

        @property
        def terms(self) -> np.ndarray:
            return np.array([[1.0, 2.0], [3.0, 4.0]])

        @staticmethod
        def of_sums(sums: np.ndarray) -> np.ndarray:
            return sums[0] * sums[1]

    assert Product().value() == 21.0
    assert Product().weighted([[2, 0]]).tolist() == [12.0]
    assert len(Product()) == 2
