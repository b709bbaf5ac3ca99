"""The table of what each feedback round adds: differences to the round before, with intervals and tests."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from bench.errors import StoreError
from bench.metrics.counting.counts import Counts
from bench.metrics.registry import MetricInfo
from bench.metrics.significance import LEVEL, RESAMPLES, Bootstrap, bootstrap, holm, permutation_tests
from bench.metrics.statistic import Statistic
from bench.types import Mixed
from reports.columns import Column, metrics_shown
from reports.results.entries import Entry, one_line
from reports.results.groups import Group, datasets_of, group_rows
from reports.results.image_counts import read_rounds, registered_metric
from reports.table import BLANK, Cell, Line, Notes, Table
from reports.tables.ablation import signed
from reports.tables.captions import all_notes, caption, signs
from reports.tables.intervals import interval_cell, p_words
from reports.tables.rounds import feedback_rows
from reports.tables.significance import FLIPS_A_TEST, SEED

ROLES = ("IoU", "Pd", "Fa")


@dataclass
class Gain:
    """A difference between two rounds of a network in one metric.

    Attributes:
        heading: `2 − 1`, or `8 − 1` for the last against the first.
        drawn: the difference under the resamples of the images, and of the seeds where there are several.
        pair: the two rounds' terms image by image, of every seed.
        p: of the permutation test, corrected over the table.
    """

    heading: str
    metric: MetricInfo
    drawn: Bootstrap
    pair: tuple[Sequence[Statistic], Sequence[Statistic]]
    p: float | None = None


def round_gain_tables(entries: Sequence[Entry], *, title: str, mixed: Mixed = "refuse") -> Iterator[tuple[str, Table]]:
    """Per dataset its name and the table of its networks with feedback, a line for each pair of rounds.

    Raises:
        MixedRulesError, TableError: as the comparison table does.
    """
    rows = feedback_rows(group_rows(entries, mixed=mixed))
    shown = [entry for row in rows for entry in row.entries]
    metrics = [m for m in metrics_shown(e.scored.scores for e in shown if e.scored) if m.family in ROLES]
    for dataset in datasets_of(shown):
        own = [row for row in rows if dataset in row.groups]
        notes = Notes()
        gains = [_gains(row.groups[dataset], metrics) for row in own]
        found = [gain for each in gains if not isinstance(each, str) for gain in each]
        if not found:
            continue
        flips = _test(found)
        lines: list[Line] = []
        for row, each in zip(own, gains, strict=True):
            marks = signs(row.on(dataset))
            if isinstance(each, str):
                reason = notes.mark(each)
                lines.append(Line(row.label, (Cell(marks=(reason,)), *[BLANK] * (2 * len(metrics))), marks))
            else:
                lines += _lines(row.label, each, metrics, marks, notes)
        members = [entry for entry in shown if entry.dataset == dataset]
        yield (
            dataset,
            Table(
                caption=caption(
                    members,
                    title=f"{title.rstrip('.')}: gains of feedback rounds on {dataset}",
                    remarks=_remarks(members, tests=sum(gain.p is not None for gain in found), flips=flips),
                    several="Mean",
                ),
                columns=(
                    Column("Rounds", is_text=True),
                    *(column for metric in metrics for column in _columns(metric)),
                ),
                lines=tuple(lines),
                notes=all_notes(members, notes),
                limited=any(entry.is_limited for entry in members),
                label="tab:round-gains",
            ),
        )


def _gains(group: Group, metrics: Sequence[MetricInfo]) -> list[Gain] | str:
    """Every round against the round before and the last against the first, or the reason for having none."""
    try:
        rounds = read_rounds(group)
    except StoreError as error:
        return f"unreadable: {one_line(str(error))}"
    if len(rounds) < 2:
        return "one round" if rounds else "; ".join(dict.fromkeys(entry.reason for entry in group.entries))
    pairs = [(number, number + 1) for number in range(1, len(rounds))]
    if len(rounds) > 2:
        pairs.append((1, len(rounds)))
    return [gain for metric in metrics for gain in _of_metric(group, metric, rounds, pairs)]


def _of_metric(
    group: Group, metric: MetricInfo, rounds: Sequence[Sequence[Counts]], pairs: Sequence[tuple[int, int]]
) -> Iterator[Gain]:
    registered = registered_metric(metric, group.entries[0].row.scoring)
    if registered is None or registered.table != "counts":
        return
    found = [[registered.evaluate(counts) for counts in seeds] for seeds in rounds]
    terms = [[one for one in seeds if isinstance(one, Statistic)] for seeds in found]
    if any(len(seeds) < len(rounds[0]) for seeds in terms):
        return  # no sum over images
    drawn = bootstrap(terms, generator=np.random.default_rng(SEED), share_seeds=True)
    for before, after in pairs:
        difference = drawn[after - 1].minus(drawn[before - 1])
        yield Gain(f"{after} − {before}", metric, difference, (terms[after - 1], terms[before - 1]))


def _test(gains: Sequence[Gain]) -> int:
    """Test every gain, with Holm's correction over all of them; return the number of permutations."""
    flips = max(RESAMPLES, FLIPS_A_TEST * len(gains))
    tests = permutation_tests([gain.pair for gain in gains], generator=np.random.default_rng(SEED), flips=flips)
    for gain, p in zip(gains, holm([test.p for test in tests]), strict=True):
        gain.p = p
    return flips


def _lines(
    label: str, gains: Sequence[Gain], metrics: Sequence[MetricInfo], marks: tuple[str, ...], notes: Notes
) -> Iterator[Line]:
    for heading in dict.fromkeys(gain.heading for gain in gains):
        own = {gain.metric.id: gain for gain in gains if gain.heading == heading}
        cells = [cell for metric in metrics for cell in _cells(own.get(metric.id), metric, notes)]
        yield Line(label, (Cell(heading), *cells), marks)


def _cells(gain: Gain | None, metric: MetricInfo, notes: Notes) -> list[Cell]:
    if gain is None:
        return [Cell(marks=(notes.mark(f"{metric.id} is no sum over images"),)), BLANK]
    p = BLANK if gain.p is None else Cell(p_words(gain.p))
    return [interval_cell(gain.drawn.interval(), metric, signed, notes), p]


def _columns(metric: MetricInfo) -> tuple[Column, Column]:
    return Column("Δ", metric.head, metric.printed_unit), Column("p", metric.head)


def _remarks(entries: Sequence[Entry], *, tests: int, flips: int) -> list[str]:
    several = len({entry.row.seed for entry in entries}) > 1
    what = "test images and seeds (the same for both rounds)" if several else "test images"
    trained = ", for the networks as trained" if several else ""
    return [
        "Δ: the later round minus the earlier one, of the same trainings on the same images.",
        f"Brackets: {LEVEL:.0%} BCa intervals of {RESAMPLES:,} bootstrap resamples of the {what}, each by itself.",
        f"p: paired permutation test over images{trained}, {flips:,} permutations or all there are, two-sided, "
        f"corrected by Holm over the {tests} comparisons of this table.",
    ]
