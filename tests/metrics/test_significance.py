"""Intervals and tests: exact small cases, agreement with scipy, coverage, and inputs that tell nothing."""

from __future__ import annotations

import doctest
import itertools
from collections.abc import Sequence
from types import SimpleNamespace

import numpy as np
import pytest
from scipy import stats

from bench.errors import RequestError
from bench.metrics import significance
from bench.metrics.counting.counts import Counts, CountsWriter, CountTable, count_masks, join_counts
from bench.metrics.registry import Metric, find_metrics, ordered_metrics
from bench.metrics.significance import (
    Bootstrap,
    Interval,
    Permuted,
    bootstrap,
    holm,
    pair_images,
    permutation_tests,
    wilson,
)
from bench.metrics.statistic import Ratio
from bench.types import Scoring


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def one_bootstrap(*seeds: Ratio, resamples: int = 2000) -> Bootstrap:
    """The bootstrap of a single group."""
    (found,) = bootstrap([seeds], generator=rng(), resamples=resamples)
    return found


def test_the_examples_in_the_docstrings_hold() -> None:
    outcome = doctest.testmod(significance)
    assert outcome.attempted > 3
    assert outcome.failed == 0


def test_sums_are_exact_in_either_precision_and_of_each_different_term_once() -> None:
    whole, large, broken = rng(1).integers(0, 9, 30), rng(2).integers(2**40, 2**41, 30), rng(3).random(30)
    weights = np.array([np.bincount(rng(k).integers(0, 30, 30), minlength=30) for k in range(7)], float)
    parts = [np.array([whole, large], float), np.array([whole, broken])]
    terms = significance._DistinctTerms(parts)
    assert terms.places == [[0, 1], [0, 2]]
    found = terms.sums(weights)
    assert found[0].tolist() == [sum(w * int(t) for w, t in zip(row, whole, strict=True)) for row in weights]
    assert found[1].tolist() == [sum(w * int(t) for w, t in zip(row, large, strict=True)) for row in weights]
    assert found[2] == pytest.approx(weights @ broken, rel=1e-14)


def test_draws_are_those_of_all_resamples_of_three_images_in_their_exact_shares() -> None:
    part, whole = [0, 1, 5], [1, 2, 5]
    exact: dict[float, float] = {}
    for chosen in itertools.product(range(3), repeat=3):
        value = sum(part[i] for i in chosen) / sum(whole[i] for i in chosen)
        exact[value] = exact.get(value, 0) + 1 / 27
    draws = one_bootstrap(Ratio.of(part, whole), resamples=40_000).draws
    assert set(np.unique(draws)) == set(exact)
    for value, share in exact.items():
        assert abs(float(np.mean(draws == value)) - share) < 0.0125  # five standard errors of at most 0.0025


def test_resamples_are_the_same_whatever_else_is_drawn_with_them() -> None:
    own, other = Ratio.of(rng(1).random(30), 1), Ratio.of(rng(2).random(30), 1)
    alone = bootstrap([[own]], generator=rng(), resamples=50)[0]
    beside = bootstrap([[other, own], [own]], generator=rng(), resamples=50)[1]
    assert alone.draws.tolist() == beside.draws.tolist()


def test_the_same_images_are_drawn_for_all_methods() -> None:
    values = rng(1).random(30)
    one, other = bootstrap([[Ratio.of(values, 1)], [Ratio.of(values + 0.1, 1)]], generator=rng(), resamples=100)
    assert np.allclose(other.minus(one).draws, 0.1, rtol=0, atol=1e-12)  # rounding of sums


@pytest.mark.parametrize("level", [0.9, 0.95])
@pytest.mark.parametrize("size", [12, 80])
def test_bca_limits_of_a_mean_are_scipys_for_the_same_draws(size: int, level: float) -> None:
    data = rng(size).lognormal(size=size)
    found = one_bootstrap(Ratio.of(data, 1))
    expected = stats.bootstrap(
        (data,),
        np.mean,
        n_resamples=0,
        bootstrap_result=SimpleNamespace(bootstrap_distribution=found.draws),
        confidence_level=level,
        method="BCa",
    ).confidence_interval
    interval = found.interval(level)
    assert (interval.low, interval.high) == pytest.approx((expected.low, expected.high), rel=1e-9)


def test_bca_limits_of_a_ratio_are_scipys_for_the_same_draws() -> None:
    part, whole = rng(1).integers(0, 40, 50).astype(float), rng(2).integers(40, 90, 50).astype(float)
    found = one_bootstrap(Ratio.of(part, whole))
    expected = stats.bootstrap(
        (part, whole),
        lambda p, w: p.sum() / w.sum(),
        paired=True,
        vectorized=False,
        n_resamples=0,
        bootstrap_result=SimpleNamespace(bootstrap_distribution=found.draws),
        method="BCa",
    ).confidence_interval
    assert (found.interval().low, found.interval().high) == pytest.approx((expected.low, expected.high), rel=1e-9)


def test_our_draws_and_scipys_give_the_same_limits_but_for_chance() -> None:
    data = rng(4).lognormal(size=100)
    found = one_bootstrap(Ratio.of(data, 1), resamples=20_000).interval()
    expected = stats.bootstrap((data,), np.mean, n_resamples=20_000, method="BCa", rng=rng(9)).confidence_interval
    error = float(data.std() / 10)
    assert found.low == pytest.approx(expected.low, abs=0.06 * error)  # about three standard errors of a 2.5 % quantile
    assert found.high == pytest.approx(expected.high, abs=0.06 * error)


def test_images_and_seeds_are_two_samples_as_in_scipys_bca() -> None:
    """Values that are a part of the image plus a part of the seed: their mean is the sum of two means."""
    of_image, of_seed = rng(1).lognormal(size=25), rng(2).lognormal(size=6)
    found = one_bootstrap(*(Ratio.of(of_image + own, 1) for own in of_seed))
    expected = stats.bootstrap(
        (of_image, of_seed),
        lambda x, y: x.mean() + y.mean(),
        vectorized=False,
        n_resamples=0,
        bootstrap_result=SimpleNamespace(bootstrap_distribution=found.draws),
        method="BCa",
    ).confidence_interval
    assert (found.interval().low, found.interval().high) == pytest.approx((expected.low, expected.high), rel=1e-9)
    variance = of_image.var() / 25 + of_seed.var() / 6
    assert found.deviation == pytest.approx(float(np.sqrt(variance)), rel=0.06)  # 2,000 resamples: 1.6 % a deviation


def test_a_difference_with_several_seeds_has_images_and_both_methods_seeds_as_samples() -> None:
    values = rng(1).random((5, 40))
    one, other = bootstrap(
        [[Ratio.of(v, 1) for v in values[:2]], [Ratio.of(v, 1) for v in values[2:]]], generator=rng(), resamples=300
    )
    difference = one.minus(other)
    assert [len(sample) for sample in difference.left_out] == [40, 2, 3]
    assert difference.value == pytest.approx(values[:2].mean() - values[2:].mean(), rel=1e-12)
    assert other.minus(one).interval().low == pytest.approx(-(difference.interval().high or 0), abs=0.02)


def test_seeds_that_are_shared_are_drawn_together_and_their_own_level_leaves_a_difference() -> None:
    """Two rounds of the same five trainings: the second is better by 0.1 in each, however good the training is."""
    levels, of_image = 0.2 * rng(1).random((5, 1)), rng(2).random((1, 40)) / 10
    rounds = [[Ratio.of(row, 1) for row in levels + of_image * (1 + number) + 0.1 * number] for number in (0, 1)]
    shared, apart = (
        late.minus(early).interval()
        for share in (True, False)
        for early, late in [bootstrap(rounds, generator=rng(), resamples=2000, share_seeds=share)]
    )
    assert shared.value == apart.value == pytest.approx(0.1 + of_image.mean(), rel=1e-12)
    images = one_bootstrap(Ratio.of(of_image[0] + 0.1, 1)).interval()
    assert (shared.low, shared.high) == pytest.approx((images.low, images.high), rel=1e-9), "images alone are left"
    assert (apart.high or 0) - (apart.low or 0) > 3 * ((shared.high or 0) - (shared.low or 0))
    with pytest.raises(RequestError, match=r"\[2, 3\] seeds in groups of the same trainings"):
        bootstrap([rounds[0][:2], rounds[1][:3]], generator=rng(), share_seeds=True)


def swapped_everywhere(one: Counts, other: Counts, metric: str) -> float:
    """The exact p-value by going through every choice of swapped images, lists made anew each time."""
    compute = find_metrics().get(metric).statistic
    both, n = join_counts([one, other]), len(one)

    def difference(swaps: Sequence[int]) -> float:
        first = [i + n * s for i, s in enumerate(swaps)]
        second = [i + n * (1 - s) for i, s in enumerate(swaps)]
        return (compute(both.take(first)).value() or 0) - (compute(both.take(second)).value() or 0)

    seen = abs(difference([0] * n))
    every = [abs(difference(swaps)) for swaps in itertools.product((0, 1), repeat=n)]
    return float(np.mean([value >= seen - 1e-12 for value in every]))


def made_up(images: int, seed: int) -> tuple[Counts, Counts]:
    """The counts of two methods on the same images."""
    generator = rng(seed)
    masks = [(generator.random((9, 9)) > 0.9).astype(int) for _ in range(images)]
    return tuple(  # type: ignore[return-value]
        join_counts([count_masks(np.where(generator.random((9, 9)) > flaw, m, 1 - m), m) for m in masks])
        for flaw in (0.05, 0.12)
    )


@pytest.mark.parametrize(
    "metric", ["IoU/pooled", "nIoU/per-image", "Pd/centroid-3px", "Fa/unmatched-area", "legacy:F1/macro-pr"]
)
def test_few_images_are_permuted_exactly(metric: str) -> None:
    one, other = made_up(7, seed=3)
    compute = find_metrics().get(metric).statistic
    (found,) = permutation_tests([([compute(one)], [compute(other)])], generator=rng())
    assert (found.flips, found.is_exact) == (128, True)
    assert found.p == swapped_everywhere(one, other, metric)


def test_a_mean_over_images_is_permuted_as_scipy_does() -> None:
    one, other = rng(1).random(12), rng(2).random(12) + 0.15
    (found,) = permutation_tests([([Ratio.of(one, 1)], [Ratio.of(other, 1)])], generator=rng())
    expected = stats.permutation_test(
        (one, other), lambda a, b: a.mean() - b.mean(), permutation_type="samples", vectorized=False, n_resamples=np.inf
    )
    assert found.is_exact
    assert found.difference == pytest.approx(float(expected.statistic), rel=1e-12)
    assert found.p == float(expected.pvalue)


def test_many_images_are_permuted_at_random_with_one_added_above_and_below() -> None:
    one, other = rng(1).random(200), rng(2).random(200) + 0.05
    pair = ([Ratio.of(one, 1)], [Ratio.of(other, 1)])
    (found,) = permutation_tests([pair], generator=rng(), flips=9999)
    expected = stats.permutation_test(
        (one, other), lambda a, b, axis: (a - b).mean(axis), permutation_type="samples", n_resamples=9999, rng=rng(5)
    )
    assert not found.is_exact
    assert found.p == pytest.approx(float(expected.pvalue), abs=0.02)  # p is near 0.1: five standard errors of 0.004
    (far,) = permutation_tests([([Ratio.of(one + 9, 1)], [Ratio.of(other, 1)])], generator=rng(), flips=9999)
    assert far.p == 1 / 10_000


def test_all_pairs_are_permuted_by_the_same_flips() -> None:
    values = rng(1).random((3, 40))
    first, second, third = ([Ratio.of(v, 1)] for v in values)
    together = permutation_tests([(first, second), (first, third)], generator=rng(), flips=500)
    assert together[1] == permutation_tests([(first, third)], generator=rng(), flips=500)[0]


def test_identical_methods_have_p_one_and_no_interval() -> None:
    own = Ratio.of(rng(1).random(40), 1)
    (found,) = permutation_tests([([own], [own])], generator=rng(), flips=100)
    assert (found.difference, found.p) == (0.0, 1.0)
    one, other = bootstrap([[own], [own]], generator=rng(), resamples=100)
    assert one.minus(other).interval() == Interval(0.0, reason="the same in every resample")
    assert one.minus(other).smallest_detectable() is None


def test_all_zero_has_its_value_and_no_interval() -> None:
    nothing = Ratio.of(np.zeros(20), 100)
    assert one_bootstrap(nothing).interval() == Interval(0.0, reason="the same in every resample")
    assert permutation_tests([([nothing], [nothing])], generator=rng())[0].p == 1.0


def test_one_image_or_none_is_told_so() -> None:
    assert one_bootstrap(Ratio.of([1], [2])).interval() == Interval(0.5, reason="one image: nothing to resample")
    assert one_bootstrap(Ratio.of([], [])).interval() == Interval(None, reason="no images")
    one, other = Ratio.of([1], [2]), Ratio.of([2], [2])
    assert permutation_tests([([one], [other])], generator=rng()) == [Permuted(-0.5, 1.0, 2, True)]
    empty = Ratio.of([], [])
    assert permutation_tests([([empty], [empty])], generator=rng())[0].reason == "undefined over the list"


def test_without_targets_detection_is_null_with_the_reason() -> None:
    nothing = Ratio.of(np.zeros(9), np.zeros(9))
    assert one_bootstrap(nothing).interval() == Interval(None, reason="undefined over the list")
    assert permutation_tests([([nothing], [nothing])], generator=rng())[0] == Permuted(
        None, None, 512, True, "undefined over the list"
    )


def test_a_value_that_rests_on_one_image_has_no_interval() -> None:
    found = one_bootstrap(Ratio.of([1, 0, 0, 0], [2, 0, 0, 0]), resamples=10_000)
    assert found.interval().value == 0.5
    assert found.interval().reason.startswith("undefined in 3")  # (3/4)^4 = 31.6 %


def test_exactly_as_many_undefined_resamples_as_may_be_leave_an_interval() -> None:
    draws = np.linspace(0.4, 0.6, 100)
    draws[:5] = np.nan
    assert significance.Bootstrap(0.5, draws, (np.linspace(0.4, 0.6, 9),)).reason == ""
    draws[5] = np.nan
    assert significance.Bootstrap(0.5, draws, (np.linspace(0.4, 0.6, 9),)).reason == "undefined in 6% of the resamples"


def test_resamples_that_leave_it_undefined_are_left_out_where_they_are_few() -> None:
    whole = np.array([1.0] * 4 + [0.0] * 3)
    found = one_bootstrap(Ratio.of([1, 0, 1, 0, 0, 0, 0], whole), resamples=5000)
    share = float(np.isnan(found.draws).mean())
    assert 0 < share < 0.05  # (3/7)^7 = 0.27 %
    interval = found.interval()
    assert interval.low == 0.0
    assert interval.high == 1.0


@pytest.mark.parametrize("entry", ordered_metrics(), ids=lambda entry: entry.id)
@pytest.mark.parametrize("predicted", [0, 1])
@pytest.mark.parametrize("targets", [0, 1])
def test_no_metric_gives_nan_on_lists_that_tell_nothing(entry: Metric, predicted: int, targets: int):
    counts = join_counts([count_masks([[predicted, 0]], [[targets, 0]])] * 3)
    statistic = entry.statistic(counts)
    one, other = bootstrap([[statistic], [statistic, statistic]], generator=rng(), resamples=20)
    for found in (one, other, one.minus(other)):
        interval = found.interval()
        assert interval.reason
        assert (interval.low, interval.high) == (None, None)
        assert interval.value is None or np.isfinite(interval.value)
    (test,) = permutation_tests([([statistic], [statistic])], generator=rng())
    assert test.p == 1.0 or test.reason


def coverage(make: object, truth: float, *, trials: int) -> float:
    """Share of made-up lists whose 95 % interval holds the truth."""
    inside = 0
    for trial in range(trials):
        (found,) = bootstrap([make(rng(trial))], generator=rng(10_000 + trial), resamples=1000)  # type: ignore[operator]
        interval = found.interval()
        inside += interval.low <= truth <= interval.high  # type: ignore[operator]
    return inside / trials


def test_intervals_of_a_pooled_ratio_hold_the_truth_about_as_often_as_they_say() -> None:
    """Targets of very different sizes, of each of which a varying part is found: E part / E whole = 0.6."""

    def make(generator: np.random.Generator) -> list[Ratio]:
        whole = np.ceil(generator.lognormal(2.5, 0.8, 120))
        return [Ratio.of(generator.binomial(whole.astype(int), generator.beta(6, 4, 120)), whole)]

    assert (
        0.92 <= coverage(make, 0.6, trials=500) <= 0.98
    )  # one standard error is 0.01; theory falls short by about 0.01


def test_seeds_that_differ_widen_an_interval_and_images_alone_would_not_hold_the_truth() -> None:
    """Five seeds whose own level varies by 0.05 around 0.7; the level of a method is what new seeds would have."""

    def several(generator: np.random.Generator) -> list[Ratio]:
        levels = 0.7 + 0.05 * generator.normal(size=5)
        return [Ratio.of(level + 0.1 * generator.normal(size=200), 1) for level in levels]

    def first_alone(generator: np.random.Generator) -> list[Ratio]:
        return several(generator)[:1]

    assert coverage(several, 0.7, trials=200) > 0.8  # five seeds are few: the bootstrap of 5 falls short of 0.95
    assert coverage(first_alone, 0.7, trials=200) < 0.4


def test_methods_that_are_alike_are_called_different_one_time_in_twenty() -> None:
    wrong = 0
    for trial in range(400):
        generator = rng(trial)
        whole = generator.integers(5, 60, 80)
        pair = [[Ratio.of(generator.binomial(whole, generator.beta(6, 4, 80)), whole)] for _ in range(2)]
        (found,) = permutation_tests([(pair[0], pair[1])], generator=generator, flips=399)
        wrong += (found.p or 0.0) <= 0.05
    assert 0.02 <= wrong / 400 <= 0.085  # three standard errors of 0.011 around 0.05


def test_a_difference_of_the_smallest_detectable_size_is_found_four_times_in_five() -> None:
    generator = rng(1)
    noise = [generator.normal(size=100) for _ in range(400)]
    first = bootstrap([[Ratio.of(noise[0], 1)], [Ratio.of(np.zeros(100), 1)]], generator=rng(), resamples=4000)
    size = first[0].minus(first[1]).smallest_detectable()
    assert size == pytest.approx(2.8016 * float(noise[0].std()) / 10, rel=0.04)
    true_size, found = 2.8016 / 10, 0
    for sample in noise:
        pair = ([Ratio.of(sample + true_size, 1)], [Ratio.of(np.zeros(100), 1)])
        found += (permutation_tests([pair], generator=generator, flips=399)[0].p or 1.0) <= 0.05
    assert found / 400 == pytest.approx(0.8, abs=0.06)  # three standard errors


def test_holm_corrects_the_textbook_example() -> None:
    """p 0.01, 0.04, 0.03, 0.005 times 4, 3, 2, 1 from the smallest: 0.02, 0.03, 0.06, and 0.04 raised to 0.06."""
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02], rel=1e-12)


def test_holm_leaves_out_what_has_no_p_and_stops_at_one() -> None:
    assert holm([None, 0.6, 0.7]) == [None, 1.0, 1.0]
    assert holm([0.02, None]) == [0.02, None]
    assert holm([]) == []
    with pytest.raises(ValueError, match=r"p-value is 1.5, expected a number in \[0, 1\]"):
        holm([1.5])


def test_wilson_is_scipys_interval() -> None:
    for found, among in ((0, 7), (7, 7), (3, 10), (200, 201)):
        expected = stats.binomtest(found, among).proportion_ci(method="wilson")
        interval = wilson(found, among)
        assert (interval.low, interval.high) == pytest.approx((expected.low, expected.high), abs=1e-12)


def test_wilson_of_nothing_is_null_and_of_too_many_is_refused() -> None:
    assert wilson(0, 0) == Interval(None, reason="none in the list")
    with pytest.raises(ValueError, match="found is 3 among 2, expected 0 to 2"):
        wilson(3, 2)


def table_of(names: Sequence[str]) -> CountTable:
    """A table in which image `a3` has three target pixels, all found."""
    writer = CountsWriter(Scoring("native"))
    for name in names:
        mask = np.zeros((1, 8), np.uint8)
        mask[0, : int(name[1:])] = 1
        writer.add(name, [np.where(mask > 0, 65535, 0).astype(np.uint16)], truth=mask)
    return writer.table()


def test_images_are_paired_by_name_in_the_order_of_the_first() -> None:
    one, other = pair_images([table_of(["a3", "a1", "a2"]), table_of(["a2", "a4", "a3"])])
    assert one.actual.tolist() == other.actual.tolist() == [3, 2]


def test_lists_that_share_nothing_or_name_an_image_twice_are_refused() -> None:
    with pytest.raises(ValueError, match="counts: 2 tables share no image, expected the same test list"):
        pair_images([table_of(["a1"]), table_of(["a2"])])
    with pytest.raises(ValueError, match="image 'a1' comes twice, expected every name once"):
        pair_images([table_of(["a1", "a1"])])


def test_statistics_of_different_lists_are_refused() -> None:
    short, long = Ratio.of([1, 2], 3), Ratio.of([1, 2, 3], 3)
    with pytest.raises(ValueError, match="lists of 2 and 3 images, expected one list; pair them first"):
        bootstrap([[short], [long]], generator=rng())
    with pytest.raises(ValueError, match="lists of 2 and 3 images"):
        permutation_tests([([short], [long])], generator=rng())
    with pytest.raises(ValueError, match="expected the same; draw both in one call"):
        one_bootstrap(short).minus(one_bootstrap(long))
    with pytest.raises(ValueError, match=r"\[1, 0\] seeds in the groups, expected at least one"):
        bootstrap([[short], []], generator=rng())


def test_requests_that_make_no_sense_are_refused() -> None:
    own = Ratio.of([1, 2], 3)
    with pytest.raises(ValueError, match="resamples is 0, expected at least 1"):
        bootstrap([[own]], generator=rng(), resamples=0)
    with pytest.raises(ValueError, match="flips is 0, expected at least 1"):
        permutation_tests([([own], [own])], generator=rng(), flips=0)
    with pytest.raises(ValueError, match="level is 95, expected a share between 0 and 1"):
        one_bootstrap(own).interval(95)
