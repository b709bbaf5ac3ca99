"""The table of scorings: the same predictions as several code bases would judge them, each beside `native`."""

from __future__ import annotations

import statistics
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from bench.scorings import HEADS, SCORINGS, SCORINGS_FILE, Judgement, read_judgements
from bench.store import StoreError
from reports.ablation import signed
from reports.caption import all_notes, opening, signs
from reports.cells import absence, metric_cell, values_of
from reports.columns import STANDARD, Column, Metric
from reports.frame import Entry, one_line
from reports.grouping import Group, Rows, datasets_of, group_rows
from reports.table import BLANK, Cell, Line, Mixed, Notes, Table

REFERENCE = "native"
METRICS = dict(zip(HEADS, STANDARD, strict=True))
"""Head to how a table prints it; the id is that of a line's scoring."""

UNRECORDED = f"no {SCORINGS_FILE}; `dfinet-bench score runs/KEY --data DIR --record` makes it from stored predictions"


@dataclass(frozen=True)
class Judged:
    """One dataset's group of a line, with what each seed's predictions come to under every scoring.

    Attributes:
        found: by seed's key, scoring's name to judgement.
        absent: by seed, why there is none.
    """

    group: Group
    found: Mapping[str, Mapping[str, Judgement]]
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
    absent = [entry for entry in entries if entry.scored and not (entry.folder / SCORINGS_FILE).is_file()]
    if absent:
        names = ", ".join(dict.fromkeys(f"{entry.row.label} on {entry.dataset}" for entry in absent[:3]))
        more = f", and {len(absent) - 3} more" if len(absent) > 3 else ""
        yield f"not in the table of scorings: {names}{more}: {UNRECORDED}"


def scorings_table(entries: Sequence[Entry], *, title: str, mixed: Mixed = "refuse") -> Table | None:
    """Per dataset and method a line a scoring: what its code base would print, and the difference to `native`.

    None where no result has a record of its scorings.

    Raises:
        MixedRulesError, TableError: as the comparison table does.
    """
    rows, notes = group_rows(entries, mixed=mixed), Notes()
    datasets = datasets_of(entries)
    judged = [(d, row, _judged(row.groups[d])) for d in datasets for row in rows if d in row.groups]
    count = len({name for _, _, one in judged for name in one.names})
    if not count:
        return None
    lines = [line for dataset, row, one in judged for line in _lines(dataset, row, one, notes)]
    return Table(
        caption=_caption(entries, title, count),
        columns=(
            Column("Dataset", is_text=True),
            Column("Scoring", is_text=True),
            *(Column(head, unit=METRICS[head].unit, better=METRICS[head].better) for head in HEADS),
        ),
        lines=tuple(lines),
        notes=all_notes(entries, notes),
        limited=any(entry.is_limited for entry in entries),
        label="tab:scorings",
    )


def _lines(dataset: str, row: Rows, judged: Judged, notes: Notes) -> Iterator[Line]:
    """A line a scoring; one of dashes, with the reasons, where nothing is recorded."""
    if not judged.found:
        mark = notes.mark(absence(judged.absent, among=len(judged.absent)))
        yield Line(row.label, (Cell(dataset), BLANK, *[Cell(marks=(mark,))] * len(HEADS)), signs(row))
    for name in judged.names:
        numbers = (_cell(judged, name, head, notes) for head in HEADS)
        yield Line(row.label, (Cell(dataset), _scoring_cell(name, notes), *numbers), signs(row))


def _caption(entries: Sequence[Entry], title: str, count: int) -> str:
    remarks = (
        "Each line: what the code base of that scoring would print for the very same stored predictions of the last "
        f"round; beside it, where it differs, the difference to {REFERENCE}, in the unit of the column, taken before "
        "rounding. "
        "Empty: that code base prints no such number. Not ranked: rules are compared here, not methods."
    )
    title = f"{title.rstrip('.')}: the same predictions under {count} scorings"
    return " ".join([*opening(entries, title=title, several="Mean"), remarks])


def _judged(group: Group) -> Judged:
    found: dict[str, dict[str, Judgement]] = {}
    absent: dict[int, str] = {}
    for entry in group.entries:
        if not entry.scored:
            absent[entry.row.seed] = entry.reason
        elif not (entry.folder / SCORINGS_FILE).is_file():
            absent[entry.row.seed] = UNRECORDED
        else:
            try:
                found[entry.row.key] = {one.scoring.name: one for one in read_judgements(entry.folder)}
            except StoreError as error:
                absent[entry.row.seed] = f"unreadable: {one_line(str(error).replace(str(entry.folder), entry.row.key))}"
    return Judged(group, found, absent)


def _scoring_cell(name: str, notes: Notes) -> Cell:
    """The scoring's name, with a note on whose it is and what is wrong with it."""
    if name not in SCORINGS:
        return Cell(name)
    named = SCORINGS.get(name)
    defects = f". Known defects: {named.defects}" if named.defects else ""
    return Cell(name, marks=(notes.mark(f"{named.whose}{defects}"),))


def _cell(judged: Judged, name: str, head: str, notes: Notes) -> Cell:
    """One printed number and how far it is from the reference's."""
    id = judged.printed_id(name, head)
    if id is None:
        return BLANK
    metric = replace(METRICS[head], id=id, family=())
    cell = replace(metric_cell(judged.under(name), metric, notes), spread="")
    return replace(cell, change=_change(judged, name, head, metric))


def _change(judged: Judged, name: str, head: str, metric: Metric) -> str:
    """How far the mean is from the reference's; empty where every seed's number is the reference's to the last bit."""
    reference = judged.printed_id(REFERENCE, head)
    if name == REFERENCE or reference is None:
        return ""
    ours, _ = values_of(judged.under(name), metric)
    theirs, _ = values_of(judged.under(REFERENCE), replace(metric, id=reference))
    if not ours or not theirs or ours == theirs:
        return ""
    return signed(metric, statistics.fmean(ours) - statistics.fmean(theirs))
