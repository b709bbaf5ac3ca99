"""Every figure that a suite's files allow, with captions that say under which rules its numbers were made."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from bench.errors import StoreError
from bench.metrics.curves import CurveCounts
from reports.columns import metrics_shown
from reports.figures.errors import error_figures
from reports.figures.feedback import feedback_figures, variant_figures
from reports.figures.figure import Drawn, file_stem, rules_words
from reports.figures.select import without_ablations
from reports.figures.strata import strata_figures
from reports.render.csv_markdown import UNITS
from reports.results.entries import Entry, one_line

if TYPE_CHECKING:
    from reports.plots.curves import Curve


def draw_figures(entries: Sequence[Entry], notes: list[str]) -> list[Drawn]:
    """Every figure the suite's files allow; what cannot be drawn is said in `notes`.

    Of many methods, ablations are drawn beside their full network alone, in a figure of their own.
    """
    if not entries:
        return []
    shown = without_ablations(entries)
    drawn = [
        *_tradeoff_figures(shown.entries),
        *_threshold_figures(shown.entries, notes),
        *_distance_figure(shown.entries, notes),
        *error_figures(shown.entries),
        *strata_figures(shown.entries),
        *feedback_figures(shown.entries, notes),
        *_loss_figure(shown.entries, notes),
    ]
    if not shown.left_out:
        return [*drawn, *_pictures(entries, notes)]
    notes.append(f"figures of so many methods show no ablations but in figures/rounds-ablation. {shown.left_out}")
    drawn = [replace(each, caption=f"{each.caption} {shown.left_out}") for each in drawn]
    return [*drawn, *variant_figures(entries), *_pictures(shown.entries, notes)]


def _tradeoff_figures(entries: Sequence[Entry]) -> Iterator[Drawn]:
    """Accuracy against MACs and against latency, of all results with costs."""
    from reports.figures import tradeoff as cost_points
    from reports.plots import tradeoff

    metric = metrics_shown(entry.scored.scores for entry in entries if entry.scored)[0]
    for axis in cost_points.cost_axes(entries):
        found = cost_points.cost_points(entries, axis, metric)
        if not found.panels:
            continue
        figure = tradeoff.tradeoff_figure(found.panels, x=axis.head, y=f"{metric.head} ({UNITS[metric.unit]})")
        points = [point for members in found.panels.values() for point in members]
        sentences = [
            f"{metric.head} against {axis.words}.",
            *tradeoff.explain(points),
            cost_points.not_drawn(found),
            rules_words(entries, seeds="mean over seeds"),
        ]
        yield Drawn(axis.name, figure, " ".join(filter(None, sentences)))


def _threshold_figures(entries: Sequence[Entry], notes: list[str]) -> Iterator[Drawn]:
    """ROC, precision-recall and Pd-Fa of all results with curves."""
    from reports.figures import curve_data
    from reports.plots import curves

    counted: dict[str, list[tuple[Entry, CurveCounts]]] = {}
    broken = []
    for dataset, members in curve_data.by_dataset(entries).items():
        for entry in members:
            try:
                read = curve_data.read_curves(entry)
            except StoreError as error:
                broken.append(str(error))
                continue
            counted.setdefault(dataset, []).append((entry, read))
    if broken:
        more = f", and {len(broken) - 1} more" if len(broken) > 1 else ""
        notes.append(f"no curves drawn for {one_line(broken[0])}{more}")
    if not counted:
        return

    def panels(make: Callable[..., Curve]) -> dict[str, list[Curve]]:
        return {d: [make(e.name, counts, e.row.scoring) for e, counts in some] for d, some in counted.items()}

    threshold = " and ".join(dict.fromkeys(f"{entry.row.scoring.threshold:g}" for entry in entries))
    at = f"Markers: operating point at probability > {threshold}."
    rules = rules_words(entries)
    yield Drawn("roc", curves.roc_figure(panels(curve_data.roc_curve)), f"ROC of pixels. {at} {rules}")
    figure = curves.precision_recall_figure(panels(curve_data.precision_recall_curve))
    yield Drawn("precision-recall", figure, f"Precision and recall of pixels. {at} {rules}")
    if all(entry.row.scoring.ground_truth == "binary" for some in counted.values() for entry, _ in some):
        figure = curves.iou_figure(panels(curve_data.iou_curve))
        words = "Pooled IoU over the threshold of probability: whether a method hangs on the one it is judged at."
        yield Drawn("iou-threshold", figure, f"{words} {at} {rules}")
    figure = curves.pd_fa_figure(panels(curve_data.pd_fa_curve))
    words = "Detection of targets against false alarms at every threshold, from the highest level on."
    yield Drawn("pd-fa", figure, f"{words} {at} {rules}")


def _distance_figure(entries: Sequence[Entry], notes: list[str]) -> Iterator[Drawn]:
    """Pd and Fa over the distance at which a target counts as found."""
    from reports.figures import curve_data
    from reports.plots import rounds

    try:
        panels = curve_data.distance_panels(entries)
    except StoreError as error:
        notes.append(f"detections over distance are not drawn: {one_line(str(error))}")
        return
    if panels:
        caption = (
            "Detections and false alarms when a target counts as found with a component's centroid nearer than 1 to "
            f"10 px; the tables use {_distances_words(entries)}. An Fa of zero lies on the lower edge. "
            f"{rules_words(entries)}"
        )
        figure = rounds.rounds_figure(panels, most=2, x="Distance of centroids (px)")
        yield Drawn("distances", figure, caption)


def _distances_words(entries: Sequence[Entry]) -> str:
    return " and ".join(dict.fromkeys(f"{entry.row.scoring.distance:g} px" for entry in entries))


def _loss_figure(entries: Sequence[Entry], notes: list[str]) -> Iterator[Drawn]:
    """Training loss over epochs, of all trainings whose log is there."""
    from reports.figures import curve_data
    from reports.plots import curves

    panels: dict[str, list[curves.LossCurve]] = {}
    seen: set[tuple[str, str]] = set()
    for dataset, members in curve_data.by_dataset(entries).items():
        for entry in members:
            training = (dataset, curve_data.training_key(entry))
            if training in seen:
                continue
            seen.add(training)
            try:
                curve = curve_data.read_loss(entry)
            except StoreError as error:
                notes.append(f"no training curve drawn: {one_line(str(error))}")
                continue
            if curve is not None:
                panels.setdefault(dataset, []).append(curve)
    if panels:
        caption = (
            "Training loss of every epoch, each training once, by test set. Markers: the epoch whose weights were "
            "kept. Losses of different kinds cannot be compared."
        )
        yield Drawn("loss", curves.loss_figure(panels), caption)


def _pictures(entries: Sequence[Entry], notes: list[str]) -> Iterator[Drawn]:
    """Per method and dataset, rows of image, mask and feedback rounds, of its first seed with examples."""
    from reports.figures import curve_data
    from reports.plots import examples

    seen: set[tuple[str, str]] = set()
    for entry in (entry for members in curve_data.by_dataset(entries).values() for entry in members):
        if (entry.row.label, entry.dataset) in seen:
            continue
        try:
            rows = curve_data.read_examples(entry)
        except StoreError as error:
            notes.append(f"no pictures drawn: {one_line(curve_data.name_without_folder(error, entry))}")
            continue
        if not rows:
            continue
        seen.add((entry.row.label, entry.dataset))
        figure = examples.picture_figure(rows, scoring=entry.row.scoring)
        caption = (
            f"{entry.name} on {entry.dataset}: probability {_rounds_words(entry)}; "
            f"the largest target enlarged in a corner. {rules_words([entry])}"
        )
        yield Drawn(f"pictures-{file_stem(entry)}", figure, caption)


def _rounds_words(entry: Entry) -> str:
    """`after feedback rounds`, where the network has several."""
    return "after feedback rounds" if entry.scored and entry.scored.experiment.rounds > 1 else "of a target"
