"""Captions and signs that state the rules under which a table's numbers were made."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from bench.protocols.scorings import describe_scoring
from bench.types import Training
from reports.results.entries import Entry, cost_on, one_line
from reports.results.groups import Rows, datasets_of
from reports.results.same_rules import distinct_rules, rules_of
from reports.table import LEAKED, LIMITED, LIMITED_NOTICE, OPTIMISTIC, ORACLE, Note, Notes

ORACLE_NOTICE = "oracle: its first feedback mask is the ground truth; not a result, and not ranked"


def signs(row: Rows) -> tuple[str, ...]:
    """The marks of a line's label: optimistic, where all of it is; oracle; leak, where any of it is; limited."""
    scored = [group for group in row.groups.values() if group.scored]
    found = {
        OPTIMISTIC: bool(scored) and all(group.is_optimistic for group in scored),
        ORACLE: any(group.is_oracle for group in scored),
        LEAKED: any(group.is_leaked for group in row.groups.values()),
        LIMITED: any(entry.is_limited for entry in row.entries),
    }
    return tuple(sign for sign, is_there in found.items() if is_there)


def all_notes(entries: Sequence[Entry], notes: Notes) -> tuple[Note, ...]:
    """Notes that explain the signs, then the notes of the cells."""
    return (*_sign_notes(entries), *(Note(mark, text) for text, mark in notes.texts.items()))


def _sign_notes(entries: Sequence[Entry]) -> Iterator[Note]:
    if any(entry.scored and entry.scored.optimistic for entry in entries):
        yield Note(OPTIMISTIC, "optimistic: the weights were chosen on the test list")
    if any(entry.is_oracle for entry in entries):
        yield Note(ORACLE, ORACLE_NOTICE)
    if leaks := leak_words(entries):
        yield Note(LEAKED, f"leak: {leaks}; not a result, and not ranked")
    if any(entry.is_limited for entry in entries):
        yield Note(LIMITED, LIMITED_NOTICE)


def leak_words(entries: Sequence[Entry]) -> str:
    """Leaks in words: which methods learnt from how many test images; empty without a leak.

    Corruptions of a list are that list. All that share a count are one part:
    `417 of 664 test images were in the training list (NUDT-SIRST: ACM, DNANet)`.
    """
    found: dict[tuple[str, str], dict[str, None]] = {}
    for entry in entries:
        if entry.leaked:
            found.setdefault((entry.leak_words, entry.row.dataset), {})[entry.row.label] = None
    return "; ".join(f"{words} ({dataset}: {', '.join(labels)})" for (words, dataset), labels in found.items())


def caption(
    entries: Sequence[Entry],
    *,
    title: str,
    remarks: Sequence[str],
    several: str = "Mean ± sample standard deviation",
) -> str:
    """Title, test lists, protocol, scoring and seeds, then the table's own remarks, as sentences.

    Args:
        remarks: whole sentences.
        several: what is printed of several seeds.
    """
    datasets = datasets_of(entries)
    *sentences, seeds = opening(entries, title=title, several=several)
    sentences.append(f"{_plural('Scoring', [describe_scoring(e.row.scoring) for e in entries])}.")
    sentences.append(seeds)
    if mixed := [d for d in datasets if len(distinct_rules([e for e in entries if e.dataset == d])) > 1]:
        sentences.append(f"Rules differ within {', '.join(mixed)}: its cells are marked and not ranked.")
    return " ".join([*sentences, *remarks])


def opening(entries: Sequence[Entry], *, title: str, several: str) -> list[str]:
    """Title, test lists, protocol and seeds, as sentences.

    Args:
        several: what is printed of several seeds.
    """
    sentences = [f"{one_line(title).rstrip('.')}."]
    if any(entry.is_limited for entry in entries):
        sentences.insert(0, "LIMITED TRIAL, not comparable with any published number.")
    sentences.append(f"Test lists: {'; '.join(_test_lists(entries, datasets_of(entries)))}.")
    sentences.append(f"{_plural('Protocol', [e.row.protocol for e in entries])}.")
    return [*sentences, f"{_seed_words(entries, several=several)}."]


def _test_lists(entries: Sequence[Entry], datasets: Sequence[str]) -> Iterator[str]:
    for dataset in datasets:
        mine = [entry for entry in entries if entry.dataset == dataset]
        lists = dict.fromkeys((e.row.split, rules_of(e).images) for e in mine if e.scored)
        lists = lists or dict.fromkeys((e.row.split, None) for e in mine)
        parts = [f"split {split}" + (f", {images[1]} images" if images else "") for split, images in lists]
        yield f"{dataset} ({' and '.join(parts)})"


def _plural(noun: str, names: Sequence[str]) -> str:
    different = list(dict.fromkeys(names))
    return f"{noun}{'s' if len(different) > 1 else ''} {' and '.join(different)}"


def _seed_words(entries: Sequence[Entry], *, several: str) -> str:
    trained = [e for e in entries if e.result is None or isinstance(e.result.experiment.weights, Training)]
    if not trained:
        return "Predictions as given" if all(e.is_given for e in entries) else "No network was trained"
    seeds = sorted({entry.row.seed for entry in trained})
    return f"Seed {seeds[0]}" if len(seeds) == 1 else f"{several} over seeds {', '.join(map(str, seeds))}"


def macs_sentence(entries: Sequence[Entry], place: tuple[str, str]) -> str:
    """At which size MACs were counted, and by whom."""
    sizes, counters = _measured(entries, place)
    macs = f"; MACs of one feedback round × rounds ({counters})" if counters else ""
    return f"Costs at {sizes} pixels{macs}."


def cost_sentence(entries: Sequence[Entry], place: tuple[str, str]) -> str:
    """At which size and where costs were measured."""
    sizes, counters = _measured(entries, place)
    macs = f"MACs of one feedback round × rounds ({counters}); " if counters else ""
    words = f"Costs at {sizes} pixels, batch 1: {macs}FPS of all rounds on {place[0]}, {place[1]}."
    timed = [cost for e in entries if e.scored and (cost := cost_on(e.scored, place))]
    if any(cost.early_end for cost in timed):
        words += " Early end: FPS on test images where nothing is calculated once a mask repeats."
    return words


def _measured(entries: Sequence[Entry], place: tuple[str, str]) -> tuple[str, str]:
    """Sizes and MAC counters of the costs on that device."""
    costs = [c for e in entries if e.scored and (c := cost_on(e.scored, place))]
    sizes = " and ".join(dict.fromkeys(f"{c.size[0]} × {c.size[1]}" for c in costs))
    return sizes, " and ".join(dict.fromkeys(c.macs_counter for c in costs if c.macs is not None))
