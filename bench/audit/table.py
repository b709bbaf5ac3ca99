"""A table of published numbers, read from a CSV file."""

from __future__ import annotations

import csv
import errno
import stat
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from io import StringIO
from pathlib import Path

from bench.audit.heads import (
    AUDITED_METRICS,
    DATASET_HEADS,
    DEVIATION,
    FA_UNIT_HEADS,
    LIMITED_HEADS,
    LIMITED_NOTE,
    METHOD_HEADS,
    NOTES_HEADS,
    SOURCE_HEADS,
    SPLIT_HEADS,
    Head,
    letters_of,
    read_head,
)
from bench.audit.lists import DatasetCell, check_dataset, read_dataset
from bench.audit.numbers import PrintedNumber, UnreadableError, read_number
from bench.audit.records import ClaimedRow, PublishedTable
from bench.audit.units import RawRow, with_units
from bench.csv_cells import unguard_cell
from bench.errors import TableFileError

LARGEST = 16 * 2**20
"""Bytes of a file that is read; a table of published numbers is far smaller."""


@dataclass(frozen=True)
class _Layout:
    """Positions of columns."""

    metrics: Mapping[int, Head]
    deviations: Mapping[int, int]
    method: int | None
    dataset: int | None
    sources: tuple[int, ...]
    split: int | None
    limited: int | None
    notes: int | None
    fa_unit: int | None


def read_table(path: Path, *, dataset: str = "") -> PublishedTable:
    """The rows of a CSV file (comma, semicolon or tab).

    Args:
        dataset: what rows are about that name none.

    Raises:
        TableFileError: when there is no such file, it is no table, or no column of it is known.
        UnknownNameError: when no list of `dataset` is known.
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
    rows, remarks = with_units(raws)
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
    if any(LIMITED_NOTE in cell for _, cells in lines for cell in _at(cells, layout.notes)):
        known.add(layout.notes)
    unused = tuple(head for index, head in enumerate(heads) if index not in known and head)
    return PublishedTable(path.name, len(lines), rows, remarks, unused)


def _read_text(path: Path) -> str:
    if reason := _why_no_file(path):
        raise TableFileError(f"{path}: {reason}, expected a CSV table")
    if path.stat().st_size > LARGEST:
        raise TableFileError(f"{path}: {path.stat().st_size} bytes, expected a table of at most {LARGEST}")
    try:
        text = path.read_bytes().decode("utf-8-sig")
    except OSError as error:
        raise TableFileError(f"{path}: not readable ({error.strerror}), expected a CSV table") from None
    except UnicodeDecodeError as error:
        raise TableFileError(f"{path}: not UTF-8 text (byte {error.start}); save it as CSV in UTF-8") from None
    if "\0" in text:
        raise TableFileError(f"{path}: not CSV: it holds zero bytes; export the table as CSV")
    if not text.strip():
        raise TableFileError(f"{path}: empty, expected a head and rows, as CSV")
    return text


def _why_no_file(path: Path) -> str:
    """The thing found instead of a file; empty for a file."""
    try:
        mode = path.stat().st_mode
    except FileNotFoundError:
        return "a symbolic link to nothing" if path.is_symlink() else "no such file"
    except OSError as error:
        return "a loop of symbolic links" if error.errno == errno.ELOOP else f"not readable ({error.strerror})"
    kinds = {stat.S_IFDIR: "a folder", stat.S_IFIFO: "a pipe", stat.S_IFSOCK: "a socket"}
    return "" if stat.S_ISREG(mode) else kinds.get(stat.S_IFMT(mode), "a device")


def _delimiter(text: str) -> str:
    """The delimiter of the heading's cells: whichever of comma, semicolon and tab gives the most."""
    first = next(line for line in text.splitlines() if line.strip())
    return max(",;\t", key=first.count)


def _records(text: str, delimiter: str, path: Path) -> Iterator[tuple[int, list[str]]]:
    """Every line that holds something, with its number in the file."""
    reader = csv.reader(StringIO(text, newline=""), delimiter=delimiter, strict=True)
    start = 1
    try:
        for cells in reader:
            if any(cell.strip() for cell in cells):
                yield start, [unguard_cell(cell.strip()) for cell in cells]
            start = reader.line_num + 1
    except csv.Error as error:
        raise TableFileError(f"{path}, line {start}: not CSV: {error}; export the table as CSV") from None


def _layout(heads: Sequence[str], path: Path) -> _Layout:
    letters = [letters_of(head) for head in heads]
    found = {index: head for index, text in enumerate(heads) if (head := read_head(text))}
    if not found:
        shown = ", ".join(repr(head) for head in heads[:8]) + (", …" if len(heads) > 8 else "")
        raise TableFileError(f"{path}: no known column among {shown}; expected one of {', '.join(AUDITED_METRICS)}")
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
    others = (place_of(names) for names in (DATASET_HEADS, SPLIT_HEADS, LIMITED_HEADS, NOTES_HEADS, FA_UNIT_HEADS))
    dataset, split, limited, notes, fa_unit = others
    beside = {i: heads.index(head.text + DEVIATION) for i, head in found.items() if head.text + DEVIATION in heads}
    return _Layout(found, beside, method, dataset, sources, split, limited, notes, fa_unit)


def _at(cells: Sequence[str], index: int | None) -> Sequence[str]:
    """The cell of that column, or none where there is no such column or the row is too short."""
    return () if index is None else cells[index : index + 1]


def _raw_rows(
    line: tuple[int, list[str]], heads: Sequence[str], layout: _Layout, fallback: DatasetCell, decimal_comma: bool
) -> Iterator[RawRow]:
    """The claims of a line about every dataset that its columns name; about one if they name none."""
    number, cells = line
    if len(cells) != len(heads):
        reason = f"the whole row: {len(cells)} cells below {len(heads)} heads"
        yield RawRow(ClaimedRow(number, cells[0], DatasetCell("", ""), skipped=(reason,)), {}, None)
        return

    def cell(index: int | None) -> str:
        return "" if index is None else cells[index]

    is_limited = cell(layout.limited).lower() in ("true", "1", "yes") or LIMITED_NOTE in cell(layout.notes)
    named = read_dataset(cell(layout.dataset)) if cell(layout.dataset) else fallback
    for name in dict.fromkeys(head.dataset for head in layout.metrics.values()):
        mine = {index: head for index, head in layout.metrics.items() if head.dataset == name}
        numbers, skipped = _numbers(mine, cells, layout.deviations, decimal_comma)
        yield RawRow(
            ClaimedRow(
                number,
                cell(layout.method),
                read_dataset(name) if name else named,
                source=" at ".join(filter(None, map(cell, layout.sources))),
                split=cell(layout.split),
                skipped=skipped,
                is_limited=is_limited,
            ),
            numbers,
            None if layout.fa_unit is None else cell(layout.fa_unit),
        )


def _numbers(
    heads: Mapping[int, Head], cells: Sequence[str], deviations: Mapping[int, int], decimal_comma: bool
) -> tuple[dict[str, tuple[Head, PrintedNumber]], tuple[str, ...]]:
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
