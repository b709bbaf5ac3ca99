"""The gate: compare what a suite gives with a stored reference, so that lost accuracy, speed or cost is noticed.

A score fails when it is worse than the reference by more than its margin and a paired test over images says that the
loss is no chance. Parameters and multiply-accumulates have to be equal, the time may grow by a share of its ratio to
the stored plain form, and images and rules of scoring have to be those of the reference. What is missing fails.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields, replace
from typing import Literal

import numpy as np

from bench.errors import RequestError
from bench.metrics.counting.counts import TRUTH_FIELDS, Counts
from bench.metrics.registry import Metric, find_metrics
from bench.metrics.significance import holm, pair_images, permutation_tests
from bench.metrics.statistic import Statistic
from bench.run.gate_reference import Expected, Measured, MeasuredRow, Reference, StoredRow, unpack_counts
from bench.types import Score, Scoring

ALPHA = 0.05
"""Chance of any false alarm among all scores of a gate, were the two networks alike."""

SAME = 1e-9
"""Difference, as a part of the value, between a stored score and that of the stored counts: a rounding of sums."""

IMAGES, SCORING, PARAMETERS, MACS, TIME = "images", "scoring", "parameters", "MACs", "time"
"""Checks beside those of metrics."""

Outcome = Literal["kept", "improved", "chance", "worse", "null", "missing", "changed", "slower", "skipped"]
PASSING = ("kept", "improved", "chance", "skipped")

WORDS: Mapping[str, str] = {
    "improved": "improved, update the reference",
    "chance": "within chance",
    "worse": "",
    "slower": "slower",
    "changed": "changed; if on purpose, update the reference",
}


@dataclass(frozen=True)
class GateCheck:
    """One metric of one row, or another of its checks, measured and expected.

    Attributes:
        metric: metric id, or `images`, `scoring`, `parameters`, `MACs`, `time`.
        value: the measured one, or None where it is null or missing.
        margin: by which it may be worse, in the same unit.
        verdict: `kept` inside the margin; outside it `improved`, `worse`, or `chance` where the test over images does
            not tell it from chance; `slower`; `changed` where nothing may differ; `null` without a value, `missing`
            without a score; `skipped` where it cannot be compared here.
        reason: why there is no value, or what changed.
        p: of a paired permutation test over images, corrected for the number of scores; None without a test.
    """

    row: str
    metric: str
    value: float | None
    reference: float | None
    margin: float
    verdict: Outcome
    reason: str = ""
    p: float | None = None

    @property
    def moved(self) -> float | None:
        """Measured less reference, in the metric's unit."""
        return None if self.value is None or self.reference is None else self.value - self.reference

    @property
    def passes(self) -> bool:
        """True if the check passes the gate."""
        return self.verdict in PASSING

    def sentence(self) -> str:
        """The outcome in one line."""
        where = f"{self.row}: {self.metric}"
        if self.reference is None or self.verdict == "skipped":
            return f"{where} {self.reason or 'as in the reference'}"
        expected = f"the reference {self.reference:.6g}"
        expected += f" (margin {self.margin:.6g})" if self.metric not in (PARAMETERS, MACS) else ""
        if self.verdict == "missing":
            return f"{where} is missing, expected {expected}; {self.reason}"
        if self.value is None:
            return f"{where} has no value ({self.reason}), expected {expected}"
        digits = ".12g" if self.metric in (PARAMETERS, MACS) else ".6g"
        distance = f"{where} is {self.value:{digits}}, {self.moved:+{digits}} from {expected}"
        tested = f", p = {self.p:.2g}" if self.p is not None and self.verdict in ("worse", "chance") else ""
        word = WORDS.get(self.verdict, "")
        return f"{distance}{tested}; {word}" if word else f"{distance}{tested}"


@dataclass(frozen=True)
class GateReport:
    """Every check of a gate, in the reference's order.

    Attributes:
        unknown_rows: measured rows that the reference does not have; they are not checked.
        notes: sentences on what a reader should know beside the checks.
    """

    suite: str
    checks: tuple[GateCheck, ...]
    unknown_rows: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def passed(self) -> bool:
        """True if there was something to compare and no check failed."""
        return bool(self.checks) and all(check.passes for check in self.checks)

    @property
    def failures(self) -> tuple[GateCheck, ...]:
        """The checks that fail the gate."""
        return tuple(check for check in self.checks if not check.passes)


def checks_of(stored: StoredRow) -> tuple[str, ...]:
    """The names of a row's checks, in order."""
    return (
        *((IMAGES,) if stored.images_digest or stored.counts else ()),
        *((SCORING,) if stored.scoring is not None else ()),
        *stored.metrics,
        *((PARAMETERS, MACS) if stored.cost is not None else ()),
        *((TIME,) if stored.time is not None else ()),
    )


def compare_with_reference(measured: Measured, reference: Reference) -> GateReport:
    """The verdict on every check of the reference.

    Raises:
        RequestError: when a check could not fail on the images at hand, or a stored value is not that of its counts.
    """
    refuse_powerless(reference, measured=measured)
    found = [check for row, stored in reference.rows.items() for check in _row_checks(row, stored, measured)]
    corrected = holm([check.p for check in found])
    return GateReport(
        suite=reference.suite,
        checks=tuple(_after_test(check, p) for check, p in zip(found, corrected, strict=True)),
        unknown_rows=tuple(row for row in measured if row not in reference.rows),
        notes=tuple(_notes(measured, reference)),
    )


def _after_test(check: GateCheck, p: float | None) -> GateCheck:
    """A check with its corrected p; a loss that the test does not tell from chance passes."""
    is_chance = check.verdict == "worse" and p is not None and p > ALPHA
    return replace(check, p=p, verdict="chance" if is_chance else check.verdict)


def _row_checks(row: str, stored: StoredRow, measured: Measured) -> Iterator[GateCheck]:
    one = measured.get(row)
    if one is None or not one.scores:
        reason = _absence(row, one, measured)
        for metric, expected in stored.metrics.items():
            yield GateCheck(row, metric, None, expected.value, expected.margin, "missing", reason)
        return
    pair = paired_counts(one, stored)
    if IMAGES in checks_of(stored):
        changed = _changed_images(one, stored, pair)
        yield GateCheck(row, IMAGES, None, None, 0.0, "changed" if changed else "kept", changed)
    if stored.scoring is not None:
        changed = _changed_scoring(one.scoring, stored.scoring)
        yield GateCheck(row, SCORING, None, None, 0.0, "changed" if changed else "kept", changed)
    yield from _score_checks(row, stored, one, pair)
    if stored.cost is not None:
        yield from _cost_checks(row, stored, one)
    if stored.time is not None:
        yield _time_check(row, stored, one)


def _absence(row: str, one: MeasuredRow | None, measured: Measured) -> str:
    if one is not None:
        return f"its run failed ({one.failure})" if one.failure else "the row has no scores"
    return f"no result for this row; measured were {', '.join(map(repr, measured)) or 'none'}"


@dataclass(frozen=True, eq=False)
class CountPair:
    """Counts of the images that the measured row and the stored one share, in one order."""

    new: Counts
    old: Counts
    shared: int
    stored: int

    @property
    def is_whole(self) -> bool:
        """True if every image of the reference was measured."""
        return self.shared == self.stored


def paired_counts(one: MeasuredRow, stored: StoredRow) -> CountPair | None:
    """The counts of both, paired; None where either has none.

    Raises:
        RequestError: when they share no image.
    """
    if one.counts is None or not stored.counts:
        return None
    table = unpack_counts(stored.counts)
    new, old = pair_images([one.counts, table])
    return CountPair(new, old, shared=len(new), stored=len(table.names))


def _changed_images(one: MeasuredRow, stored: StoredRow, pair: CountPair | None) -> str:
    """The way in which images or masks differ from those of the reference; empty where they do not."""
    if one.dataset_digest != stored.dataset_digest:
        return "are of a dataset whose card has changed, so that scores are not comparable; if on purpose, --update"
    if pair is not None and any(not np.array_equal(getattr(pair.new, n), getattr(pair.old, n)) for n in TRUTH_FIELDS):
        return "have other masks than those of the reference, so that scores are not comparable; restore them"
    if (pair is None or pair.is_whole) and one.images_digest != stored.images_digest:
        return "are other files than those of the reference, so that scores are not comparable; restore them"
    return ""


def _changed_scoring(found: Scoring | None, stored: Scoring) -> str:
    """The rules of scoring that differ from those of the reference; empty where none does."""
    if found is None:
        return "is unknown, expected the reference's"
    names = [one.name for one in fields(Scoring) if getattr(found, one.name) != getattr(stored, one.name)]
    moved = ", ".join(f"{name} {getattr(found, name)!r} in place of {getattr(stored, name)!r}" for name in names)
    return f"has {moved}, so that scores are not comparable" if names else ""


def _score_checks(row: str, stored: StoredRow, one: MeasuredRow, pair: CountPair | None) -> Iterator[GateCheck]:
    known = {} if pair is None or one.scoring is None else counted_metrics(stored.metrics, one.scoring)
    tests = {} if pair is None else _test_losses(known, pair)
    for name, expected in stored.metrics.items():
        score, held = one.scores.get(name), expected
        if pair is not None and name in known:
            score, held = known[name].score(pair.new), _held(row, name, known[name], pair, expected)
        yield _judge(row, name, one, score, held, p=tests.get(name))


def _held(row: str, name: str, metric: Metric, pair: CountPair, expected: Expected) -> Expected:
    """The reference's value over the shared images."""
    value = metric.score(pair.old).value
    if value is None:
        return expected
    if pair.is_whole and abs(value - expected.value) > SAME * max(abs(value), SAME):
        raise RequestError(
            f"reference: {row}: {name} is {expected.value:.6g}, but its counts give {value:.6g}; write it again with "
            "--update, and edit margins alone"
        )
    return replace(expected, value=value)


def counted_metrics(names: Mapping[str, Expected], scoring: Scoring) -> dict[str, Metric]:
    """Of the named metrics those that counts give, by their id under the scoring."""
    metrics = (find_metrics().get(name) for name in find_metrics())
    valid = [one for one in metrics if one.table == "counts" and not one.cumulative]
    by_id = {one.id_under(scoring): one for one in valid if one.ground_truth == scoring.ground_truth}
    return {name: by_id[name] for name in names if name in by_id}


def _test_losses(metrics: Mapping[str, Metric], pair: CountPair) -> dict[str, float | None]:
    """The p-value of each metric's difference by swapping images' results; metrics without terms have none."""
    pairs: dict[str, tuple[Statistic, Statistic]] = {}
    for name, metric in metrics.items():
        new, old = metric.evaluate(pair.new), metric.evaluate(pair.old)
        if isinstance(new, Statistic) and isinstance(old, Statistic):
            pairs[name] = (new, old)
    found = permutation_tests([((new,), (old,)) for new, old in pairs.values()], generator=np.random.default_rng(0))
    return {name: test.p for name, test in zip(pairs, found, strict=True)}


def _judge(
    row: str, metric: str, one: MeasuredRow, score: Score | None, expected: Expected, *, p: float | None
) -> GateCheck:
    value: float | None = None
    reason = ""
    verdict: Outcome
    if score is None:
        verdict, reason = "missing", f"the row has {', '.join(one.scores) or 'no scores'}"
    elif score.value is None or not math.isfinite(score.value):
        verdict, reason = "null", score.reason or f"it is {score.value}"
    else:
        value = score.value
        gain = value - expected.value if score.better == "higher" else expected.value - value
        verdict = "worse" if gain < -expected.margin else "improved" if gain > expected.margin else "kept"
    return GateCheck(
        row, metric, value, expected.value, expected.margin, verdict, reason, p if value is not None else None
    )


def _cost_checks(row: str, stored: StoredRow, one: MeasuredRow) -> Iterator[GateCheck]:
    """Parameters and multiply-accumulates, which are numbers of the code alone: any difference is a change of it."""
    assert stored.cost is not None
    if one.cost is None:
        for name in (PARAMETERS, MACS):
            yield GateCheck(row, name, None, None, 0.0, "changed", "is not measured, expected as in the reference")
        return
    pairs = ((PARAMETERS, one.cost.parameters, stored.cost.parameters), (MACS, one.cost.macs, stored.cost.macs))
    for name, found, expected in pairs:
        if name == MACS and one.cost.size != stored.cost.size:
            reason = f"not compared: counted at {one.cost.size}, in the reference at {stored.cost.size}"
            yield GateCheck(row, name, None, None, 0.0, "skipped", reason)
            continue
        verdict: Outcome = "kept" if found == expected else "changed"
        yield GateCheck(row, name, _number(found), _number(expected), 0.0, verdict, "" if found else "none counted")


def _number(value: int | None) -> float | None:
    return None if value is None else float(value)


def _time_check(row: str, stored: StoredRow, one: MeasuredRow) -> GateCheck:
    """The ratio to the plain form: slower where three of four pairs of passes lie beyond the margin."""
    assert stored.time is not None
    if one.time is None:
        reason = f"not compared: {one.untimed or 'it was not measured'}"
        return GateCheck(row, TIME, None, stored.time.ratio, 0.0, "skipped", reason)
    margin = stored.time.ratio * stored.time.margin
    low, high = stored.time.ratio - margin, stored.time.ratio + margin
    verdict: Outcome = "slower" if one.time.low > high else "improved" if one.time.ratio < low else "kept"
    return GateCheck(row, TIME, one.time.ratio, stored.time.ratio, margin, verdict)


def _notes(measured: Measured, reference: Reference) -> Iterator[str]:
    for row, stored in reference.rows.items():
        one = measured.get(row)
        if one is None:
            continue
        if stored.weights and one.weights != stored.weights:
            yield f"{row}: weights are others than those of the reference"
        pair = paired_counts(one, stored)
        if pair is not None and not pair.is_whole:
            yield f"{row}: compared on {pair.shared} of the reference's {pair.stored} images"


def refuse_powerless(reference: Reference, *, measured: Measured | None = None) -> None:
    """Refuse a reference with a score that could not fail: the gate would promise what it does not hold.

    A score could fail if a network that finds nothing anywhere, or one that takes every pixel for a target, would be
    worse by more than the margin, and the test over so many images would tell it from chance.

    Args:
        measured: rows whose images alone are compared.

    Raises:
        RequestError: naming the first such score.
    """
    tests = sum(len(stored.metrics) for stored in reference.rows.values())
    for row, stored in reference.rows.items():
        one = (measured or {}).get(row)
        counts = _counts_at_hand(stored, one)
        known = {} if counts is None or stored.scoring is None else counted_metrics(stored.metrics, stored.scoring)
        for name, expected in stored.metrics.items():
            if counts is not None and name in known:
                reason = _power_lack(known[name], counts, expected, tests=tests)
            else:
                reason = _margin_lack(one.scores.get(name) if one is not None else None, expected)
            if reason:
                raise RequestError(f"reference: {row}: {name} cannot fail: {reason}")


def _counts_at_hand(stored: StoredRow, one: MeasuredRow | None) -> Counts | None:
    if one is not None:
        pair = paired_counts(one, stored)
        return None if pair is None else pair.old
    return unpack_counts(stored.counts).round(-1) if stored.counts else None


def _power_lack(metric: Metric, counts: Counts, expected: Expected, *, tests: int) -> str:
    """The reason that no prediction of these images could fail; empty where one could."""
    held = metric.score(counts)
    if held.value is None:
        return f"it has no value on these images ({held.reason})"
    losses = []
    for worst in (find_nothing(counts), find_everything(counts)):
        score = metric.score(worst)
        if score.value is not None:
            lost = held.value - score.value if held.better == "higher" else score.value - held.value
            losses.append((lost, worst))
    most = max((lost for lost, _ in losses), default=0.0)
    if most <= expected.margin:
        return (
            f"even the worst predictions lose {max(most, 0.0):.6g}, within the margin {expected.margin:.6g}; take a "
            "smaller margin, or weights that have learnt something"
        )
    for lost, worst in losses:
        if lost > expected.margin:
            p = _test_losses({"": metric}, CountPair(worst, counts, len(counts), len(counts))).get("")
            if p is None or min(1.0, p * tests) <= ALPHA:
                return ""
    return (
        f"{len(counts)} images are too few to tell even the worst predictions from chance at {ALPHA:g} over {tests} "
        "scores; take more images, or fewer metrics"
    )


def find_nothing(counts: Counts) -> Counts:
    """The counts of a network that predicts no pixel on the same masks."""
    none = np.zeros_like(counts.predicted)
    return replace(
        counts,
        intersection=none,
        predicted=none,
        hits=none,
        matched=none,
        components=none,
        unmatched=none,
        unmatched_area=none,
        equal_area=none,
        target_matched=np.zeros_like(counts.target_matched),
    )


def find_everything(counts: Counts) -> Counts:
    """The counts of a network that predicts every pixel on the same masks, as one component that no target takes."""
    one = np.ones_like(counts.predicted)
    return replace(
        counts,
        intersection=counts.labelled,
        predicted=counts.pixels,
        hits=counts.actual,
        matched=0 * one,
        components=one,
        unmatched=one,
        unmatched_area=counts.pixels,
        equal_area=counts.pixels,
        target_matched=np.zeros_like(counts.target_matched),
    )


def _margin_lack(score: Score | None, expected: Expected) -> str:
    """The reason that a score without counts could not fail: the worst value is 0, or of a lower fraction 1."""
    if score is None or (score.better == "lower" and score.unit != "fraction"):
        return ""
    left = expected.value if score.better == "higher" else 1 - expected.value
    if left > expected.margin:
        return ""
    worst = 0 if score.better == "higher" else 1
    return (
        f"{worst} is within the margin {expected.margin:.6g} of the reference {expected.value:.6g}; take a smaller "
        "margin, or weights that have learnt something"
    )
