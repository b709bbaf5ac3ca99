"""A suite's rows with what came of them, as records and as a pandas DataFrame: failed and missing ones stay in."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench.csv_cells import guard_cell
from bench.errors import StoreError
from bench.protocols.scorings import describe_scoring
from bench.store.files import NO_COST, SCORED_FILE, Manifest, read_manifest, read_result
from bench.types import Cost, Experiment, Method, Predictions, Row, RunResult, Training, Weights

if TYPE_CHECKING:
    import pandas as pd


ORACLE_START = "ground-truth"

STARTS = {
    "otsu": "Otsu",
    "zeros": "all zeros",
    "ones": "all ones",
    "noise": "noise",
    ORACLE_START: "ground truth",
}
"""What tables and figures call a first feedback mask."""


UNKNOWN = "not known of given predictions"


@dataclass(frozen=True)
class Entry:
    """A row of a suite and its result.

    Attributes:
        row: as the manifest planned it.
        folder: where its files lie.
        result: None where there is none that answers the row.
        reason: why there are no scores; empty where there are.
    """

    row: Row
    folder: Path
    result: RunResult | None = None
    reason: str = ""

    @property
    def scored(self) -> RunResult | None:
        """The result, where it has scores to show."""
        return None if self.reason else self.result

    @property
    def is_limited(self) -> bool:
        """True where a trial limit shortened its lists."""
        return self.result is not None and (self.result.status == "limited" or self.result.experiment.is_limited)

    @property
    def is_given(self) -> bool:
        """True where its predictions were given, so that nothing is known of a seed."""
        return self.result is not None and isinstance(self.result.experiment.weights, Predictions)

    @property
    def titled(self) -> str:
        """Its title with its seed, where it has one."""
        return self.row.title if self.is_given else f"{self.row.title}, seed {self.row.seed}"

    @property
    def has_curves(self) -> bool:
        """False where its predictions are masks of 0 and 1, which have one threshold."""
        weights = self.result.experiment.weights if self.result else None
        return not (isinstance(weights, Predictions) and weights.is_binary)

    @property
    def is_oracle(self) -> bool:
        """True where its first feedback mask is the ground truth, which is unknown in use."""
        return self.result is not None and self.result.experiment.start == ORACLE_START

    @property
    def leaked(self) -> int:
        """Test images that its weights learnt from, as the suite or the result says."""
        return max(self.row.leaked, self.result.leaked if self.result else 0)

    @property
    def leak_words(self) -> str:
        """`417 of 664 test images were in the training list`, or nothing."""
        if not self.leaked:
            return ""
        among = f" of {self.result.experiment.images.count}" if self.result else ""
        return f"{self.leaked}{among} test images were in the training list"

    @property
    def name(self) -> str:
        """Its label as figures and captions print it: an oracle is called one, and so is a leak."""
        label = self.row.label
        for word, is_so in (("oracle", self.is_oracle), ("leak", bool(self.leaked))):
            label += f" ({word})" if is_so and word not in label.lower() else ""
        return label

    @property
    def dataset(self) -> str:
        """Name of the test set, with its corruption."""
        return self.row.test_set

    @property
    def is_plain(self) -> bool:
        """True where it was tested on clean images of the dataset that it learnt from, if it learnt at all."""
        return not self.row.corruption and not self.row.is_transferred


def plain_entries(entries: Sequence[Entry]) -> tuple[Entry, ...]:
    """The entries on clean test images with weights of the same dataset; the others have tables of their own.

    Of a suite that tests everything elsewhere it is all on clean images, each under a label that names what it learnt
    from.
    """
    return tuple(entry for entry in entries if entry.is_plain) or tuple(
        by_title(entry) for entry in entries if not entry.row.corruption
    )


def by_title(entry: Entry) -> Entry:
    """The entry with what it learnt from in its label, where that is another dataset."""
    return replace(entry, row=replace(entry.row, label=entry.row.title, trained_on=""))


def read_suite(root: Path, suite: str) -> tuple[Manifest, tuple[Entry, ...]]:
    """The manifest of a suite's last run below `root`, and one entry a row, in its order.

    Raises:
        StoreError: when the suite has no readable manifest there.
    """
    manifest = read_manifest(root, suite)
    if not manifest.rows:
        raise StoreError(f"suite {suite!r}: its manifest has no rows, expected at least one; run the suite again")
    unreached = manifest.unreached
    return manifest, tuple(
        read_entry(root / row.key, row, absent=unreached.get(row.key, "not run")) for row in manifest.rows
    )


def read_entry(folder: Path, row: Row, *, absent: str = "not run") -> Entry:
    """The entry of one row; a result that is missing, unreadable or not what the row asks for becomes a reason.

    Args:
        absent: the reason where there is no result at all.
    """
    if not (folder / "result.json").is_file():
        return Entry(row, folder, reason=NO_COST if (folder / SCORED_FILE).is_file() else absent)
    try:
        result = read_result(folder)
    except StoreError as error:
        named = str(error).replace(str(folder / "result.json"), f"{row.key}/result.json")
        return Entry(row, folder, reason=f"unreadable result: {one_line(named)}")
    return entry_of(row, folder, result)


def entry_of(row: Row, folder: Path, result: RunResult) -> Entry:
    """The entry of a row whose result has been read."""
    if contradiction := _contradiction(row, result):
        return Entry(row, folder, result, f"not used: {contradiction}")
    if result.status == "failed":
        return Entry(row, folder, result, f"failed: {one_line(result.reason) or 'no reason recorded'}")
    if not result.scores:
        return Entry(row, folder, result, "no scores in its result")
    if not result.rounds:
        return Entry(row, folder, result, "no scores of its rounds in its result")
    return Entry(row, folder, result)


def _contradiction(row: Row, result: RunResult) -> str:
    """First difference between a stored result and its row of the manifest; empty where there is none."""
    images = result.experiment.images
    pairs = (
        ("key", result.key, row.key),
        ("model", result.experiment.model, row.model),
        ("test set", f"{images.dataset}/{images.split}", f"{row.dataset}/{row.split}"),
        ("corruption", result.experiment.corruption, row.corruption),
        ("training set", _learnt_from(result.experiment) if row.trained_on else "", row.trained_on),
        ("protocol", result.protocol, row.protocol),
    )
    for name, found, expected in pairs:
        if found != expected:
            return f"the result's {name} is {found!r}, the suite expects {expected!r}"
    if result.scoring != row.scoring:
        return (
            f"the result is scored as {describe_scoring(result.scoring)}, "
            f"the suite expects {describe_scoring(row.scoring)}"
        )
    return ""


def _learnt_from(experiment: Experiment) -> str:
    """Name of the dataset that the weights, or a detector's level, were learnt from; empty where it is not known."""
    weights = experiment.weights
    if isinstance(weights, Weights):
        return weights.learnt_from[0].dataset if weights.learnt_from else ""
    return weights.images.dataset if isinstance(weights, Training | Method) and weights.images else ""


def one_line(text: str, *, limit: int = 240) -> str:
    """The text without line breaks and control characters, cut with an ellipsis after `limit` characters."""
    flat = " ".join("".join(c if c.isprintable() else " " for c in text).split())
    return flat if len(flat) <= limit else flat[: limit - 1].rstrip() + "…"


def describe_input(experiment: Experiment) -> str:
    """Conversion of an image to a tensor, in words."""
    if isinstance(experiment.weights, Predictions):
        return UNKNOWN
    rule = experiment.input
    size = f"resized to {rule.size[0]} × {rule.size[1]}" if rule.size else f"native, padded to × {rule.multiple}"
    source = f" from {rule.source}" if rule.source else ""
    return f"{rule.decoder}, {rule.channels} channel(s), {size}, (grey - {rule.mean:g}) / {rule.std:g}{source}"


def describe_selection(experiment: Experiment) -> str:
    """Selection of weights, in words."""
    weights = experiment.weights
    if isinstance(weights, Method):
        settings = dict(weights.config)
        if weights.images is None:
            return f"threshold {settings.get('rule')} at {settings.get('level')}"
        chosen = f"{weights.images.dataset}/{weights.images.split}/{weights.images.part}"
        return f"threshold {settings.get('rule')} at the level with the best IoU on {chosen}"
    if isinstance(weights, Predictions):
        return f"given predictions {weights.place}, SHA-256 {weights.sha256[:12]}"
    if isinstance(weights, Weights):
        return f"given weights, SHA-256 {weights.sha256[:12]}"
    rule = weights.selection
    return "last epoch" if rule.rule == "last" else f"best {rule.criterion} on {rule.on}, every {rule.every} epoch(s)"


def describe_recipe(experiment: Experiment) -> str:
    """Training recipe of the weights, in words."""
    if isinstance(experiment.weights, Method):
        return "nothing to learn"
    if isinstance(experiment.weights, Predictions):
        return UNKNOWN
    if isinstance(experiment.weights, Weights):
        return "not trained here"
    r = experiment.weights.recipe
    crop = f"crop {r.patch}" if r.patch else "whole images"
    return (
        f"{r.optimiser} {r.lr:g}, {r.schedule}, {r.epochs} epochs of batch {r.batch}, {r.loss}, "
        f"{r.augmentation} augmentation, {crop}, trained on {r.device}"
    )


def status_of(entry: Entry) -> str:
    """`done`, `limited`, `failed`, or `missing` where there is no readable result."""
    if entry.result is None:
        return "missing"
    if entry.reason:
        return "failed"
    return "limited" if entry.is_limited else entry.result.status


def same_but_seed(experiment: Experiment) -> Experiment:
    """The experiment with its seed taken out, so that repetitions of one experiment are equal."""
    weights = experiment.weights
    if isinstance(weights, Training):
        return replace(experiment, weights=replace(weights, seed=0))
    if isinstance(weights, Method | Predictions):
        return experiment
    return replace(experiment, weights=replace(weights, sha256="", path=""))


def choose_cost(entries: tuple[Entry, ...]) -> tuple[str, str] | None:
    """The (device, precision) that most entries were timed on, the first met on a tie; None without costs."""
    counts: dict[tuple[str, str], int] = {}
    for entry in entries:
        for place in dict.fromkeys((c.device, c.precision) for c in (entry.scored.costs if entry.scored else ())):
            counts[place] = counts.get(place, 0) + 1
    return max(counts, key=lambda place: counts[place]) if counts else None


def cost_on(result: RunResult, place: tuple[str, str] | None) -> Cost | None:
    """The result's cost on that (device, precision), or None; a classical detector's on that device, it has its own."""
    return next((cost for cost in result.costs if place is not None and is_of(cost, place)), None)


def is_of(cost: Cost, place: tuple[str, str]) -> bool:
    """True where a cost was measured on that device, and in that precision unless it is a classical detector's."""
    return cost.device == place[0] and (cost.precision == place[1] or cost.macs is None)


def to_frame(entries: tuple[Entry, ...]) -> pd.DataFrame:
    """One line a suite row, scores as plain fractions under their ids, costs in SI units; missing values are null."""
    import pandas as pd  # here, so that the command line starts without it

    place = choose_cost(entries)
    return pd.DataFrame([_line(entry, place) for entry in entries])


def results_csv(entries: tuple[Entry, ...]) -> str:
    """The lines of `to_frame` as its `to_csv` writes them, without pandas; no text is a spreadsheet's formula."""
    place = choose_cost(entries)
    lines = [_line(entry, place) for entry in entries]
    names = list(dict.fromkeys(name for line in lines for name in line))
    columns = [_column([line.get(name) for line in lines]) for name in names]
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow([guard_cell(name) for name in names])
    writer.writerows(zip(*columns, strict=True))
    return text.getvalue()


def _column(values: Sequence[Any]) -> list[Any]:
    """Cells of a column; whole numbers beside missing ones or fractions are written as fractions, too."""
    has_fractions = None in values or any(isinstance(value, float) for value in values)

    def cell(value: Any) -> Any:
        if isinstance(value, str):
            return guard_cell(value)
        return float(value) if has_fractions and isinstance(value, int) and not isinstance(value, bool) else value

    return [cell(value) for value in values]


def _line(entry: Entry, place: tuple[str, str] | None) -> dict[str, Any]:
    row, result = entry.row, entry.result
    line: dict[str, Any] = {
        "label": row.label,
        "model": row.model,
        "dataset": entry.dataset,
        "corruption": row.corruption,
        "trained_on": row.trained_on,
        "split": row.split,
        "protocol": row.protocol,
        "scoring": row.scoring.name,
        "seed": row.seed,
        "key": row.key,
        "status": status_of(entry),
        "reason": entry.reason,
        "optimistic": bool(result and result.optimistic),
        "limited": entry.is_limited,
        "start": entry.result.experiment.start if entry.result else "",
        "oracle": entry.is_oracle,
        "leaked": entry.leaked,
    }
    if (scored := entry.scored) is None:
        return line
    line |= {"epochs": scored.epochs, "best_epoch": scored.best_epoch}
    line |= {name: score.value for name, score in scored.scores.items()}
    if cost := cost_on(scored, place):
        line |= {
            "parameters": cost.parameters,
            "macs_per_round": cost.macs,
            "rounds": cost.rounds,
            "latency_p50_ms": cost.latency_p50,
            "latency_p95_ms": cost.latency_p95,
            "images_per_s": cost.images_per_s,
            "every_round": cost.every_round,
            "others_busy": cost.others_busy,
            "early_end_images_per_s": cost.early_end.images_per_s if cost.early_end else None,
            "early_end_rounds": cost.early_end.rounds if cost.early_end else None,
            "cost_device": cost.device,
            "cost_precision": cost.precision,
            "cost_size": f"{cost.size[0]}x{cost.size[1]}",
        }
    return line
