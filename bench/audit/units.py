"""The units of printed numbers: what their heads say, or what their size does, a source at a time."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction

from bench.audit.heads import MILLIONTH, PERCENT, Head, read_unit
from bench.audit.numbers import Printed
from bench.audit.records import Claim, Row


@dataclass(frozen=True)
class RawRow:
    """A row before its units are known: per metric the head and the number."""

    row: Row
    numbers: Mapping[str, tuple[Head, Printed]]
    fa_unit: str | None


def with_units(raws: Sequence[RawRow]) -> tuple[tuple[Row, ...], tuple[str, ...]]:
    """The rows with a unit for every number; what of them was guessed, a source at a time."""
    rows: dict[int, Row] = {}
    remarks = []
    for source in dict.fromkeys(raw.row.source for raw in raws):
        mine = [raw for raw in raws if raw.row.source == source]
        guess = _guess(mine)
        remarks += [f"{source}: {words}" if source else words for words in guess.remarks]
        rows |= {id(raw): _claimed(raw, guess) for raw in mine}
    return tuple(rows[id(raw)] for raw in raws), tuple(remarks)


@dataclass(frozen=True)
class _Guess:
    """The units of a source's numbers where heads say nothing or cannot be right; None: not needed."""

    stated_percent: Fraction | None
    unstated: Fraction | None
    rate: Fraction | None
    remarks: tuple[str, ...]


def _guess(raws: Sequence[RawRow]) -> _Guess:
    shares = [pair for raw in raws for metric, pair in raw.numbers.items() if metric != "Fa"]
    percent = [abs(p.value) for head, p in shares if head.unit == PERCENT]
    unstated = [abs(p.value) for head, p in shares if head.unit is None]
    rates = [abs(pair[1].value) for raw in raws if (pair := raw.numbers.get("Fa")) and _rate_unit(raw) is None]
    remarks = []
    is_fraction = any(percent) and max(percent) <= 1
    if is_fraction:
        remarks.append("the head says percent, but no number is above 1: read as fractions")
    unit = None
    if unstated:
        above = [value > 1 for value in unstated if value]
        unit = Fraction(1) if 2 * sum(above) < len(above) else PERCENT
        remarks.append(f"no unit in the head: read as {'fractions' if unit == 1 else 'percent'}, by their size")
    rate = None
    if rates and all(raw.fa_unit is None for raw in raws):
        rate = Fraction(1) if max(rates) < Fraction(1, 100) else MILLIONTH
        remarks.append(f"no unit of Fa in the head: read as {'fractions' if rate == 1 else '1e-6'}, by their size")
    return _Guess(Fraction(1) if is_fraction else PERCENT, unit, rate, tuple(remarks))


def _rate_unit(raw: RawRow) -> Fraction | None:
    """The unit of a row's Fa, as its own cell or the head says it."""
    if raw.fa_unit is not None:
        return read_unit(raw.fa_unit)
    return raw.numbers["Fa"][0].unit


def _claimed(raw: RawRow, guess: _Guess) -> Row:
    claims, skipped = {}, list(raw.row.skipped)
    for metric, (head, printed) in raw.numbers.items():
        if metric == "Fa":
            stated = _rate_unit(raw)
            unit, is_guessed = (stated, False) if stated else (guess.rate, True)
        elif head.unit == PERCENT:
            unit, is_guessed = guess.stated_percent, guess.stated_percent != PERCENT
        else:
            unit, is_guessed = (head.unit, False) if head.unit else (guess.unstated, True)
        if unit is None:
            skipped.append(f"Fa {printed.text}: its unit is {raw.fa_unit or 'nowhere'!r}, so it is no number of pixels")
            continue
        claims[metric] = Claim(metric, printed, unit, is_guessed)
    if not raw.numbers and not skipped:
        skipped.append("the whole row: no number in it")
    return replace(raw.row, claims=claims, skipped=tuple(skipped))
