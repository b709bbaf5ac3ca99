"""The table of what feedback rounds add, and that of differences to the full network."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from bench.metrics.counting.counts import CountsWriter, CountTable
from bench.metrics.registry import score_counts
from bench.store.files import write_arrays
from bench.types import ModelInfo
from reports.results.entries import Entry, read_suite
from reports.table import Table
from reports.tables.intervals import change_tables
from reports.tables.round_gains import round_gain_tables
from tests.reports.fake_ablation import FULL, ablation
from tests.reports.fake_runs import ACM, SCORING, result, write_suite

IMAGES = 40


def counted(skills: Sequence[float], *, seed: int, backwards: bool = False) -> CountTable:
    """Counts of a network that finds a target of 3 x 3 px after each round with that round's chance."""
    generator, writer = np.random.default_rng(seed), CountsWriter(SCORING)
    luck = generator.random(IMAGES)
    for number in range(IMAGES)[:: -1 if backwards else 1]:
        mask = np.zeros((32, 32), np.uint8)
        mask[4 + number % 20 : 7 + number % 20, 10:13] = 1
        found = [np.where(mask * (luck[number] < skill) > 0, 65535, 0).astype(np.uint16) for skill in skills]
        writer.add(f"{number:03d}", found, truth=mask)
    return writer.table()


def suite(root: Path, *methods: tuple[str, ModelInfo, int, CountTable | None]) -> tuple[Entry, ...]:
    """Entries of a suite of these labels, networks, seeds and counts."""
    rows = []
    for label, info, seed, table in methods:
        made = result(replace(info, rounds=table.rounds if table else info.rounds), seed=seed)
        if table is not None:
            write_arrays(root / made.key / "counts.npz", table.to_arrays())
            rounds = tuple(score_counts(table.round(number), SCORING) for number in range(table.rounds))
            made = replace(made, scores=rounds[-1], rounds=rounds)
        rows.append((label, made, None))
    write_suite(root, rows)
    return read_suite(root, "trial")[1]


def gains(entries: Sequence[Entry]) -> Table:
    ((dataset, table),) = round_gain_tables(entries, title="Trial.")
    assert dataset == "NUDT-SIRST"
    return table


def test_a_round_that_helps_is_told_from_one_that_does_not(tmp_path: Path) -> None:
    table = gains(suite(tmp_path, ("DFINet", FULL, 42, counted([0.3, 0.8, 0.8], seed=0))))
    assert [column.head for column in table.columns] == ["Rounds", "Δ", "p", "Δ", "p", "Δ", "p"]
    assert [line.cells[0].text for line in table.lines] == ["2 − 1", "3 − 2", "3 − 1"]
    helped, idle, whole = table.lines
    assert float(helped.cells[1].text) == float(whole.cells[1].text) > 30
    assert float(helped.cells[1].limits[0]) > 20
    assert helped.cells[2].text == "<0.001"
    assert (idle.cells[1].text, idle.cells[1].limits, idle.cells[2].text) == ("0.00", (), "1.000")
    assert "no interval: the same in every resample" in [note.text for note in table.notes]


def test_seeds_are_the_same_trainings_in_both_rounds_whatever_the_order_of_their_images(tmp_path: Path) -> None:
    """Seeds of very different skill that all gain alike: the interval is that of the gain."""
    skills = [(0.1, 0.3), (0.4, 0.6), (0.7, 0.9)]
    entries = suite(
        tmp_path,
        *(
            ("DFINet", FULL, seed, counted(pair, seed=7, backwards=seed == 2))
            for seed, pair in enumerate(skills, start=1)
        ),
    )
    table = gains(entries)
    assert "the same for both rounds" in table.caption
    (line,) = table.lines
    low, high = map(float, line.cells[1].limits)
    assert 5 < low < float(line.cells[1].text) < high < 40, "levels of the seeds, 60 points apart, would span more"


def test_networks_without_rounds_or_counts_are_told_of_or_left_out(tmp_path: Path) -> None:
    entries = suite(
        tmp_path,
        ("DFINet", FULL, 42, counted([0.3, 0.8], seed=0)),
        ("DFINet/no-dsfm", ablation("no-dsfm"), 42, None),
        ("ACM", ACM, 42, counted([0.5], seed=1)),
    )
    table = gains(entries)
    assert [line.label for line in table.lines] == ["DFINet", "DFINet/no-dsfm"], "ACM has no feedback"
    (mark,) = table.lines[1].cells[0].marks
    assert next(note.text for note in table.notes if note.mark == mark).startswith("unreadable: ")
    assert list(round_gain_tables(entries[2:], title="Trial")) == []


def test_ablations_are_held_against_the_full_network_and_not_the_best(tmp_path: Path) -> None:
    entries = suite(
        tmp_path,
        ("DFINet", FULL, 42, counted([0.5, 0.6], seed=0)),
        ("DFINet/no-dsfm", ablation("no-dsfm"), 42, counted([0.5, 0.95], seed=0)),
        ("ACM", ACM, 42, counted([0.9], seed=1)),
    )
    ((model, dataset, table),) = change_tables(entries, title="Trial")
    assert (model, dataset) == ("DFINet", "NUDT-SIRST")
    assert [line.label for line in table.lines] == ["DFINet", "DFINet/no-dsfm"]
    full, other = table.lines
    assert (full.cells[0].rank, full.cells[1].text) == ("", "reference")
    assert float(other.cells[1].text) > 25
    assert float(other.cells[1].limits[0]) > 0
    assert other.cells[2].text == "<0.001"
    assert "Δ: difference to DFINet." in table.caption
    assert list(change_tables(entries[2:], title="Trial")) == []
