"""The figures of feedback: metrics over rounds, changes of the masks, ablations, and first masks."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from bench.errors import StoreError
from reports.columns import metrics_shown, role_of
from reports.figures.figure import Drawn, rules_words, words_of
from reports.figures.select import with_feedback
from reports.render.csv_markdown import UNITS
from reports.results.entries import Entry, one_line
from reports.tables.rounds import ROLES


def feedback_figures(entries: Sequence[Entry], notes: list[str]) -> Iterator[Drawn]:
    """Every figure of feedback rounds, where any method has more than one; what cannot be drawn is said in `notes`."""
    if not any(entry.scored and len(entry.scored.rounds) > 1 for entry in entries):
        return
    for draw in (_metrics_figure, _changes_figure, _start_figures):
        try:
            yield from draw(entries)
        except StoreError as error:
            notes.append(f"a figure of feedback is not drawn: {one_line(str(error))}")


def _metrics_figure(entries: Sequence[Entry]) -> Iterator[Drawn]:
    """IoU, Pd and Fa after every round."""
    from reports.figures import feedback_data
    from reports.plots import rounds

    shown = with_feedback(entries)
    metrics = [m for m in metrics_shown(e.scored.scores for e in entries if e.scored) if role_of(m) in ROLES]
    panels = feedback_data.metric_panels(shown.entries, metrics)
    if panels:
        heads = ", ".join(metric.head for metric in metrics)
        sentences = [f"{heads} after every feedback round.", shown.left_out, rules_words(shown.entries)]
        yield Drawn("rounds", rounds.rounds_figure(panels, most=len(metrics)), " ".join(filter(None, sentences)))


def variant_figures(entries: Sequence[Entry]) -> Iterator[Drawn]:
    """The ablations of networks with feedback, each beside the full network."""
    from reports.figures import feedback_data
    from reports.plots import variants

    metric = metrics_shown(entry.scored.scores for entry in entries if entry.scored)[0]
    for number, (family, panels) in enumerate(feedback_data.variant_panels(entries, metric)):
        figure = variants.variants_figure(panels, y=f"{metric.head} difference ({UNITS[metric.unit]})")
        shown = [entry for row in family.rows if row.label in (*panels, family.label) for entry in row.entries]
        caption = (
            f"{metric.head} of each ablation less that of {family.label} after the same feedback round, "
            f"on the same axes. {rules_words(shown, seeds='mean over seeds')}"
        )
        yield Drawn("rounds-ablation" + (f"-{words_of(family.model)}" if number else ""), figure, caption)


def _changes_figure(entries: Sequence[Entry]) -> Iterator[Drawn]:
    """How much every round changes the masks, and how many images it leaves alone."""
    from reports.figures import feedback_data
    from reports.plots import rounds

    shown = with_feedback(entries)
    panels = feedback_data.change_panels(shown.entries)
    if panels:
        sentences = [
            "Left: pixels in which the binary mask differs from the round before, mean over images; zero lies on the "
            "lower edge. Right: images whose mask no later round changes.",
            shown.left_out,
            rules_words(shown.entries),
        ]
        caption = " ".join(filter(None, sentences))
        yield Drawn("mask-changes", rounds.rounds_figure(panels, most=2), caption)


def _start_figures(entries: Sequence[Entry]) -> Iterator[Drawn]:
    """A network from several first masks, where the suite has one."""
    from reports.figures import feedback_data
    from reports.plots import start_masks

    metric = metrics_shown(entry.scored.scores for entry in entries if entry.scored)[0]
    for number, (members, panels) in enumerate(feedback_data.start_panels(entries, metric)):
        figure = start_masks.starts_figure(panels, y=f"{metric.head} ({UNITS[metric.unit]})")
        unknown = any(curve.x[0] > 0 for curves in panels.values() for curve in curves)
        caption = (
            f"{metric.head} of {members[0].row.model} from different first feedback masks; round 0 is the mask itself"
            f"{', where it is stored' if unknown else ''}. {rules_words(members, seeds='mean over seeds')}"
        )
        name = "start-masks" + (f"-{words_of(members[0].row.model)}" if number else "")
        yield Drawn(name, figure, caption)
