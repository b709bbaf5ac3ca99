"""Figures hold the data they were given, look alike, and leave matplotlib as they found it."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import matplotlib as mpl
import numpy as np
import pytest
from matplotlib.figure import Figure
from matplotlib.patches import Circle, Rectangle

from bench.data.catalogue.splits import image_list
from bench.errors import StoreError
from bench.metrics.counting.levels import LEVELS
from bench.metrics.curves import CurveCounts
from bench.protocols.recipes import RECIPES
from bench.store.files import write_arrays
from bench.types import Scoring, Training
from reports.figures.curves import iou_curve, pd_fa_curve, precision_recall_curve, roc_curve, thin
from reports.figures.examples import read_examples, read_pictures
from reports.figures.loss import published_curve, read_loss
from reports.plots.curves import (
    Curve,
    LossCurve,
    Panels,
    iou_figure,
    loss_figure,
    pd_fa_figure,
    precision_recall_figure,
    roc_figure,
)
from reports.plots.decades import decade_words
from reports.plots.examples import ALARM, FOUND, MISSED, Picture, ProbabilityMap, picture_figure, telling_target
from reports.plots.style import (
    COLUMN,
    PAGE,
    PALETTE,
    SETTINGS,
    drawable,
    font_families,
    letters_without_font,
    mark_limited,
    stroke,
    words_without_font,
    write_figure,
)
from reports.results.entries import Entry, entry_of
from tests.reports.fake_runs import result, row_of

SCORING = Scoring("native")
A = Curve("A", np.array([0.0, 1e-4, 1.0]), np.array([0.0, 0.5, 1.0]), at=(1e-4, 0.5))
B = Curve("B", np.array([0.0, 1e-3, 1.0]), np.array([0.0, 0.25, 1.0]), at=(1e-3, 0.25))


def entry_in(folder: Path, **changes: object) -> Entry:
    made = replace(result(), **changes)  # type: ignore[arg-type]
    return entry_of(row_of(made), folder / made.key, made)


def test_a_roc_panel_has_the_curve_and_its_operating_point():
    figure = roc_figure({"NUDT-SIRST": [A, B]})
    (axes,) = figure.axes
    curve, point, *_ = axes.lines
    assert np.asarray(curve.get_xdata())[1:].tolist() == pytest.approx([100, 1e6])
    assert np.asarray(curve.get_ydata()).tolist() == [0, 50, 100]
    assert (list(point.get_xdata()), list(point.get_ydata())) == ([100], [50])
    assert axes.get_xscale() == "log"
    assert axes.get_xlim()[1] == 1e6
    assert axes.get_title() == "NUDT-SIRST"


def test_every_rate_is_drawn_in_the_unit_of_the_tables():
    labels = [draw({"X": [A]}).axes[0] for draw in (roc_figure, precision_recall_figure, iou_figure, pd_fa_figure)]
    assert [axes.get_ylabel().rpartition("(")[2] for axes in labels] == ["×10⁻²)"] * 4
    assert labels[0].get_xlabel().endswith("(×10⁻⁶)")
    assert labels[3].get_xlabel().endswith("(×10⁻⁶)")
    assert np.asarray(labels[3].lines[0].get_xdata())[1:].tolist() == pytest.approx([100.0, 1e6])


def test_detections_against_false_alarms_are_steps_over_the_decades_that_occur():
    found = Curve("A", np.array([2e-5, 3e-4, 2e-3]), np.array([0.6, 0.8, 0.7]), at=(3e-4, 0.8))
    axes = pd_fa_figure({"X": [found]}).axes[0]
    assert axes.lines[0].get_drawstyle() == "steps-post"
    assert axes.get_xlim() == (10, 1000)  # from the least rate to that of the highest Pd
    assert list(axes.get_xticks()) == [10, 100, 1000]


def test_an_operating_point_beyond_the_usual_axis_is_still_inside():
    far = replace(A, at=(0.2, 0.5))
    assert pd_fa_figure({"X": [far]}).axes[0].get_xlim()[1] == 1e6


@pytest.mark.parametrize("draw", [roc_figure, pd_fa_figure])
def test_an_operating_point_without_false_alarms_lies_in_a_strip_named_zero(draw: Callable[[Panels], Figure]):
    axes = draw({"X": [replace(A, at=(0.0, 0.5))]}).axes[0]
    curve, point = axes.lines[:2]
    (place,) = point.get_xdata()
    low, *_ = axes.get_xticks()[1:]
    assert axes.get_xticks()[0] == place == np.asarray(curve.get_xdata())[0]
    assert [text.get_text() for text in axes.get_xticklabels()][:2] == ["0", "10²"]
    assert axes.get_xlim()[0] < place < low
    (strip,) = axes.patches
    assert strip.get_extents().transformed(axes.transData.inverted()).x1 == pytest.approx(low)


def test_an_axis_without_zeros_has_no_strip():
    axes = roc_figure({"X": [replace(A, x=np.array([1e-5, 1e-4, 1.0]))]}).axes[0]
    assert not axes.patches
    assert axes.get_xlim() == (10, 1e6)


def test_precision_and_recall_are_fitted_to_points_near_the_best_iou():
    useless = Curve("A", np.array([0.61, 0.7, 0.99]), np.array([0.93, 0.8, 0.01]), at=(0.7, 0.8))
    axes = precision_recall_figure({"X": [useless]}).axes[0]
    assert (axes.get_xlim(), axes.get_ylim()) == ((49.6, 70.4), (79.6, 100.4))
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("Recall of pixels (×10⁻²)", "Precision of pixels (×10⁻²)")


def test_the_axis_of_iou_is_fitted_to_the_inner_thresholds():
    steep = Curve("A", np.array([0.99999, 0.99, 0.5, 0.01]), np.array([0.0, 0.71, 0.68, 0.66]), at=(0.5, 0.68))
    axes = iou_figure({"X": [steep]}).axes[0]
    assert axes.get_ylim() == (59.6, 80.4)


def test_one_panel_is_a_column_wide_and_two_are_a_page_wide():
    assert roc_figure({"X": [A]}).get_size_inches()[0] == COLUMN
    two = roc_figure({"X": [A], "Y": [B]})
    assert two.get_size_inches()[0] == PAGE
    assert [axes.get_title() for axes in two.axes] == ["X", "Y"]


def test_three_panels_leave_no_empty_one():
    assert len(roc_figure({"X": [A], "Y": [B], "Z": [A]}).axes) == 3


def test_a_method_has_one_stroke_in_every_panel_and_seeds_share_it():
    figure = roc_figure({"X": [A, B], "Y": [B, B]})
    of_b = [figure.axes[0].lines[2], figure.axes[1].lines[0], figure.axes[1].lines[2]]
    assert {line.get_color() for line in of_b} == {PALETTE[1]}
    (legend,) = figure.legends
    assert [text.get_text() for text in legend.get_texts()] == ["A", "B"]


def test_seven_methods_differ_in_colour_dashes_and_marker():
    looks = [stroke(i) for i in range(7)]
    assert len({look.colour for look in looks}) == len({look.marker for look in looks}) == 7
    assert len({str(look.dashes) for look in looks}) == 7


def test_the_palette_is_for_the_colour_blind():
    assert PALETTE[:3] == ("#0173b2", "#de8f05", "#029e73")


def test_neither_legend_nor_labels_cover_a_panel_or_leave_the_figure():
    long = [replace(A, label=f"A method of a long name {i}") for i in range(5)]
    flat = LossCurve("A", np.array([1.0, 2.0]), np.array([0.7750, 0.7751]))
    figures = (
        roc_figure({"X": long}),
        pd_fa_figure({"X": long, "Y": long, "Z": long}),
        loss_figure({"X": [flat], "Y": [flat]}),
    )
    for figure in figures:
        renderer = figure.canvas.get_renderer()  # type: ignore[attr-defined]
        legend = figure.legends[0].get_window_extent(renderer)
        whole = figure.bbox
        for axes in figure.axes:
            outer = axes.get_tightbbox(renderer)
            assert outer is not None
            assert not legend.overlaps(outer)
            assert whole.x0 <= outer.x0
            assert outer.x1 <= whole.x1
            assert whole.y0 <= outer.y0
            assert outer.y1 <= whole.y1
        assert whole.x0 <= legend.x0
        assert legend.x1 <= whole.x1


def test_files_have_the_same_bytes_every_time_and_embedded_truetype(tmp_path: Path):
    first = write_figure(roc_figure({"X": [A, B]}), tmp_path / "a")
    second = write_figure(roc_figure({"X": [A, B]}), tmp_path / "b")
    assert [p.name for p in first] == ["a.pdf", "a.png"]
    for one, other in zip(first, second, strict=True):
        assert one.read_bytes() == other.read_bytes()
    pdf = first[0].read_bytes()
    assert b"/FontFile2" in pdf
    assert b"/Type3" not in pdf
    assert b"CreationDate" not in pdf


@pytest.mark.parametrize("panels", [1, 2, 3])
def test_the_watermark_of_a_trial_stays_inside_its_figure(panels: int):
    figure = roc_figure({str(number): [A] for number in range(panels)})
    mark_limited(figure)
    (mark,) = figure.texts
    box = mark.get_window_extent(figure.canvas.get_renderer())  # type: ignore[attr-defined]
    assert mark.get_text() == "LIMITED TRIAL"
    assert 0 < box.x0 < box.x1 < figure.bbox.x1
    assert 0 < box.y0 < box.y1 < figure.bbox.y1


def test_drawing_leaves_matplotlib_as_it_was(tmp_path: Path):
    before = dict(mpl.rcParams)
    write_figure(roc_figure({"X": [A]}), tmp_path / "a")
    assert dict(mpl.rcParams) == before
    assert SETTINGS["font.size"] == 8
    if "matplotlib.pyplot" in sys.modules:
        assert sys.modules["matplotlib.pyplot"].get_fignums() == []


def test_hostile_labels_are_drawn_letter_by_letter(tmp_path: Path):
    evil = replace(A, label="$\\frac{a}{b}$ \U00013000\n_x_")
    figure = roc_figure({"$d$": [evil]})
    write_figure(figure, tmp_path / "a")
    assert figure.legends[0].get_texts()[0].get_text() == "$\\frac{a}{b}$ [U+13000] _x_"
    assert drawable("y" * 100) == "y" * 59 + "…"


def test_a_letter_that_no_font_has_is_a_code_point_and_told(tmp_path: Path):
    figure = roc_figure({"X": [replace(A, label="\U00013000")]})
    assert words_without_font(letters_without_font(figure)).startswith(
        "figures show code points for \U00013000 (U+13000): no font here"
    )
    assert words_without_font(letters_without_font(roc_figure({"X": [A]}))) == ""


def test_chinese_is_drawn_where_the_font_that_the_documentation_names_is_installed(tmp_path: Path):
    if len(font_families()) == 1:
        if os.environ.get("CI"):
            pytest.fail("found no Droid Sans Fallback in CI; install fonts-droid-fallback")
        pytest.skip("fonts-droid-fallback is not installed")
    figure = roc_figure({"我们": [replace(A, label="我们的方法")]})
    assert figure.legends[0].get_texts()[0].get_text() == "我们的方法"
    pdf, _ = write_figure(figure, tmp_path / "chinese")
    assert b"DroidSansFallback" in pdf.read_bytes()
    assert b"/Type3" not in pdf.read_bytes()


@pytest.mark.parametrize(
    ("ticks", "words"), [([1e-6, 1.0], "10⁻⁶ 10⁰"), ([0.1, 1.0, 1000.0], "0.1 1 1000"), ([1000.0, 1e4], "10³ 10⁴")]
)
def test_powers_of_ten_are_written_without_markup_and_all_alike(ticks: list[float], words: str):
    assert " ".join(decade_words(ticks)) == words


def test_curves_and_operating_points_come_from_the_counts():
    counts = CurveCounts(SCORING)
    q = np.array([[60000, 40000, 20000, 100, 0, 0, 50000, 0]], np.uint16)
    mask = np.array([[1, 0, 1, 0, 0, 0, 0, 0]], np.uint8)
    counts.add(q, mask)
    roc = roc_curve("A", counts, SCORING)
    assert roc.at == (2 / 6, 1 / 2)
    assert (roc.x[0], roc.y[0]) == (0, 1 / 2)  # a target's pixel at 60000, the highest level
    assert (roc.x[-1], roc.y[-1]) == (3 / 6, 1)  # all above 0; at 0 every pixel is predicted
    recall = precision_recall_curve("A", counts, SCORING)
    assert (recall.x[-1], recall.y[-1]) == (1, 2 / 5)
    assert precision_recall_curve("A", counts, SCORING).at == (1 / 2, 1 / 3)
    iou = iou_curve("A", counts, SCORING)
    assert (iou.x * 65536).tolist() == [65535, 59999, 49999, 39999, 19999, 99]
    assert iou.y.tolist() == [0, 1 / 2, 1 / 3, 1 / 4, 2 / 4, 2 / 5]
    assert iou.at == (0.5, 1 / 4)
    curve = pd_fa_curve("A", counts, SCORING)
    assert curve.x.tolist() == [0, 1 / 8, 1 / 8]  # a target at 60000; the false alarm at 50000; the lowest level
    assert curve.y.tolist() == [1 / 2, 1 / 2, 1 / 2]
    assert curve.at == (1 / 8, 1 / 2)
    assert pd_fa_curve("A", counts, replace(SCORING, threshold=0.95)).at == (0, 0)


def test_a_threshold_below_every_pixel_is_not_drawn():
    counts = CurveCounts(SCORING)
    counts.add(np.array([[60000, 40000, 300, 300]], np.uint16), np.array([[1, 0, 0, 0]], np.uint8))
    roc = roc_curve("A", counts, SCORING)
    assert (roc.x.tolist(), roc.y.tolist()) == ([0, 1 / 3], [1, 1])
    assert (iou_curve("A", counts, SCORING).x * 65536).tolist() == [65535, 59999, 39999]
    assert pd_fa_curve("A", counts, SCORING).x.tolist() == [0, 0]  # the neighbour at 40000 belongs to the target


def test_without_targets_there_is_no_operating_point():
    counts = CurveCounts(SCORING)
    counts.add(np.array([[60000, 0]], np.uint16), np.array([[0, 0]], np.uint8))
    assert roc_curve("A", counts, SCORING).at is None
    figure = roc_figure({"X": [roc_curve("A", counts, SCORING)]})
    assert len(figure.axes[0].lines) == 1


def test_thinning_keeps_corners_and_ends():
    x = np.linspace(0, 1, 60_001)
    y = (x > 0.5).astype(float)
    keep = thin(x, y)
    assert len(keep) < 6_100
    assert (keep[0], keep[-1]) == (0, 60_000)
    last_low = np.flatnonzero(y == 0)[-1]
    assert {int(last_low), int(last_low) + 1} <= set(keep.tolist())


def test_the_loss_comes_from_the_log_and_marks_the_kept_epoch(tmp_path: Path):
    entry = entry_in(tmp_path, best_epoch=2)
    assert read_loss(entry) is None
    assert entry.result is not None
    training = entry.result.experiment.weights
    assert isinstance(training, Training)
    log = tmp_path / "trainings" / training.key / "log.jsonl"
    log.parent.mkdir(parents=True)
    log.write_text(
        "".join(json.dumps({"epoch": e, "loss": v, "lr": 1}) + "\n" for e, v in ((1, 0.9), (2, 0.5), (3, 0.4)))
    )
    curve = read_loss(entry)
    assert isinstance(curve, LossCurve)
    line, point = loss_figure({"X": [curve]}).axes[0].lines
    assert np.asarray(line.get_ydata()).tolist() == [0.9, 0.5, 0.4]
    assert (list(point.get_xdata()), list(point.get_ydata())) == ([2.0], [0.5])
    log.write_text(json.dumps({"epoch": 1, "loss": 0.9, "selection_loss": 0.8}) + "\n")
    curve = read_loss(entry)
    assert curve is not None
    assert curve.checked is not None
    assert [column.tolist() for column in curve.checked] == [[1], [0.8]]
    (axes,) = loss_figure({"X": [curve]}).axes
    assert axes.lines[1].get_linewidth() < axes.lines[0].get_linewidth()
    assert axes.get_ylabel() == "Loss (thin: selection list)"
    for broken, said in (
        (b"{}\n", "line 1: expected an object of numbers with epoch and loss"),
        (b"\xff\n", "not UTF-8"),
    ):
        log.write_bytes(broken)
        with pytest.raises(StoreError, match=rf"log\.jsonl: {said}"):
            read_loss(entry)


WHITE = "#ffffff"


def picture(*, found: bool, alarm: bool, rounds: int = 1) -> Picture:
    mask = np.zeros((64, 80), np.uint8)
    mask[30:33, 20:23] = 1
    q = np.zeros((64, 80), np.uint16)
    q[30:33, 20:23] = 65535 if found else 100
    q[50:52, 60:62] = 65535 if alarm else 100
    image = np.full((64, 80), 90, np.uint8)
    heads = ["Prediction"] if rounds == 1 else [f"Round {r}" for r in (1, 2, 4, 8)]
    return Picture("000001", image, mask, tuple(ProbabilityMap(head, q) for head in heads))


def marks(figure_of: Picture) -> tuple[list[str], list[str]]:
    """Edge colours of circles and of dashed boxes, in hexadecimal."""
    figure = picture_figure([figure_of], scoring=SCORING)
    patches = figure.axes[0].patches
    colour = mpl.colors.to_hex
    circles = [colour(p.get_edgecolor()) for p in patches if isinstance(p, Circle)]
    boxes = [colour(p.get_edgecolor()) for p in patches if isinstance(p, Rectangle) and p.get_linestyle() == "--"]
    return circles, boxes


@pytest.mark.parametrize(
    ("found", "alarm", "expected"),
    [
        (True, False, ([WHITE, WHITE, FOUND], [])),
        (False, False, ([WHITE, WHITE, MISSED], [])),
        (True, True, ([WHITE, WHITE, FOUND], [ALARM])),
        (False, True, ([WHITE, WHITE, MISSED], [ALARM])),
    ],
)
def test_found_and_missed_targets_and_false_alarms_are_marked(
    found: bool, alarm: bool, expected: tuple[list[str], list[str]]
):
    assert marks(picture(found=found, alarm=alarm)) == expected


def test_hits_misses_and_alarms_differ_in_grey_and_in_their_outline():
    def luminance(colour: str) -> float:
        return float(np.dot(mpl.colors.to_rgb(colour), (0.2126, 0.7152, 0.0722)))

    assert luminance(MISSED) - luminance(FOUND) > 0.2
    assert luminance(FOUND) - luminance(ALARM) > 0.2
    figure = picture_figure([picture(found=True, alarm=True), picture(found=False, alarm=True)], scoring=SCORING)
    outlines = {mpl.colors.to_hex(p.get_edgecolor()): (type(p), p.get_linestyle()) for p in figure.axes[0].patches}
    assert (outlines[FOUND], outlines[MISSED]) == ((Circle, "-"), (Circle, ":"))
    assert outlines[ALARM] == (Rectangle, "--")


def test_a_false_alarm_at_the_border_is_framed_inside_its_map():
    corner = picture(found=True, alarm=False)
    q = corner.predictions[0].q.copy()
    q[0, 79] = 65535
    figure = picture_figure([replace(corner, predictions=(ProbabilityMap("A", q),))], scoring=SCORING)
    (box,) = [p for p in figure.axes[0].patches if isinstance(p, Rectangle) and p.get_linestyle() == "--"]
    left, right, bottom, top = figure.axes[0].images[4].get_extent()
    assert left <= box.get_x() < box.get_x() + box.get_width() <= right + 1e-9
    assert bottom <= box.get_y() < box.get_y() + box.get_height() <= top + 1e-9


def test_the_telling_target_is_the_one_that_half_of_the_maps_find():
    agreed, split = picture(found=True, alarm=False), picture(found=True, alarm=False)
    split = replace(
        split, name="2", predictions=(split.predictions[0], picture(found=False, alarm=False).predictions[0])
    )
    both = replace(agreed, predictions=agreed.predictions * 2)
    found = telling_target([both, split], SCORING)
    assert found is not None
    assert (found[0].name, found[1]) == ("2", (31, 21))
    assert telling_target([replace(both, mask=np.zeros_like(both.mask))], SCORING) is None


def test_long_names_of_rows_and_heads_are_broken_into_lines_that_do_not_touch():
    one = picture(found=True, alarm=False)
    heads = [f"ACM (LESPS, full masks), seed {seed}" for seed in range(6)]
    maps = tuple(replace(one.predictions[0], head=head) for head in heads)
    rows = [replace(one, name=f"S20210713_S3_{row}", words="hardest", predictions=maps) for row in range(3)]
    figure = picture_figure(rows, scoring=SCORING)
    shown = [text.get_text() for text in figure.axes[0].texts]
    assert [" ".join(text.split("\n")) for text in shown[2:8]] == heads
    assert ["".join(text.split("\n")).replace(" ", "") for text in shown[8:]] == [
        f"hardest:S20210713_S3_{row}" for row in range(3)
    ]
    figure.canvas.draw()
    boxes = [text.get_window_extent() for text in figure.axes[0].texts]
    assert not any(a.overlaps(b) for place, a in enumerate(boxes) for b in boxes[:place])
    assert all(box.x0 >= 0 and box.y1 <= figure.bbox.height for box in boxes)


def test_a_picture_row_shows_image_mask_and_probabilities():
    one = picture(found=True, alarm=False)
    figure = picture_figure([one, one], scoring=SCORING)
    shown = [np.asarray(image.get_array()) for image in figure.axes[0].images]
    maps = shown[::2]  # every map is followed by its inset
    assert len(maps) == 6
    assert np.array_equal(maps[0], one.image)
    assert np.array_equal(maps[1], one.mask)
    assert np.array_equal(maps[2], one.predictions[0].q / LEVELS)
    inset = shown[3]
    assert inset.shape == (16, 16)
    assert inset.sum() == 9
    heads = [t.get_text() for t in figure.axes[0].texts]
    assert heads[:3] == ["Image", "Mask", "Prediction"]
    assert figure.get_size_inches()[0] == COLUMN
    assert picture_figure([picture(found=True, alarm=False, rounds=8)], scoring=SCORING).get_size_inches()[0] == PAGE


def test_rows_of_different_columns_are_refused():
    rows = [picture(found=True, alarm=False), picture(found=True, alarm=False, rounds=8)]
    with pytest.raises(ValueError, match="its columns differ"):
        picture_figure(rows, scoring=SCORING)
    with pytest.raises(ValueError, match="found no pictures"):
        picture_figure([], scoring=SCORING)


def test_an_image_without_targets_has_no_inset():
    empty = picture(found=False, alarm=True)
    empty = replace(empty, mask=np.zeros_like(empty.mask))
    assert len(picture_figure([empty], scoring=SCORING).axes[0].images) == 3
    assert marks(empty) == ([], [ALARM])


@pytest.mark.parametrize(
    ("rounds", "shown", "heads"),
    [
        (1, [1], ["Prediction"]),
        (2, [1, 2], ["Round 1", "Round 2"]),
        (3, [1, 2, 3], ["Round 1", "Round 2", "Round 3"]),
        (8, [1, 2, 4, 8], ["Round 1", "Round 2", "Round 4", "Round 8"]),
        (10, [1, 2, 4, 10], ["Round 1", "Round 2", "Round 4", "Round 10"]),
    ],
)
def test_examples_give_early_rounds_and_the_last(tmp_path: Path, rounds: int, shown: list[int], heads: list[str]):
    maps = np.arange(rounds, dtype=np.uint16)[:, None, None] * np.ones((1, 8, 9), np.uint16)
    arrays = {
        "names": np.array(["a"]),
        "image_0": np.zeros((8, 9), np.uint8),
        "mask_0": np.zeros((8, 9), np.uint8),
        "rounds_0": maps,
    }
    (found,) = read_pictures(arrays)
    assert [p.head for p in found.predictions] == heads
    assert [int(p.q[0, 0]) + 1 for p in found.predictions] == shown
    entry = entry_in(tmp_path)
    assert read_examples(entry) == ()
    write_arrays(entry.folder / "examples.npz", arrays)
    assert len(read_examples(entry)) == 1
    write_arrays(entry.folder / "examples.npz", {"names": np.array(["a"])})
    with pytest.raises(ValueError, match=r"examples.npz: no array 'rounds_0'"):
        read_examples(entry)


def test_the_published_curve_stands_beside_a_training_by_the_same_recipe(tmp_path: Path):
    entry = entry_in(tmp_path, best_epoch=2)
    assert entry.result is not None
    training = entry.result.experiment.weights
    assert isinstance(training, Training)
    images = image_list("NUAA-SIRST", "basicirstd", "train")
    recipe = replace(RECIPES.get("basicirstd"), epochs=25)
    same = replace(training, model="ACM", images=images, recipe=recipe)

    def curve(weights: Training) -> LossCurve | None:
        assert entry.result is not None
        experiment = replace(entry.result.experiment, weights=weights)
        return published_curve(replace(entry, result=replace(entry.result, experiment=experiment)))

    found = curve(same)
    assert found is not None
    assert (found.label, found.epoch.tolist()) == ("ACM, published", [5.5, 15.5])  # means of ten epochs
    assert curve(replace(same, model="DFINet")) is None
    assert curve(replace(same, recipe=replace(recipe, lr=1e-3))) is None
    assert curve(replace(same, recipe=replace(recipe, epochs=9))) is None
    assert curve(replace(same, images=replace(images, limit=20))) is None
