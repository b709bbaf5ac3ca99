"""Checks across the rows of a table: F1 beside IoU, one list for one dataset, and rows printed twice."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence

from bench.audit.findings import Finding
from bench.audit.lists import KnownList
from bench.audit.numbers import DigitInterval
from bench.audit.records import ClaimedRow
from bench.audit.rows import HOLDS, CheckOutcome, fitting_lists, percent, pooled_f1

CHECK_F1 = "F1 of IoU"
ENOUGH = 3
"""Rows, none of which has a pooled F1, that show a source's F1 to be another one; more are told of in one sentence."""

TELLING = 2
"""Metrics, at least, that two rows have to share to the last digit to be told of."""

NAMED = 12
"""Rows that a sentence names; of more it says how many."""


def check_f1(rows: Sequence[ClaimedRow]) -> tuple[dict[ClaimedRow, CheckOutcome], tuple[Finding, ...]]:
    """Per row whether F1 is 2 IoU / (1 + IoU), a source's rows judged together.

    Where no row of a source satisfies it, its F1 is another one, which is said once.
    """
    outcomes: dict[ClaimedRow, CheckOutcome] = {}
    findings: list[Finding] = []
    for mine in by_source(rows).values():
        both = [row for row in mine if "IoU" in row.claims and "F1" in row.claims]
        means = [row for row in both if row.claims["IoU"].printed.is_mean or row.claims["F1"].printed.is_mean]
        outcomes |= {row: CheckOutcome(CHECK_F1, "not checked", "F1 beside IoU: means over runs") for row in means}
        single = [row for row in both if row not in outcomes]
        holding = [row for row in single if pooled_f1(_rounded(row, "IoU")).meets(_rounded(row, "F1"))]
        outcomes |= {row: CheckOutcome(CHECK_F1, HOLDS) for row in holding}
        broken = [row for row in single if row not in outcomes]
        if not holding and len(broken) >= ENOUGH:
            findings.append(_other_f1(broken))
            outcomes |= {row: CheckOutcome(CHECK_F1, "inconsistent") for row in broken}
        else:
            others = f"it holds in {len(holding)} of {len(single)} rows of this source"
            outcomes |= {row: _broken_f1(row, others if len(single) > 1 else "") for row in broken}
    return outcomes, tuple(findings)


def _rounded(row: ClaimedRow, metric: str) -> DigitInterval:
    return row.claims[metric].rounded


def _other_f1(rows: Sequence[ClaimedRow]) -> Finding:
    text = f"F1 is 2 IoU / (1 + IoU) in none of {len(rows)} rows, so it is not pooled over pixels: not to be compared"
    numbers = tuple(row.number for row in rows)
    return Finding("inconsistent", CHECK_F1, numbers, f"{_source_words(rows)}{text} with one that is")


def _broken_f1(row: ClaimedRow, others: str) -> CheckOutcome:
    iou, f1 = row.claims["IoU"], row.claims["F1"]
    if pooled_f1(iou.cut).meets(f1.cut):
        return CheckOutcome(CHECK_F1, "note", f"{f1.words} goes with {iou.words} only if the digits of both were cut")
    made = pooled_f1(iou.rounded)
    away = max(f1.rounded.low - made.high, made.low - f1.rounded.high)
    text = f"{f1.words} beside {iou.words}: 2 IoU / (1 + IoU) is {percent(made)}, at least {float(100 * away):.2g} away"
    reason = "; ".join(filter(None, (others, "a misprint, or an F1 that is not pooled over pixels")))
    return CheckOutcome(CHECK_F1, "inconsistent", f"{text}; {reason}")


def check_lists(rows: Sequence[ClaimedRow]) -> Iterator[Finding]:
    """Per source and dataset, which lists Pd fits; rows that fit different ones only were not tested on one list."""
    for mine in by_source(rows).values():
        fits = {row: found for row in mine if (found := fitting_lists(row))}
        for place in dict.fromkeys(map(_place, fits)):
            alike = {row: found for row, found in fits.items() if _place(row) == place}
            yield _lists_finding(_source_words(mine), " ".join(filter(None, place)), alike)


def _place(row: ClaimedRow) -> tuple[str, str, str]:
    """The words of a row about its test list."""
    return row.dataset.name, row.dataset.ratio, row.split


def _lists_finding(source: str, dataset: str, fits: Mapping[ClaimedRow, Mapping[KnownList, int]]) -> Finding:
    lists = list(dict.fromkeys(one for found in fits.values() for one in found))
    common = [one for one in lists if all(one in found for found in fits.values())]
    numbers = tuple(row.number for row in fits)
    if common:
        words = " or ".join(f"{one.targets} ({one.split} {one.part})" for one in common)
        text = f"{source}{dataset}: Pd of {_rows_words(numbers)} fits {words} targets"
        return Finding("note", "lists", numbers, text)
    parts = []
    for one in lists:
        alone = tuple(row.number for row, found in fits.items() if list(found) == [one])
        if alone:
            parts.append(f"{one.targets} ({one.split} {one.part}) fits {_rows_words(alone)} and no other list does")
    text = f"{source}{dataset}: no one list fits every Pd that fits any: {'; '.join(parts)}"
    return Finding("inconsistent", "lists", numbers, text)


def _rows_words(numbers: Sequence[int]) -> str:
    numbers = list(dict.fromkeys(numbers))
    if len(numbers) > NAMED:
        return f"{len(numbers)} rows ({numbers[0]} to {numbers[-1]})"
    return f"row{'s' if len(numbers) > 1 else ''} {', '.join(map(str, numbers))}"


def check_copies(rows: Sequence[ClaimedRow]) -> Iterator[Finding]:
    """Rows of one source and dataset that print the same numbers under two names."""
    alike: dict[tuple[object, ...], list[ClaimedRow]] = {}
    for row in rows:
        numbers = tuple((name, claim.printed.value) for name, claim in row.claims.items())
        alike.setdefault((row.source, row.dataset.name or row.dataset.printed, row.split, numbers), []).append(row)
    for first, *others in alike.values():
        copies = [row for row in others if row.method != first.method]
        words = ", ".join(claim.words for claim in first.claims.values())
        if len([claim for claim in first.claims.values() if claim.printed.digits > 2]) < TELLING:
            continue
        if len(copies) > ENOUGH:
            lines = tuple(row.number for row in copies)
            text = f"{_rows_words(lines)} print the same as {first.words}: {words}"
            yield Finding("note", "copies", (first.number, *lines), text)
        else:
            for row in copies:
                text = f"{row.words} prints the same as {first.words}: {words}"
                yield Finding("note", "copies", (first.number, row.number), text)


def repeats(rows: Sequence[ClaimedRow]) -> dict[ClaimedRow, list[ClaimedRow]]:
    """Rows that stand in the table more than once, the first of each with those that repeat it word for word."""
    alike: dict[tuple[object, ...], list[ClaimedRow]] = {}
    for row in rows:
        printed = tuple((name, claim.printed.text, claim.unit) for name, claim in row.claims.items())
        key = (row.source, row.method, row.dataset, row.split, row.is_limited, row.skipped, printed)
        alike.setdefault(key, []).append(row)
    return {first: others for first, *others in alike.values() if others}


def tell_repeats(found: Mapping[ClaimedRow, Sequence[ClaimedRow]]) -> Iterator[Finding]:
    """Of every row that is repeated, how often and where."""
    for first, others in found.items():
        numbers = tuple(row.number for row in others)
        shown = ", ".join(map(str, numbers[:NAMED])) + (", …" if len(numbers) > NAMED else "")
        text = f"{first.words} stands there {len(numbers) + 1} times, again in row{'s' * (len(numbers) > 1)} {shown}"
        yield Finding("note", "repeats", (first.number, *numbers), f"{text}; what holds for it is said once")


def gather(told: Sequence[tuple[ClaimedRow, CheckOutcome]]) -> Iterator[Finding]:
    """Merge unchecked values into one finding where many rows of a source share metric and reason."""
    alike: dict[tuple[str, str, str], list[tuple[ClaimedRow, CheckOutcome]]] = {}
    for row, one in told:
        claim, _, reason = one.text.partition(": ")
        what = " ".join(itertools.takewhile(lambda word: not word.lstrip("-−*.")[:1].isdigit(), claim.split()))
        alike.setdefault((row.source, what, reason), []).append((row, one))
    for (_, what, reason), members in alike.items():
        rows = [row for row, _ in members]
        if len(rows) > ENOUGH:
            numbers = tuple(row.number for row in rows)
            text = f"{_source_words(rows)}{what} of {_rows_words(numbers)}: {reason}"
            yield Finding("not checked", members[0][1].check, numbers, text)
        else:
            yield from (one.finding(row, "not checked") for row, one in members)


def by_source(rows: Sequence[ClaimedRow]) -> dict[str, list[ClaimedRow]]:
    """The rows of each source, in order."""
    found: dict[str, list[ClaimedRow]] = {}
    for row in rows:
        found.setdefault(row.source, []).append(row)
    return found


def _source_words(rows: Sequence[ClaimedRow]) -> str:
    return f"{rows[0].source}: " if rows[0].source else ""
