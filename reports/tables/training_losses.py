"""The table of training losses beside the published losses of the same trainings."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from statistics import fmean

from bench.errors import StoreError
from bench.models.published_curves import STRETCH, PublishedLosses
from reports.columns import Column
from reports.results.entries import Entry
from reports.results.groups import datasets_of
from reports.results.training_losses import LossLog, published_for, read_losses
from reports.table import BLANK, Cell, Line, Note, Notes, Table
from reports.tables.captions import leak_words, opening

EPOCHS = (10, 20, 30, 40, 50, 70, 100, 150, 200, 250, 300, 400)
"""Last epochs of the stretches that are printed."""

ENOUGH = 3
"""Seeds from which on their range says how far apart trainings may be."""

REMARK = (
    f"Mean loss of the {STRETCH} epochs that end with the column's. Published: BasicIRSTD's logs of 2023, one training "
    "by the same recipe on the same list. Brackets: lowest and highest of the seeds."
)


def training_losses_table(entries: Sequence[Entry], *, title: str) -> Table | None:
    """Losses of every training that has a published counterpart, with that below it; None without any.

    A broken log is left out; the figure of losses says so.
    """
    found = _logs(entries)
    if not found:
        return None
    last = max(int(log.epochs[-1]) for logs in found.values() for log in logs.ours)
    epochs, notes = [epoch for epoch in EPOCHS if epoch <= last], Notes()
    lines = [line for pair, logs in found.items() for line in _lines(*pair, logs, epochs, notes)]
    shown = [entry for logs in found.values() for entry in logs.entries]
    return Table(
        caption=" ".join([*opening(shown, title=f"{title.rstrip('.')}: training losses", several="Mean"), REMARK]),
        columns=(
            Column("Dataset", is_text=True),
            Column("Trainings"),
            *(Column(str(epoch), "Loss at epoch") for epoch in epochs),
        ),
        lines=tuple(lines),
        notes=tuple(Note(mark, text) for text, mark in notes.texts.items()),
        label="tab:training-losses",
    )


class Logs:
    """Losses of one network on one dataset: a log for each seed, and the published one."""

    def __init__(self, published: PublishedLosses) -> None:
        self.entries: list[Entry] = []
        self.ours: list[LossLog] = []
        self.published = dict(zip(published.epochs, published.losses, strict=True))


def _logs(entries: Sequence[Entry]) -> Mapping[tuple[str, str], Logs]:
    """By dataset and label, in the order of datasets, the logs of trainings that have a published counterpart."""
    found: dict[tuple[str, str], Logs] = {}
    for dataset in datasets_of(entries):
        for entry in entries:
            published = published_for(entry) if entry.dataset == dataset else None
            log = _intact(entry) if published else None
            if published and log:
                logs = found.setdefault((dataset, entry.row.label), Logs(published))
                logs.entries.append(entry)
                logs.ours.append(log)
    return found


def _intact(entry: Entry) -> LossLog | None:
    try:
        return read_losses(entry)
    except StoreError:
        return None


def _lines(dataset: str, label: str, logs: Logs, epochs: Sequence[int], notes: Notes) -> Iterator[Line]:
    """The line of our trainings and that of the published one."""
    ours = [[v for log in logs.ours if (v := log.mean_until(epoch, STRETCH)) is not None] for epoch in epochs]
    leaks = leak_words(logs.entries)
    marks = (notes.mark(f"leak: {leaks}"),) if leaks else ()
    yield Line(label, (Cell(dataset), Cell(str(len(logs.ours))), *map(_cell, ours)), marks)
    theirs = [logs.published[epoch] for epoch in epochs]
    cells = (_published_cell(loss, values, notes) for loss, values in zip(theirs, ours, strict=True))
    yield Line(f"{label}, published", (Cell(dataset), Cell("1"), *cells))


def _cell(losses: Sequence[float]) -> Cell:
    if not losses:
        return BLANK
    limits = (_text(min(losses)), _text(max(losses))) if len(losses) > 1 else ()
    return Cell(_text(fmean(losses)), limits=limits)


def _published_cell(loss: float, ours: Sequence[float], notes: Notes) -> Cell:
    """The published loss, marked where it lies outside the range of enough seeds; blank where we have none."""
    if not ours:
        return BLANK
    outside = len(ours) >= ENOUGH and not min(ours) <= loss <= max(ours)
    marks = (notes.mark(f"outside the range of our {len(ours)} trainings"),) if outside else ()
    return Cell(_text(loss), marks=marks)


def _text(loss: float) -> str:
    return f"{loss:.4f}"
