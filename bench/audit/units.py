"""The units of printed numbers: what their cells or heads say, or what their size does, a source at a time."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction

from bench.audit.heads import MILLIONTH, Head, read_unit
from bench.audit.numbers import PERCENT, PrintedNumber
from bench.audit.records import Claim, ClaimedRow

ONE = Fraction(1)

LARGEST_RATE = Fraction(1, 100)
"""Fa below it, where no unit is stated, are fractions: 0.01 in 1e-6 would be less than a pixel of any list known."""

SEVERAL = 3
"""Numbers of a column, at least, that have to be 1 or less for the column to be in doubt."""

DISAGREE = "no unit in the head, and the table disagrees: others can only be"


@dataclass(frozen=True)
class RawRow:
    """A row before its units are known: per metric the head and the number."""

    row: ClaimedRow
    numbers: Mapping[str, tuple[Head, PrintedNumber]]
    fa_unit: str | None


def with_units(raws: Sequence[RawRow]) -> tuple[tuple[ClaimedRow, ...], tuple[str, ...]]:
    """The rows with a unit for every number; what of them was guessed, a source at a time."""
    sources: dict[str, list[RawRow]] = {}
    for raw in raws:
        sources.setdefault(raw.row.source, []).append(raw)
    rows: dict[int, ClaimedRow] = {}
    remarks = []
    for source, mine in sources.items():
        guess = _guess(mine, is_collected=len(sources) > 1)
        remarks += [f"{source}: {words}" if source else words for words in guess.remarks]
        rows |= {id(raw): _claimed(raw, guess) for raw in mine}
    return tuple(rows[id(raw)] for raw in raws), tuple(remarks)


@dataclass(frozen=True)
class _Guess:
    """The units of a source's numbers where neither cell nor head says them; None: not needed.

    Attributes:
        collected: of numbers below a spelled percent.
        unstated: of shares.
        rate: of Fa.
        percent_lines: numbers of lines whose shares without a unit can be nothing but percent.
        low_heads: heads of shares without a unit below which no number is above 1.
        remarks: what was guessed, as sentences.
    """

    collected: Fraction
    unstated: Fraction | None
    rate: Fraction | None
    percent_lines: frozenset[int]
    low_heads: frozenset[str]
    remarks: tuple[str, ...]


def _guess(raws: Sequence[RawRow], *, is_collected: bool) -> _Guess:
    collected, *told = _guess_collected(raws, is_collected=is_collected)
    unstated = [
        (raw.row.number, p) for raw in raws for metric, (head, p) in raw.numbers.items() if _is_bare(metric, head)
    ]
    above = frozenset(line for line, p in unstated if p.unit == PERCENT or abs(p.value) > 1)
    unit = None
    if any(p.unit != PERCENT for _, p in unstated):
        unit = PERCENT if above else ONE
        told.append(f"no unit in the head: read as {'percent' if above else 'fractions'}, by their size")
    rates = [abs(pair[1].value) for raw in raws if (pair := raw.numbers.get("Fa")) and _rate_unit(raw, *pair) is None]
    rate = None
    if rates and all(raw.fa_unit is None for raw in raws):
        rate = ONE if max(rates) < LARGEST_RATE else MILLIONTH
        told.append(f"no unit of Fa in the head: read as {'fractions' if rate == 1 else '1e-6'}, by their size")
    return _Guess(collected, unit, rate, above, _low_heads(raws), tuple(told))


def _guess_collected(raws: Sequence[RawRow], *, is_collected: bool) -> tuple[Fraction] | tuple[Fraction, str]:
    """The unit of numbers below heads that say percent, with what there is to say of it.

    It is what the heads say, unless whoever collected several sources spelled it above fractions of one of them.
    """
    pairs = [pair for raw in raws for metric, pair in raw.numbers.items() if metric != "Fa"]
    below = [(head, abs(p.value)) for head, p in pairs if head.unit == PERCENT and p.unit != PERCENT]
    if not any(value for _, value in below) or max(value for _, value in below) > 1:
        return (PERCENT,)
    if is_collected and all(head.is_spelled for head, _ in below):
        return ONE, "the head says percent, but no number is above 1: read as fractions"
    return PERCENT, "no number below a head that says percent is above 1; were they fractions, the head must not say so"


def _is_bare(metric: str, head: Head) -> bool:
    """True for a share whose heading has no unit."""
    return metric != "Fa" and head.unit is None


def _rate_unit(raw: RawRow, head: Head, printed: PrintedNumber) -> Fraction | None:
    """The unit of a row's Fa, as the number, its own cell or the head says it."""
    if printed.unit is not None:
        return printed.unit
    return head.unit if raw.fa_unit is None else read_unit(raw.fa_unit)


def _claimed(raw: RawRow, guess: _Guess) -> ClaimedRow:
    claims, skipped = {}, list(raw.row.skipped)
    for metric, (_, printed) in raw.numbers.items():
        stated, guessed = _units(raw, metric, guess)
        unit = stated or guessed
        if unit is None:
            skipped.append(f"Fa {printed.text}: its unit is {raw.fa_unit or 'nowhere'!r}, so it is no number of pixels")
        elif not stated and (doubt := _doubt(raw, metric, guess)):
            skipped.append(f"{metric} {printed.text}: {doubt}")
        else:
            claims[metric] = Claim(metric, printed, unit, stated is None)
    if not raw.numbers and not skipped:
        skipped.append("the whole row: no number in it")
    return replace(raw.row, claims=claims, skipped=tuple(skipped))


def _units(raw: RawRow, metric: str, guess: _Guess) -> tuple[Fraction | None, Fraction | None]:
    """The stated and the guessed unit of a number."""
    head, printed = raw.numbers[metric]
    if metric == "Fa":
        return _rate_unit(raw, head, printed), guess.rate
    if printed.unit == PERCENT:
        return PERCENT, None
    if head.unit == PERCENT and guess.collected != PERCENT:
        return None, guess.collected
    return head.unit, guess.unstated


def _doubt(raw: RawRow, metric: str, guess: _Guess) -> str:
    """Why the guessed unit of the source does not serve for a number; empty where it does."""
    head, printed = raw.numbers[metric]
    if not printed.value:
        return ""
    if metric == "Fa":
        is_small = guess.rate == MILLIONTH and abs(printed.value) < LARGEST_RATE
        return f"{DISAGREE} 1e-6, in which this is less than a pixel" if is_small else ""
    if not _is_bare(metric, head) or guess.unstated != PERCENT:
        return ""
    if raw.row.number not in guess.percent_lines:
        return f"{DISAGREE} percent, and no number of this row is above 1"
    return f"{DISAGREE} percent, and no number of this column is above 1" if head.text in guess.low_heads else ""


def _low_heads(raws: Sequence[RawRow]) -> frozenset[str]:
    """Heads of shares without unit below which several rows have numbers and none is above 1."""
    found: dict[str, list[bool]] = {}
    for raw in raws:
        for metric, (head, printed) in raw.numbers.items():
            if _is_bare(metric, head) and printed.value:
                found.setdefault(head.text, []).append(printed.unit == PERCENT or abs(printed.value) > 1)
    return frozenset(head for head, above in found.items() if len(above) >= SEVERAL and not any(above))
