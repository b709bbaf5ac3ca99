"""The comparison table as one model for every output: methods down, datasets across, best and second marked."""

from __future__ import annotations

import statistics
import string
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

from bench.types import Cost, Score, Setting
from reports.columns import Column, Metric, metrics_shown
from reports.frame import Entry, choose_cost, cost_on, describe_scoring, one_line, same_but_seed
from reports.mixing import Rules, refuse_mixing, rules_of, rulings

Mixed = Literal["refuse", "mark"]
Rank = Literal["", "best", "second"]
Badge = Literal["", "reproduced", "not reproduced", "not run"]

SIGNS: dict[Badge, str] = {"": "", "reproduced": "✓", "not reproduced": "✗", "not run": ""}
"""What a badge prints; what was not run is a dash already."""

OPTIMISTIC = "†"
LIMITED = "‡"
LIMITED_NOTICE = "limited trial: shortened image lists, not comparable with any published number"
DASH = "—"


class TableError(ValueError):
    """Rows that no honest table can be made of."""


@dataclass(frozen=True)
class Cell:
    """What stands in one place of a table.

    Attributes:
        text: as printed; empty prints an em dash.
        spread: standard deviation over seeds as printed, or empty.
        rank: whether it is the best or second of its column.
        marks: of the notes it refers to.
        badge: what became of the published number beside it.
    """

    text: str = ""
    spread: str = ""
    rank: Rank = ""
    marks: tuple[str, ...] = ()
    badge: Badge = ""

    @property
    def plain(self) -> str:
        """The cell without rank and marks."""
        text = self.text or DASH
        return f"{text} ± {self.spread}" if self.spread else text


@dataclass(frozen=True)
class Line:
    """One method: its label, marks on the label, and a cell a column."""

    label: str
    cells: tuple[Cell, ...]
    marks: tuple[str, ...] = ()


@dataclass(frozen=True)
class Note:
    """A sentence below the table, and the mark that refers to it."""

    mark: str
    text: str


@dataclass(frozen=True)
class Table:
    """A table, ready to be rendered: everything in it is plain text that still has to be escaped."""

    caption: str
    columns: tuple[Column, ...]
    lines: tuple[Line, ...]
    notes: tuple[Note, ...] = ()
    limited: bool = False
    label: str = "tab:results"


@dataclass
class Notes:
    """Gives every different sentence a mark, in order of first use: a, b, …, z, aa, ab, …"""

    texts: dict[str, str] = field(default_factory=dict)

    def mark(self, text: str) -> str:
        """The mark of that sentence."""
        return self.texts.setdefault(text, _letters(len(self.texts)))


def _letters(index: int) -> str:
    head, last = divmod(index, 26)
    return (_letters(head - 1) if head else "") + string.ascii_lowercase[last]


@dataclass(frozen=True)
class Group:
    """The entries that one line has for one dataset: the seeds of one experiment under one set of rules."""

    entries: tuple[Entry, ...]

    @property
    def scored(self) -> tuple[Entry, ...]:
        return tuple(entry for entry in self.entries if entry.scored)


def comparison_table(entries: Sequence[Entry], *, title: str, mixed: Mixed = "refuse") -> Table:
    """The table of a suite's rows: per dataset IoU, nIoU, F1, Pd and Fa, then what a forward pass costs.

    Args:
        title: first sentence of the caption.
        mixed: what to do with rows of one dataset under different rules: refuse, or mark each of their cells.

    Raises:
        MixedRulesError: when rows of one dataset differ in protocol, split, test list, input or scoring.
        TableError: when one label stands for several experiments that differ in more than the seed.
    """
    if not entries:
        raise TableError(f"table {title!r}: found no rows, expected at least one")
    datasets = tuple(dict.fromkeys(entry.dataset for entry in entries))
    if mixed == "refuse":
        for dataset in datasets:
            refuse_mixing(dataset, [entry for entry in entries if entry.dataset == dataset])
    notes = Notes()
    lines = _group(entries, datasets)
    metrics = metrics_shown(entry.scored.scores for entry in entries if entry.scored)
    settings = _differing_settings(lines)
    columns, cells = _setting_cells(lines, settings)
    for dataset in datasets:
        more, block = _dataset_cells(lines, dataset, metrics=metrics, notes=notes)
        columns += more
        cells = [old + new for old, new in zip(cells, block, strict=True)]
    place = choose_cost(tuple(entries))
    if place is not None:
        costs = [_cost_cells(groups, place, notes) for _, groups in lines]
        columns += COST_COLUMNS
        cells = [old + new for old, new in zip(cells, costs, strict=True)]
    return Table(
        caption=_caption(entries, datasets, title=title, lines=lines),
        columns=tuple(columns),
        lines=tuple(
            _line(label, tuple(groups.values()), tuple(c)) for (label, groups), c in zip(lines, cells, strict=True)
        ),
        notes=(*_sign_notes(entries), *(Note(mark, text) for text, mark in notes.texts.items())),
        limited=any(entry.is_limited for entry in entries),
    )


Lines = list[tuple[str, dict[str, Group]]]


def _group(entries: Sequence[Entry], datasets: Sequence[str]) -> Lines:
    """Per label one line; several where it has several sets of rules on one dataset, which only a marked table may."""
    lines: dict[tuple[str, int], dict[str, Group]] = {}
    for label in dict.fromkeys(entry.row.label for entry in entries):
        for dataset in datasets:
            mine = [entry for entry in entries if entry.row.label == label and entry.dataset == dataset]
            for index, group in enumerate(_by_rules(mine)):
                _check_group(group, label=label, dataset=dataset)
                lines.setdefault((label, index), {})[dataset] = Group(group)
    return [(label, groups) for (label, _), groups in lines.items()]


def _by_rules(entries: Sequence[Entry]) -> Iterator[tuple[Entry, ...]]:
    if entries:
        for rules in rulings(entries):
            yield tuple(entry for entry in entries if rules_of(entry).agrees(rules))


def _check_group(entries: tuple[Entry, ...], *, label: str, dataset: str) -> None:
    """Refuse to average what is not the same experiment under different seeds."""
    seeds: dict[int, str] = {}
    for entry in entries:
        other = seeds.setdefault(entry.row.seed, entry.row.key)
        if other != entry.row.key:
            raise TableError(
                f"{label!r} on {dataset}: results {other} and {entry.row.key} share seed {entry.row.seed}; "
                "give the rows different labels"
            )
    experiments = {same_but_seed(entry.scored.experiment): entry.row.key for entry in entries if entry.scored}
    if len(experiments) > 1:
        first, second, *_ = experiments.values()
        raise TableError(
            f"{label!r} on {dataset}: results {first} and {second} differ in more than the seed; "
            "give the rows different labels"
        )


def _dataset_cells(
    lines: Lines, dataset: str, *, metrics: Sequence[Metric], notes: Notes
) -> tuple[list[Column], list[list[Cell]]]:
    """The columns of one dataset, and per line its cells."""
    entries = [e for _, groups in lines if dataset in groups for e in groups[dataset].entries]
    rules = rulings(entries)
    columns = [Column(m.head, dataset, m.unit, m.better) for m in metrics]
    block = []
    for _, groups in lines:
        group = groups.get(dataset)
        marks = _cell_marks(group, rules, notes) if group else ()
        optimistic = _is_partly_optimistic(groups, dataset)
        extra = (*marks, *([OPTIMISTIC] if optimistic else []))
        block.append([_metric_cell(group, metric, notes, extra) for metric in metrics])
    if len(rules) > 1:
        return columns, block
    ranked = [_rank([line[i] for line in block], metric) for i, metric in enumerate(metrics)]
    return columns, [list(line) for line in zip(*ranked, strict=True)]


def _cell_marks(group: Group, rules: Sequence[Rules], notes: Notes) -> tuple[str, ...]:
    """The note with the rules of this group, where the dataset's rows have several sets of rules."""
    if len(rules) < 2 or not group.scored:
        return ()
    mine = next(r for r in rules if rules_of(group.scored[0]).agrees(r))
    return (notes.mark(f"made under other rules than its neighbours: {mine}"),)


def _is_partly_optimistic(groups: dict[str, Group], dataset: str) -> bool:
    """Whether this dataset's weights were chosen on the test list while not all of the line's were."""
    if all(_is_optimistic(group) for group in groups.values() if group.scored):
        return False
    return dataset in groups and _is_optimistic(groups[dataset])


def _is_optimistic(group: Group) -> bool:
    return any(entry.scored and entry.scored.optimistic for entry in group.entries)


def _metric_cell(group: Group | None, metric: Metric, notes: Notes, extra: tuple[str, ...]) -> Cell:
    """Mean and deviation of one metric over the seeds that have it; an em dash with the reason where none has."""
    if group is None:
        return Cell(marks=(notes.mark("not part of the suite"),))
    values, absent = _values(group, metric)
    marks = (notes.mark(_absence(absent, among=len(group.entries))),) if absent else ()
    if not values:
        return Cell(marks=marks)
    spread = metric.printed(statistics.stdev(values)) if len(values) > 1 else ""
    return Cell(metric.printed(statistics.fmean(values)), spread, marks=(*extra, *marks))


def _values(group: Group, metric: Metric) -> tuple[list[float], dict[int, str]]:
    """The values there are, and per seed without one the reason."""
    values, absent = [], {}
    for entry in group.entries:
        score = metric.score(entry.scored.scores) if entry.scored else None
        if score is not None and score.value is not None:
            values.append(score.value)
        else:
            absent[entry.row.seed] = entry.reason or _why_null(score, metric)
    return values, absent


def _absence(reasons: Mapping[int, str], *, among: int) -> str:
    """Why seeds have no value, as one sentence; the seeds are named where there are several.

    >>> _absence({1: "not run", 2: "not run"}, among=3)
    'seeds 1, 2 without value: not run'
    """
    if among == 1:
        return next(iter(reasons.values()))
    parts = []
    for reason in dict.fromkeys(reasons.values()):
        seeds = [str(seed) for seed, its in reasons.items() if its == reason]
        parts.append(f"seed{'s' if len(seeds) > 1 else ''} {', '.join(seeds)} without value: {reason}")
    return "; ".join(parts)


def _why_null(score: Score | None, metric: Metric) -> str:
    if score is None:
        return f"{metric.id} is not among its scores"
    return f"{metric.id} undefined: {one_line(score.reason) or 'no reason recorded'}"


def _rank(cells: list[Cell], metric: Metric) -> list[Cell]:
    """The cells of one column with best and second marked: values that print alike share, a lone value is neither."""
    values = [float(cell.text) for cell in cells if cell.text]
    order = sorted(set(values), reverse=metric.better == "higher")
    if len(values) < 2:
        return cells
    ranks: dict[float, Rank] = dict(zip(order, ("best", "second"), strict=False))
    return [replace(c, rank=ranks.get(float(c.text), "")) if c.text else c for c in cells]


COST_COLUMNS = [
    Column("Params", "Cost", "M"),
    Column("MACs", "Cost", "G"),
    Column("FPS", "Cost", "images/s"),
]


def _cost_cells(groups: dict[str, Group], place: tuple[str, str], notes: Notes) -> list[Cell]:
    """Parameters, MACs of one round times rounds, and images a second, of the first result that has them."""
    entries = [entry for group in groups.values() for entry in group.entries]
    scored = [entry.scored for entry in entries if entry.scored]
    cost = next((c for result in scored if (c := cost_on(result, place))), None)
    if cost is None:
        absent = {entry.row.seed: entry.reason for entry in entries}
        reason = f"no cost measured on {place[0]}" if scored else _absence(absent, among=len(absent))
        return [Cell(marks=(notes.mark(reason),))] * len(COST_COLUMNS)
    parameters = f"{cost.parameters / 1e6:.3f}" if cost.parameters else "0"
    return [Cell(parameters), _macs_cell(cost, notes), Cell(f"{cost.images_per_s:.1f}")]


def _macs_cell(cost: Cost, notes: Notes) -> Cell:
    if cost.macs is None:
        return Cell(marks=(notes.mark("no MACs: not made of operators that are counted"),))
    per_round = f"{cost.macs / 1e9:.3f}" if cost.macs < 1e10 else f"{cost.macs / 1e9:.2f}"
    return Cell(f"{per_round} × {cost.rounds}" if cost.rounds > 1 else per_round)


def _differing_settings(lines: Lines) -> tuple[str, ...]:
    """The yes-or-no settings in which an ablation's networks differ; none where no row ablates another network."""
    configs = [config for _, groups in lines if (config := _config(groups)) is not None]
    if not any(e.scored and e.scored.model.ablates for _, groups in lines for g in groups.values() for e in g.entries):
        return ()
    names = dict.fromkeys(name for config in configs for name in config)
    found = {name: {config.get(name) for config in configs} for name in names}
    return tuple(n for n, values in found.items() if len(values) > 1 and {True, False} & values and values <= FLAGS)


FLAGS: set[Setting | None] = {True, False, None}


def _config(groups: dict[str, Group]) -> dict[str, Setting] | None:
    for group in groups.values():
        for entry in group.scored:
            if entry.scored:
                return {**dict(entry.scored.model.config), **dict(entry.scored.experiment.weights.config)}
    return None


def _setting_cells(lines: Lines, settings: Sequence[str]) -> tuple[list[Column], list[list[Cell]]]:
    """The columns of an ablation: a tick where the network has the part, a cross where not."""
    columns = [Column(name.replace("_", " "), "Parts", is_text=True) for name in settings]
    signs = {True: "✓", False: "✗"}
    cells = []
    for _, groups in lines:
        config = _config(groups) or {}
        cells.append([Cell(signs.get(config.get(name) is True, "") if name in config else "") for name in settings])
    return columns, cells


def _line(label: str, groups: tuple[Group, ...], cells: tuple[Cell, ...]) -> Line:
    scored = [group for group in groups if group.scored]
    marks = [OPTIMISTIC] if scored and all(map(_is_optimistic, scored)) else []
    if any(entry.is_limited for group in groups for entry in group.entries):
        marks.append(LIMITED)
    return Line(label, cells, tuple(marks))


def _sign_notes(entries: Sequence[Entry]) -> Iterator[Note]:
    if any(entry.scored and entry.scored.optimistic for entry in entries):
        yield Note(OPTIMISTIC, "optimistic: the weights were chosen on the test list")
    if any(entry.is_limited for entry in entries):
        yield Note(LIMITED, LIMITED_NOTICE)


def _caption(entries: Sequence[Entry], datasets: Sequence[str], *, title: str, lines: Lines) -> str:
    """Title, test lists, protocol, scoring, seeds, ranking rule and where speed was measured, as sentences."""
    sentences = [f"{one_line(title).rstrip('.')}."]
    if any(entry.is_limited for entry in entries):
        sentences.insert(0, "LIMITED TRIAL, not comparable with any published number.")
    mixed = [d for d in datasets if len(rulings([e for e in entries if e.dataset == d])) > 1]
    sentences.append(f"Test lists: {'; '.join(_test_lists(entries, datasets))}.")
    sentences.append(f"{_plural('Protocol', [e.row.protocol for e in entries])}.")
    sentences.append(f"{_plural('Scoring', [describe_scoring(e.row.scoring) for e in entries])}.")
    sentences.append(f"{_seed_words(entries)}.")
    if mixed:
        sentences.append(f"Rules differ within {', '.join(mixed)}: its cells are marked and not ranked.")
    if len(lines) > 1:
        sentences.append("Best of each column bold, second underlined; costs are not ranked.")
    if (place := choose_cost(tuple(entries))) is not None:
        sentences.append(_cost_sentence(entries, place))
    return " ".join(sentences)


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


def _seed_words(entries: Sequence[Entry]) -> str:
    seeds = sorted({entry.row.seed for entry in entries})
    if len(seeds) == 1:
        return f"Seed {seeds[0]}"
    return f"Mean ± sample standard deviation over seeds {', '.join(map(str, seeds))}"


def _cost_sentence(entries: Sequence[Entry], place: tuple[str, str]) -> str:
    costs = [c for e in entries if e.scored and (c := cost_on(e.scored, place))]
    sizes = " and ".join(dict.fromkeys(f"{c.size[0]} × {c.size[1]}" for c in costs))
    counters = " and ".join(dict.fromkeys(c.macs_counter for c in costs if c.macs is not None))
    macs = f"MACs of one feedback round × rounds ({counters}); " if counters else ""
    return f"Costs at {sizes} pixels, batch 1: {macs}FPS of all rounds on {place[0]}, {place[1]}."
