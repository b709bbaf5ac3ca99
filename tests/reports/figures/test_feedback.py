"""Figures of feedback hold the numbers of their results, leave out what would hide them, and call an oracle one."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from matplotlib.figure import Figure

from bench.store.files import write_arrays
from bench.types import Score
from reports.build import build_report
from reports.columns import STANDARD_METRICS
from reports.figures.all import draw_figures
from reports.figures.feedback import change_panels, metric_panels, rounds_curve
from reports.figures.select import with_feedback, without_ablations
from reports.figures.start_masks import start_panels
from reports.figures.variants import variant_panels
from reports.plots.curves import Curve
from reports.plots.rounds import CurvePanel, rounds_figure
from reports.plots.start_masks import StartCurve, starts_figure
from reports.plots.variants import variants_figure
from reports.results.entries import Entry
from tests.reports.fake_ablation import CHANGES, FULL, ablation, iterated, started, variant
from tests.reports.fake_runs import ACM, result, write_suite
from tests.reports.tables.test_rounds import FULL_RUN, MADE_TWICE, entry

IOU, FA = STANDARD_METRICS[0], STANDARD_METRICS[4]
MANY = [entry(FULL_RUN), *(entry(iterated(variant(ablation(name)), 0.4, 0.5, 0.6)) for name in CHANGES)]


def points(figure: Figure, panel: int = 0, line: int = 0) -> tuple[list[float], list[float]]:
    drawn = figure.axes[panel].lines[line]
    return np.asarray(drawn.get_xdata()).tolist(), np.asarray(drawn.get_ydata()).tolist()


def legend(figure: Figure) -> list[str]:
    return [text.get_text() for text in figure.legends[0].get_texts()]


def test_metrics_over_rounds_are_drawn_as_printed_a_panel_a_metric():
    panels = metric_panels([entry(FULL_RUN)], [IOU, FA])
    figure = rounds_figure(panels, most=3)
    assert points(figure, 0) == ([1, 2, 3], [50, 62.5, 75])
    assert points(figure, 1)[1] == pytest.approx([20, 20, 20])
    assert [axes.get_ylabel() for axes in figure.axes] == ["IoU (×10⁻²)", "Fa (×10⁻⁶)"]
    assert figure.axes[0].lines[0].get_marker() == "o"


def test_a_round_without_value_leaves_its_curve_out():
    nothing = {"IoU/pooled": Score(None, "fraction", "higher", "no pixels")}
    assert rounds_curve(entry(replace(FULL_RUN, rounds=(nothing,))), IOU) is None


def test_a_network_that_takes_every_pixel_for_a_target_has_an_axis_in_thousands_without_a_power_apart():
    every = Curve("A", np.array([1.0, 2.0, 3.0]), np.array([1e6, 1e6, 40.0]))
    (axes,) = rounds_figure([CurvePanel("X", "Fa (×10⁻⁶)", (every,))], most=3).axes
    axes.figure.canvas.draw()
    assert axes.yaxis.get_offset_text().get_text() == ""
    words = [text.get_text() for text in axes.get_yticklabels()]
    assert words[0] == "0"
    assert words[-1] == "1000k"


def test_an_axis_has_no_tick_above_what_a_metric_can_reach():
    flat = Curve("A", np.array([1.0, 2.0]), np.array([100.0, 100.0]))
    (axes,) = rounds_figure([CurvePanel("X", "Pd", (flat,), ceiling=100.0)], most=3).axes
    assert max(axes.get_yticks()) == 100.0
    assert 100.0 < axes.get_ylim()[1] < 101.0


def test_changes_lie_on_a_logarithm_with_zero_in_a_strip_below_it(tmp_path: Path):
    arrays = {**MADE_TWICE, "changed": np.array([[4, 6], [0, 0]])}
    write_arrays(tmp_path / FULL_RUN.key / "rounds.npz", arrays)
    changed, settled = change_panels([entry(FULL_RUN, tmp_path)])
    assert changed.curves[0].y.tolist() == [5.0, 0.0]
    figure = rounds_figure([changed, settled], most=2)
    rounds, (changed_first, nothing) = points(figure, 0)
    assert (rounds, changed_first) == ([2, 3], 5.0)
    assert figure.axes[0].get_ylim()[0] < nothing < 1.0
    assert figure.axes[0].get_ylim()[1] == 10.0
    assert figure.axes[0].get_yticks()[0] == nothing
    assert figure.axes[0].yaxis.get_ticklabels()[0].get_text() == "0"
    assert points(figure, 1) == ([1, 2], [0.0, 100.0])
    assert change_panels([entry(FULL_RUN)]) == []


def test_masks_that_never_change_lie_on_a_plain_axis():
    still = Curve("A", np.array([2.0, 3.0]), np.array([0.0, 0.0]))
    (axes,) = rounds_figure([CurvePanel("X", "pixels", (still,), is_logarithmic=True)], most=3).axes
    assert (axes.get_yscale(), axes.get_ylim()) == ("linear", (0.0, 1.0))
    assert axes.lines[0].get_ydata().tolist() == [0.0, 0.0]


def test_of_many_methods_ablations_have_a_figure_of_their_own():
    shown = without_ablations(MANY)
    assert [e.row.label for e in shown.entries] == ["DFINet"]
    assert shown.left_out == "Not drawn: 18 ablations of DFINet."
    assert without_ablations(MANY[:7]).left_out == ""
    rivals = [entry(result(replace(ACM, name=f"Net {number}"))) for number in range(9)]
    assert without_ablations([*rivals, *MANY[:4]]).left_out == ""
    assert without_ablations([*rivals, *MANY[:5]]).left_out == "Not drawn: 4 ablations of DFINet."
    drawn = {figure.name: figure for figure in draw_figures(MANY).figures}
    assert legend(drawn["rounds"].figure) == ["DFINet"]
    assert drawn["rounds"].caption.endswith("Not drawn: 18 ablations of DFINet.")
    assert len(drawn["rounds-ablation"].figure.axes) == 18
    assert "Not drawn" not in drawn["rounds-ablation"].caption


def test_of_many_methods_with_feedback_the_first_seven_are_drawn_and_the_others_named():
    entries = [entry(iterated(variant(replace(FULL, name=f"Net {n}")), 0.5, 0.6)) for n in range(9)]
    shown = with_feedback([*entries, entry(result(ACM))])
    assert [e.name for e in shown.entries] == [f"Net {n}" for n in range(7)]
    assert shown.left_out == "Not drawn: Net 7, Net 8."


def test_an_ablation_is_drawn_as_its_difference_to_the_full_network_round_by_round():
    ((family, panels),) = variant_panels(MANY[:2], IOU)
    assert family.label == "DFINet"
    (curve,) = panels["DFINet/no-dfffm"]
    assert (curve.label, curve.x.tolist()) == ("NUDT-SIRST", [1, 2, 3])
    assert curve.y.tolist() == pytest.approx([-10, -12.5, -15])
    figure = variants_figure(panels, y="IoU difference")
    assert points(figure, 0, 1)[1] == pytest.approx([-10, -12.5, -15])
    assert figure.axes[0].get_title() == "DFINet/no-dfffm"


def test_an_ablation_that_starts_from_the_truth_is_no_variant():
    oracle = started(iterated(variant(ablation("no-chpp")), 0.9, 0.9, 0.9), "ground-truth")
    ((_, panels),) = variant_panels([*MANY[:2], entry(oracle)], IOU)
    assert list(panels) == ["DFINet/no-dfffm"]


def starts(folder: Path) -> list[Entry]:
    """DFINet from Otsu, whose own IoU is stored, from noise and from the truth; and an ablation from Otsu alone."""
    write_arrays(folder / FULL_RUN.key / "rounds.npz", MADE_TWICE)
    made = [FULL_RUN, started(FULL_RUN, "noise"), started(FULL_RUN, "ground-truth")]
    entries = [entry(one, folder, f"from {one.experiment.start}") for one in made]
    return [*entries, entry(iterated(variant(ablation("no-chpp")), 0.1, 0.2, 0.3), folder)]


def test_first_masks_of_one_network_are_compared_from_their_own_iou_on(tmp_path: Path):
    ((members, panels),) = start_panels(starts(tmp_path), IOU)
    assert [e.row.label for e in members] == ["from otsu", "from noise", "from ground-truth"]
    otsu, noise, truth = panels["NUDT-SIRST"]
    assert (otsu.start, otsu.x.tolist(), otsu.y.tolist()) == ("otsu", [0, 1, 2, 3], [25, 50, 62.5, 75])
    assert (noise.start, noise.x.tolist(), truth.start) == ("noise", [1, 2, 3], "ground-truth")


def test_the_oracle_is_dashed_called_one_and_kept_from_other_figures(tmp_path: Path):
    drawn = {figure.name: figure for figure in draw_figures(starts(tmp_path)).figures}
    figure = drawn["start-masks"].figure
    assert legend(figure) == ["Otsu", "noise", "ground truth (oracle)"]
    assert [line.get_linestyle() for line in figure.axes[0].lines] == ["-", "-", "--"]
    assert "Oracle, its first feedback mask is the ground truth: from ground-truth." in drawn["start-masks"].caption
    assert legend(drawn["rounds"].figure) == ["from otsu", "from noise", "DFINet/no-chpp"]
    assert "Not drawn: from ground-truth (oracle)." in drawn["rounds"].caption
    assert "from ground-truth (oracle, its first feedback mask is the ground truth)" in drawn["tradeoff-macs"].caption


def test_costs_between_two_powers_of_ten_are_told_by_plain_numbers(tmp_path: Path):
    (axes,) = next(f for f in draw_figures(starts(tmp_path)[:1]).figures if f.name == "tradeoff-macs").figure.axes
    low, high = axes.get_xlim()
    ticks = [tick for tick in axes.get_xticks() if low <= tick <= high]
    assert [axes.xaxis.get_major_formatter()(tick) for tick in ticks] == ["150", "200"]


def test_one_first_mask_alone_makes_no_figure():
    assert list(start_panels([entry(FULL_RUN), *MANY[1:3]], IOU)) == []


def test_a_broken_file_is_told_and_other_figures_are_drawn(tmp_path: Path):
    write_arrays(tmp_path / FULL_RUN.key / "rounds.npz", {"names": MADE_TWICE["names"]})
    made = draw_figures([entry(FULL_RUN, tmp_path)])
    drawn, notes = [figure.name for figure in made.figures], made.notes
    assert "rounds" in drawn
    assert "mask-changes" not in drawn
    assert any(note.startswith("a figure of feedback is not drawn: ") for note in notes)
    assert str(tmp_path) not in " ".join(notes)


def inside(figure: Figure) -> bool:
    """Whether every panel and text lies inside the figure, and none covers the legend."""
    renderer = figure.canvas.get_renderer()  # type: ignore[attr-defined]
    covered = figure.legends[0].get_window_extent(renderer)
    boxes = [artist.get_tightbbox(renderer) for artist in (*figure.axes, *figure.texts)]
    whole = figure.bbox
    return all(
        box is not None
        and not box.overlaps(covered)
        and whole.x0 <= box.x0
        and box.x1 <= whole.x1
        and whole.y0 <= box.y0
        and box.y1 <= whole.y1
        for box in boxes
    )


@pytest.mark.parametrize("datasets", [1, 2])
def test_nothing_of_a_figure_is_cut_off_or_covered(datasets: int):
    curves = tuple(
        Curve(f"A method of a long name {n}", np.arange(1.0, 9), np.linspace(99.9, 100, 8) - n) for n in range(7)
    )
    names = ["NUAA-SIRST", "NUDT-SIRST"][:datasets]
    panels = [CurvePanel(name, "IoU (×10⁻²)", curves, ceiling=100.0) for name in names for _ in range(3)]
    assert inside(rounds_figure(panels, most=3))
    own = [StartCurve(start, np.arange(9.0), np.linspace(0, 100, 9)) for start in ("otsu", "zeros", "ground-truth")]
    assert inside(starts_figure(dict.fromkeys(names, own), y="IoU (×10⁻²)"))
    several = {
        f"DFINet/without-part-{n}": [Curve(name, np.arange(1.0, 9), curves[0].y - 110) for name in names]
        for n in range(18)
    }
    for count in (1, 2, 5, 6, 18):
        some = dict(list(several.items())[:count])
        assert inside(variants_figure(some, y="IoU difference (×10⁻²)"))


def test_a_suite_of_first_masks_has_the_figure_in_its_report(tmp_path: Path):
    made = [FULL_RUN, started(FULL_RUN, "ones")]
    write_suite(tmp_path, [(f"from {one.experiment.start}", one, None) for one in made])
    report = build_report(tmp_path, "trial", out=tmp_path / "out", compile_pdf=False)
    assert "start-masks.png" in [path.name for path in report.paths]
    assert "round 0 is the mask itself, where it is stored" in (tmp_path / "out/index.html").read_text()
