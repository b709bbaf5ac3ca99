"""A table of published numbers as rows of claims: what each number says, in fractions of one."""

from __future__ import annotations

import csv
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from fractions import Fraction
from io import StringIO
from pathlib import Path

from bench.audit.heads import (
    DATASET_HEADS,
    DEVIATION,
    FA_UNIT_HEADS,
    LIMITED_HEADS,
    METHOD_HEADS,
    METRICS,
    MILLIONTH,
    PERCENT,
    SOURCE_HEADS,
    SPLIT_HEADS,
    Head,
    letters_of,
    read_head,
    read_unit,
)
from bench.audit.lists import DatasetCell, check_dataset, read_dataset
from bench.audit.numbers import Interval, Printed, UnreadableError, read_number

LARGEST = 16 * 2**20
"""Bytes of a file that is read; a table of published numbers is far smaller."""


class TableFileError(ValueError):
    """A file that no table can be read from."""


@dataclass(frozen=True)
class Claim:
    """One printed number with its unit.

    Attributes:
        metric: of `bench.audit.heads.METRICS`.
        printed: the number.
        unit: what a printed 1 is.
        is_guessed: whether the unit is taken from the size of the numbers.
    """

    metric: str
    printed: Printed
    unit: Fraction
    is_guessed: bool = False

    @property
    def rounded(self) -> Interval:
        """What may have been rounded to it, as fractions of one."""
        return self.printed.rounded.scaled(self.unit)

    @property
    def cut(self) -> Interval:
        """What may have been cut to it, as fractions of one."""
        return self.printed.cut.scaled(self.unit)

    @property
    def words(self) -> str:
        """`IoU 2.37 %`, `Fa 28.59e-6`, `Pd 0.953`."""
        number = self.printed.text.strip()
        if self.unit == PERCENT:
            return f"{self.metric} {number.rstrip('% ')} %"
        power = len(str(self.unit.denominator)) - 1
        return f"{self.metric} {number}" + (f"e-{power}" if power else "")


@dataclass(frozen=True, eq=False)
class Row:
    """What one row says of one dataset.

    Attributes:
        number: of its line in the file; the head is line 1.
        method, source, split: as printed; empty where no column says.
        dataset: what it was tested on.
        claims: by metric.
        skipped: what of it could not be read, and why.
        is_limited: whether the row says that its lists were shortened.
    """

    number: int
    method: str
    dataset: DatasetCell
    source: str = ""
    split: str = ""
    claims: Mapping[str, Claim] = field(default_factory=dict)
    skipped: tuple[str, ...] = ()
    is_limited: bool = False

    @property
    def words(self) -> str:
        """`row 52 (HBMLCM, SIRST-Aug)`."""
        inside = ", ".join(filter(None, (self.method, self.dataset.printed)))
        return f"row {self.number}" + (f" ({inside})" if inside else "")


@dataclass(frozen=True)
class PublishedTable:
    """A file's rows.

    Attributes:
        file: its name.
        lines: rows below the head; one with several datasets in its columns makes several `rows`.
        rows: one for every line and dataset.
        remarks: what was guessed.
        unused: heads of columns that hold no metric that is checked.
    """

    file: str
    lines: int
    rows: tuple[Row, ...]
    remarks: tuple[str, ...]
    unused: tuple[str, ...]


@dataclass(frozen=True)
class _Layout:
    """Where what stands: positions of columns."""

    metrics: Mapping[int, Head]
    deviations: Mapping[int, int]
    method: int | None
    dataset: int | None
    sources: tuple[int, ...]
    split: int | None
    limited: int | None
    fa_unit: int | None


@dataclass(frozen=True)
class _Raw:
    """A row before its units are known: per metric the head and the number."""

    row: Row
    numbers: Mapping[str, tuple[Head, Printed]]
    fa_unit: str | None


def read_table(path: Path, *, dataset: str = "") -> PublishedTable:
    """The rows of a CSV file (comma, semicolon or tab).

    Args:
        dataset: what rows are about that name none.

    Raises:
        TableFileError: when there is no such file, it is no table, or no column of it is known.
        LookupError: when no list of `dataset` is known.
    """
    fallback = check_dataset(dataset) if dataset else DatasetCell("", "")
    text = _read_text(path)
    delimiter = _delimiter(text)
    records = list(_records(text, delimiter, path))
    if not records:
        raise TableFileError(f"{path}: empty, expected a head and rows, as CSV")
    (_, heads), *lines = records
    layout = _layout(heads, path)
    if not lines:
        raise TableFileError(f"{path}: a head without rows, expected at least one row")
    raws = [raw for line in lines for raw in _raw_rows(line, heads, layout, fallback, delimiter != ",")]
    rows, remarks = _with_units(raws)
    known = {
        *layout.metrics,
        *layout.deviations.values(),
        layout.method,
        layout.dataset,
        *layout.sources,
        layout.split,
        layout.limited,
    }
    known.add(layout.fa_unit)
    unused = tuple(head for index, head in enumerate(heads) if index not in known and head)
    return PublishedTable(path.name, len(lines), rows, remarks, unused)


def _read_text(path: Path) -> str:
    if not path.is_file():
        found = "a folder" if path.is_dir() else "no such file"
        raise TableFileError(f"{path}: {found}, expected a CSV table")
    if path.stat().st_size > LARGEST:
        raise TableFileError(f"{path}: {path.stat().st_size} bytes, expected a table of at most {LARGEST}")
    try:
        text = path.read_bytes().decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise TableFileError(f"{path}: not UTF-8 text (byte {error.start}); save it as CSV in UTF-8") from None
    if "\0" in text:
        raise TableFileError(f"{path}: not CSV: it holds zero bytes; export the table as CSV")
    if not text.strip():
        raise TableFileError(f"{path}: empty, expected a head and rows, as CSV")
    return text


def _delimiter(text: str) -> str:
    """What parts the head's cells: whichever of comma, semicolon and tab makes most of them."""
    first = next(line for line in text.splitlines() if line.strip())
    return max(",;\t", key=first.count)


def _records(text: str, delimiter: str, path: Path) -> Iterator[tuple[int, list[str]]]:
    """Every line that holds something, with its number in the file."""
    reader = csv.reader(StringIO(text, newline=""), delimiter=delimiter, strict=True)
    start = 1
    try:
        for cells in reader:
            if any(cell.strip() for cell in cells):
                yield start, [cell.strip() for cell in cells]
            start = reader.line_num + 1
    except csv.Error as error:
        raise TableFileError(f"{path}, line {start}: not CSV: {error}; export the table as CSV") from None


def _layout(heads: Sequence[str], path: Path) -> _Layout:
    letters = [letters_of(head) for head in heads]
    found = {index: head for index, text in enumerate(heads) if (head := read_head(text))}
    if not found:
        shown = ", ".join(repr(head) for head in heads[:8]) + (", …" if len(heads) > 8 else "")
        raise TableFileError(f"{path}: no known column among {shown}; expected one of {', '.join(METRICS)}")
    seen: dict[tuple[str, str], str] = {}
    for head in found.values():
        place = head.metric, read_dataset(head.dataset).name
        if place in seen:
            raise TableFileError(
                f"{path}: columns {seen[place]!r} and {head.text!r} both hold {head.metric}; "
                "name the dataset in each head, as 'NUDT-SIRST IoU', or leave one out"
            )
        seen[place] = head.text

    def place_of(names: Sequence[str]) -> int | None:
        return next((letters.index(name) for name in names if name in letters), None)

    method = place_of(METHOD_HEADS)
    if method is None:
        method = next((i for i in range(len(heads)) if i not in found and letters[i] not in DATASET_HEADS), None)
    sources = tuple(letters.index(name) for name in SOURCE_HEADS if name in letters)
    others = (place_of(names) for names in (DATASET_HEADS, SPLIT_HEADS, LIMITED_HEADS, FA_UNIT_HEADS))
    dataset, split, limited, fa_unit = others
    beside = {i: heads.index(head.text + DEVIATION) for i, head in found.items() if head.text + DEVIATION in heads}
    return _Layout(found, beside, method, dataset, sources, split, limited, fa_unit)


def _raw_rows(
    line: tuple[int, list[str]], heads: Sequence[str], layout: _Layout, fallback: DatasetCell, decimal_comma: bool
) -> Iterator[_Raw]:
    """What a line says of every dataset that its columns name; of one, where they name none."""
    number, cells = line
    if len(cells) != len(heads):
        reason = f"the whole row: {len(cells)} cells below {len(heads)} heads"
        yield _Raw(Row(number, cells[0], DatasetCell("", ""), skipped=(reason,)), {}, None)
        return

    def cell(index: int | None) -> str:
        return "" if index is None else cells[index]

    named = read_dataset(cell(layout.dataset)) if cell(layout.dataset) else fallback
    for name in dict.fromkeys(head.dataset for head in layout.metrics.values()):
        mine = {index: head for index, head in layout.metrics.items() if head.dataset == name}
        numbers, skipped = _numbers(mine, cells, layout.deviations, decimal_comma)
        yield _Raw(
            Row(
                number,
                cell(layout.method),
                read_dataset(name) if name else named,
                source=" at ".join(filter(None, map(cell, layout.sources))),
                split=cell(layout.split),
                skipped=skipped,
                is_limited=cell(layout.limited).lower() in ("true", "1", "yes"),
            ),
            numbers,
            None if layout.fa_unit is None else cell(layout.fa_unit),
        )


def _numbers(
    heads: Mapping[int, Head], cells: Sequence[str], deviations: Mapping[int, int], decimal_comma: bool
) -> tuple[dict[str, tuple[Head, Printed]], tuple[str, ...]]:
    numbers, skipped = {}, []
    for index, head in heads.items():
        try:
            printed = read_number(cells[index], decimal_comma=decimal_comma)
        except UnreadableError as error:
            skipped.append(f"{head.metric}: {error}")
            continue
        if printed is not None:
            has_spread = index in deviations and bool(cells[deviations[index]])
            numbers[head.metric] = head, replace(printed, is_mean=printed.is_mean or has_spread)
    return numbers, tuple(skipped)


def _with_units(raws: Sequence[_Raw]) -> tuple[tuple[Row, ...], tuple[str, ...]]:
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


def _guess(raws: Sequence[_Raw]) -> _Guess:
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


def _rate_unit(raw: _Raw) -> Fraction | None:
    """The unit of a row's Fa, as its own cell or the head says it."""
    if raw.fa_unit is not None:
        return read_unit(raw.fa_unit)
    return raw.numbers["Fa"][0].unit


def _claimed(raw: _Raw, guess: _Guess) -> Row:
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
