"""The tables of scorings: the same predictions as several code bases would judge them, beside `native`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from bench.errors import StoreError
from bench.metrics.registry import metric_info
from bench.protocols.scorings import HEADS, SCORINGS, SCORINGS_FILE, STANDARD_IDS, ScoringRecord, read_records
from bench.types import Mixed
from reports.columns import Column
from reports.results.entries import Entry, one_line
from reports.results.groups import Group, Rows, datasets_of, group_rows
from reports.table import Cell, Line, Notes, Table
from reports.tables.captions import all_notes, opening, signs
from reports.tables.cells import absence, metric_cell

REFERENCE = "native"
UNRECORDED = (
    f"no {SCORINGS_FILE}; `dfinet-bench score runs/KEY --data DIR --record` makes it where predictions are stored, "
    "running the suite again where they are not"
)


@dataclass(frozen=True)
class ScoredGroup:
    """One dataset's group of a line, with each seed's scores under every scoring.

    Attributes:
        found: by seed's key, scoring's name to judgement.
        absent: by seed, why there is none.
    """

    group: Group
    found: Mapping[str, Mapping[str, ScoringRecord]]
    absent: Mapping[int, str]

    @property
    def names(self) -> tuple[str, ...]:
        """The scorings of which anything is known."""
        return tuple(dict.fromkeys(name for judgements in self.found.values() for name in judgements))

    def under(self, name: str) -> Group:
        """The group as if that scoring had been its own."""
        return Group(tuple(self._as_judged(entry, name) for entry in self.group.entries))

    def _as_judged(self, entry: Entry, name: str) -> Entry:
        if entry.row.key not in self.found:
            return replace(entry, reason=self.absent[entry.row.seed])
        if entry.result is None or name not in self.found[entry.row.key]:
            return replace(entry, reason=f"not recorded under {name}; {UNRECORDED}")
        return replace(entry, result=replace(entry.result, scores=self.found[entry.row.key][name].scores))

    def printed_id(self, name: str, head: str) -> str | None:
        """The id of what the scoring's code base prints under that head; None where it prints nothing."""
        known = [judged[name] for judged in self.found.values() if name in judged]
        return known[0].prints.get(head) if known else None


def unrecorded(entries: Sequence[Entry]) -> Iterator[str]:
    """One sentence where results of the suite have no record of their scorings."""
    runs = [entry for entry in entries if entry.scored and not entry.is_given]
    absent = [entry for entry in runs if not (entry.folder / SCORINGS_FILE).is_file()]
    if absent:
        names = ", ".join(dict.fromkeys(f"{entry.row.label} on {entry.dataset}" for entry in absent[:3]))
        more = f", and {len(absent) - 3} more" if len(absent) > 3 else ""
        yield f"not in the table of scorings: {names}{more}: {UNRECORDED}"


def broken_records(entries: Sequence[Entry], broken: Mapping[str, str]) -> Iterator[str]:
    """One sentence on each result whose record of its scorings cannot be read.

    Args:
        broken: reason by key, as `scorings_tables` found them.
    """
    for entry in entries:
        if entry.row.key in broken:
            yield f"not in the table of scorings: {entry.row.label} on {entry.dataset}: {broken[entry.row.key]}"


def scorings_tables(
    entries: Sequence[Entry], *, title: str, mixed: Mixed = "refuse", broken: dict[str, str] | None = None
) -> Iterator[tuple[str, Table]]:
    """Per dataset of which any result has a record of its scorings, its name and table.

    Args:
        broken: takes the reason by key of each record that cannot be read; records are large, and read once.

    Raises:
        MixedRulesError, TableError: as the comparison table does.
    """
    rows = group_rows(entries, mixed=mixed)
    for dataset in datasets_of(entries):
        mine = [(row, _scored_group(row.groups[dataset], broken)) for row in rows if dataset in row.groups]
        if any(judged.found for _, judged in mine):
            own = [entry for entry in entries if entry.dataset == dataset]
            yield dataset, scorings_table(own, mine, title=title.rstrip("."))


def scorings_table(entries: Sequence[Entry], judged: Sequence[tuple[Rows, ScoredGroup]], *, title: str) -> Table:
    """A line a method; under each head a column for every different set of numbers that scorings print there."""
    notes, names = Notes(), list(dict.fromkeys(name for _, one in judged for name in one.names))
    columns: list[Column] = []
    cells: list[list[Cell]] = []
    alike: list[str] = []
    as_judged = {name: [one.under(name) for _, one in judged] for name in names}
    for head in HEADS:
        shown: dict[tuple[str, ...], list[str]] = {}
        for name in sorted(names, key=lambda name: name != REFERENCE):
            if any(one.printed_id(name, head) for _, one in judged):
                under = zip(judged, as_judged[name], strict=True)
                numbers = [_cell(one, group, name, head, notes) for (_, one), group in under]
                alike_so_far = shown.setdefault(tuple(cell.plain for cell in numbers), [])
                alike_so_far.append(name)
                if len(alike_so_far) == 1:
                    metric = metric_info(STANDARD_IDS[head])
                    columns.append(Column(name, head, metric.printed_unit, metric.better, marks=_whose(name, notes)))
                    cells.append(numbers)
        alike += [
            f"{head} of {first} also {' and '.join(others)}"
            for first, *others in shown.values()
            if others and first != REFERENCE
        ]
    return Table(
        caption=_caption(entries, title, len(names), alike),
        columns=tuple(columns),
        lines=tuple(
            Line(row.label, tuple(column[i] for column in cells), signs(row.on(entries[0].dataset)))
            for i, (row, _) in enumerate(judged)
        ),
        notes=all_notes(entries, notes),
        limited=any(entry.is_limited for entry in entries),
        label="tab:scorings",
    )


def _caption(entries: Sequence[Entry], title: str, count: int, alike: Sequence[str]) -> str:
    remarks = (
        "Each column: what the code base of that scoring would print for the very same stored predictions of the last "
        f"round. A scoring without a column under a head prints the numbers of {REFERENCE} there, or none. "
        "Not ranked: rules are compared here, not methods."
    )
    same = f" Printed alike: {'; '.join(alike)}." if alike else ""
    title = f"{title}: the same predictions under {count} scorings on {entries[0].dataset}"
    return " ".join([*opening(entries, title=title, several="Mean"), remarks + same])


def _scored_group(group: Group, broken: dict[str, str] | None = None) -> ScoredGroup:
    found: dict[str, dict[str, ScoringRecord]] = {}
    absent: dict[int, str] = {}
    for entry in group.entries:
        if not entry.scored:
            absent[entry.row.seed] = entry.reason
        elif not (entry.folder / SCORINGS_FILE).is_file():
            absent[entry.row.seed] = UNRECORDED
        else:
            try:
                found[entry.row.key] = {one.scoring.name: one for one in read_records(entry.folder)}
            except StoreError as error:
                absent[entry.row.seed] = _reason(entry, error)
                if broken is not None:
                    broken[entry.row.key] = absent[entry.row.seed]
    return ScoredGroup(group, found, absent)


def _reason(entry: Entry, error: StoreError) -> str:
    return f"unreadable: {one_line(str(error).replace(str(entry.folder), entry.row.key))}"


def _whose(name: str, notes: Notes) -> tuple[str, ...]:
    """The mark of the note on whose a scoring is and what is wrong with it."""
    if name not in SCORINGS:
        return ()
    named = SCORINGS.get(name)
    defects = f". Known defects: {named.defects}" if named.defects else ""
    return (notes.mark(f"{name}: {named.whose}{defects}"),)


def _cell(judged: ScoredGroup, under: Group, name: str, head: str, notes: Notes) -> Cell:
    """One printed number; a dash with the reason where there is none.

    Args:
        under: the group as if the scoring of that name had been its own.
    """
    if not judged.found:
        return Cell(marks=(notes.mark(absence(judged.absent, among=len(judged.absent))),))
    id = judged.printed_id(name, head)
    if id is None:
        return Cell(marks=(notes.mark(f"not recorded under {name}; {UNRECORDED}"),))
    metric = replace(metric_info(STANDARD_IDS[head]), id=id, is_exact=True)
    return replace(metric_cell(under, metric, notes), spread="")
