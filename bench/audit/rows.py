"""Checks of a single row: whole numbers of targets and pixels, and the relations between F1, IoU and the rest."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction

from bench.audit.findings import Finding, Severity
from bench.audit.lists import KnownList, known_lists_of
from bench.audit.numbers import FULL_DIGITS, DigitInterval
from bench.audit.records import Claim, ClaimedRow

ONE = Fraction(1)
HOLDS = "holds"


@dataclass(frozen=True)
class CheckOutcome:
    """The outcome of one check of one row: passed, or a severity with a sentence."""

    check: str
    verdict: str
    text: str = ""

    def finding(self, row: ClaimedRow, severity: Severity) -> Finding:
        """The finding of that severity."""
        return Finding(severity, self.check, (row.number,), f"{row.words}: {self.text}")


def check_row(row: ClaimedRow) -> Iterator[CheckOutcome]:
    """Every check of a row by itself; what cannot be checked says why."""
    for reason in row.skipped:
        yield CheckOutcome("reading", "not checked", reason)
    for claim in row.claims.values():
        yield _check_range(claim)
    yield from _check_targets(row)
    yield from _check_pixels(row)
    yield from _check_precision_and_recall(row)
    yield from _check_nothing_predicted(row)
    yield from _say_what_stands_alone(row)


CAN_CONTRADICT = (
    {"Pd"},
    {"Fa"},
    {"IoU", "F1"},
    {"IoU", "precision"},
    {"IoU", "recall"},
    {"F1", "precision", "recall"},
)
"""Metrics that a row has to print, all of a set, for more than ranges to be checked."""


def _say_what_stands_alone(row: ClaimedRow) -> Iterator[CheckOutcome]:
    """That nothing but ranges can be checked, where a row prints no numbers that could contradict each other."""
    if row.claims and not any(metrics <= set(row.claims) for metrics in CAN_CONTRADICT):
        yield CheckOutcome("ranges alone", "not checked", f"{' and '.join(row.claims)}: nothing beside to check by")


def _check_range(claim: Claim) -> CheckOutcome:
    if claim.rounded.low <= 1 and claim.rounded.high >= 0 and claim.printed.value >= 0:
        return CheckOutcome("range", HOLDS)
    return CheckOutcome("range", "impossible", f"{claim.words} is outside 0 to 1")


def _why_no_list(row: ClaimedRow) -> str:
    if row.is_limited:
        return "its lists were shortened"
    if not row.dataset.printed:
        return "the row names no dataset; name it with --dataset"
    if not row.dataset.name:
        return f"no test list of {row.dataset.printed!r} is known"
    if known_lists_of(row.dataset, split=row.split):
        return ""
    which = f"split {row.split!r}" if row.split else f"the split {row.dataset.ratio}"
    return f"no test list of {row.dataset.name} is known for {which}"


def fitting_lists(row: ClaimedRow) -> dict[KnownList, int]:
    """The known lists of which the row's Pd is a whole number of targets, with the first such number."""
    claim = row.claims.get("Pd")
    if claim is None or claim.printed.is_mean or _why_no_list(row):
        return {}
    found = {one: claim.rounded.wholes(one.targets) for one in known_lists_of(row.dataset, split=row.split)}
    return {one: wholes[0] for one, wholes in found.items() if wholes}


def _check_targets(row: ClaimedRow) -> Iterator[CheckOutcome]:
    """Pd times the targets of a list is a whole number, within what the digits allow."""
    claim = row.claims.get("Pd")
    if claim is None:
        return
    if reason := _why_not_whole(row, claim):
        yield CheckOutcome("targets", "not checked", f"{claim.words}: {reason}")
        return
    lists = known_lists_of(row.dataset, split=row.split)
    if fitting_lists(row):
        yield CheckOutcome("targets", HOLDS)
        return
    if cut := {one: wholes[0] for one in lists if (wholes := claim.cut.wholes(one.targets))}:
        words = ", ".join(f"{count} of {one.targets}" for one, count in cut.items())
        yield CheckOutcome(
            "targets", "note", f"{claim.words} is a share of targets only if its digits were cut: {words}"
        )
        return
    nearest = ", ".join(_nearest(claim, one.targets, "targets") for one in dict.fromkeys(lists))
    yield CheckOutcome(
        "targets", "impossible", f"{claim.words} is no whole number of targets of a list known: {nearest}"
    )


def _why_not_whole(row: ClaimedRow, claim: Claim) -> str:
    return "a mean over runs is no share" if claim.printed.is_mean else _why_no_list(row)


def _nearest(claim: Claim, total: int, what: str) -> str:
    """`247.49 of 263 targets (247 make 93.916, 248 make 94.297)`: the whole numbers on both sides, in its unit."""
    exact = claim.printed.value * claim.unit * total
    below = min(max(exact.numerator // exact.denominator, 0), total)
    decimals = min(len(str(claim.printed.step.denominator)), 12)  # one more than printed
    counts = [
        f"{count} make {float(Fraction(count, total) / claim.unit):.{decimals}f}"
        for count in range(below, min(below + 1, total) + 1)
    ]
    return f"{float(exact):.2f} of {total} {what} ({', '.join(counts)})"


def fitting_pixels(row: ClaimedRow) -> dict[str, int]:
    """The sizes of lists at which the row's Fa is a whole number of pixels; those that tell nothing are left out."""
    claim = row.claims.get("Fa")
    if claim is None or _why_not_whole(row, claim):
        return {}
    found = {}
    for name, total in _totals(row).items():
        wholes = claim.rounded.wholes(total)
        if wholes and not claim.rounded.is_wider_than_one_of(total):
            found[name] = wholes[0]
    return found


def _totals(row: ClaimedRow) -> dict[str, int]:
    """Pixels of the lists the row may be about, by list and size: of those its Pd fits, where it fits any."""
    lists = fitting_lists(row) or known_lists_of(row.dataset, split=row.split)
    return {f"{one.split} {one.part}, {size}": total for one in lists for size, total in one.pixels.items()}


def _check_pixels(row: ClaimedRow) -> Iterator[CheckOutcome]:
    """Fa times the pixels of a list is a whole number, within what the digits allow."""
    claim = row.claims.get("Fa")
    if claim is None:
        return
    if reason := _why_not_whole(row, claim):
        yield CheckOutcome("pixels", "not checked", f"{claim.words}: {reason}")
        return
    totals = _totals(row)
    if fitting_pixels(row):
        yield CheckOutcome("pixels", HOLDS)
        return
    if any(claim.rounded.is_wider_than_one_of(total) for total in totals.values()):
        yield CheckOutcome("pixels", "not checked", f"{claim.words}: its digits allow any whole number of pixels")
        return
    if cut := {name: wholes[0] for name, total in totals.items() if (wholes := claim.cut.wholes(total))}:
        words = ", ".join(f"{count} of {name}" for name, count in cut.items())
        yield CheckOutcome(
            "pixels", "note", f"{claim.words} is a number of pixels only if its digits were cut: {words}"
        )
        return
    exact = claim.printed.value * claim.unit
    tried = ", ".join(f"{float(exact * total):.2f} of {total}" for total in dict.fromkeys(totals.values()))
    guessed = " (its unit is guessed)" if claim.is_guessed else ""
    yield CheckOutcome("pixels", "inconsistent", f"{claim.words}{guessed} is no whole number of pixels: {tried} pixels")


def harmonic(one: DigitInterval, other: DigitInterval) -> DigitInterval:
    """The range of 2 a b / (a + b), both in [0, 1]."""
    return DigitInterval(_harmonic(one.low, other.low), _harmonic(one.high, other.high))


def _harmonic(one: Fraction, other: Fraction) -> Fraction:
    one, other = max(one, Fraction(0)), max(other, Fraction(0))
    return 2 * one * other / (one + other) if one + other else Fraction(0)


def pooled_f1(iou: DigitInterval) -> DigitInterval:
    """The range of 2 IoU / (1 + IoU).

    >>> pooled_f1(DigitInterval(Fraction(1, 3), Fraction(1))).low
    Fraction(1, 2)
    """
    return harmonic(iou, DigitInterval(ONE, ONE))


def percent(interval: DigitInterval) -> str:
    """`63.36 to 63.38 %`, or one number where both print alike."""
    low, high = (f"{float(100 * value):.2f}" for value in (interval.low, interval.high))
    return f"{low} %" if low == high else f"{low} to {high} %"


def _check_precision_and_recall(row: ClaimedRow) -> Iterator[CheckOutcome]:
    """F1 = 2 P R / (P + R), IoU = P R / (P + R - P R), and IoU is at most either of them."""
    iou, f1 = (row.claims.get(name) for name in ("IoU", "F1"))
    precision, recall = (row.claims.get(name) for name in ("precision", "recall"))
    if any(claim.printed.is_mean for claim in (iou, f1, precision, recall) if claim):
        if precision or recall:
            yield CheckOutcome(
                "precision and recall", "not checked", "precision and recall: a mean over runs has no F1"
            )
        return
    if precision and recall:
        both = harmonic(precision.rounded, recall.rounded)
        if f1:
            holds = both.meets(f1.rounded)
            text = f"{f1.words}, but {precision.words} and {recall.words} make {percent(both)}: misprint, or a mean"
            yield _either("F1 of precision and recall", holds, f"{text} over images")
        if iou:
            holds = both.meets(pooled_f1(iou.rounded))
            made = DigitInterval(both.low / (2 - both.low), both.high / (2 - both.high))
            text = f"{iou.words}, but {precision.words} and {recall.words} make {percent(made)}: misprint, or a mean"
            yield _either("IoU of precision and recall", holds, f"{text} over images")
    elif iou and (other := precision or recall):
        holds = iou.rounded.low <= other.rounded.high
        yield _either(f"IoU and {other.metric}", holds, f"{iou.words} is above {other.words}, which it cannot be")


def _either(check: str, holds: bool, text: str) -> CheckOutcome:
    return CheckOutcome(check, HOLDS) if holds else CheckOutcome(check, "inconsistent", text)


def _is_none(row: ClaimedRow, claim: Claim) -> bool:
    """True if a Pd or Fa can only stand for no target or no pixel, on every list that is tried.

    A `0.0` beside numbers in full is one in full itself.
    """
    if claim.printed.value or claim.printed.is_mean:
        return False
    if claim.printed.text == "0.0" and any(one.printed.digits >= FULL_DIGITS for one in row.claims.values()):
        return True
    if _why_no_list(row):
        return False
    lists = known_lists_of(row.dataset, split=row.split)
    totals = [one.targets for one in lists] if claim.metric == "Pd" else list(_totals(row).values())
    return all(claim.rounded.wholes(total) == range(1) for total in totals)


def _check_nothing_predicted(row: ClaimedRow) -> Iterator[CheckOutcome]:
    """Check that nothing overlaps if no target is found and no pixel is a false alarm: then nothing was predicted.

    Means over images are left out: an image without targets and predictions may count in full there.
    """
    pd, fa = row.claims.get("Pd"), row.claims.get("Fa")
    if not pd or not fa or not _is_none(row, pd) or not _is_none(row, fa):
        return
    for claim in (row.claims[name] for name in ("IoU", "recall") if name in row.claims):
        text = f"{pd.words} and {fa.words}: nothing was predicted, but {claim.words} is above 0"
        holds = claim.rounded.low <= 0
        yield (
            CheckOutcome("nothing predicted", HOLDS) if holds else CheckOutcome("nothing predicted", "impossible", text)
        )
