"""The table and the sheet of what datasets hold say the numbers that were measured."""

from __future__ import annotations

import csv
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from bench.data.images.frames import Frame
from bench.data.quality.dataset_statistics import ALL, Description, measure
from reports.datasets.dataset_tables import against_each_other, dataset_table, write_datasets
from reports.plots.dataset import SIZE_EDGES, dataset_sheet
from reports.render.csv_markdown import table_to_csv
from reports.table import Table


def frame(name: str, *corners: tuple[int, int], side: int = 2) -> Frame:
    """64 x 80 pixels of alternating 40 and 60, square targets of 200 with these top left corners."""
    image = np.full((64, 80), 40, np.uint8)
    image[:, 1::2] = 60
    mask = np.zeros((64, 80), np.uint8)
    for row, col in corners:
        image[row : row + side, col : col + side], mask[row : row + side, col : col + side] = 200, 255
    return Frame(name, image, image, mask)


def described() -> Description:
    """Five images: three to learn from with three targets of 4 px, two to test on with one of 9 px."""
    frames = [
        frame("a", (10, 10), (30, 60)),
        frame("b", (50, 3)),
        frame("c"),
        frame("d", (20, 20), side=3),
        frame("e"),
    ]
    lists = {ALL: np.arange(5), "s/train": np.arange(3), "s/test": np.array([3, 4])}
    return measure("Made", frames, lists=lists)


def test_the_table_has_a_line_a_list_with_its_numbers() -> None:
    table = dataset_table([described()])
    assert table.first_head == "Dataset and list"
    assert [line.label for line in table.lines] == ["Made", "Made s/train", "Made s/test"]
    train = {(c.group, c.head): cell for c, cell in zip(table.columns, table.lines[1].cells, strict=True)}
    assert train["Images", "number"].text == "3"
    assert train["Images", "height × width"].text == "64 × 80"
    assert train["Images", "no target"].text == "33.3"
    assert (train["Targets", "number"].text, train["Targets", "an image"].text) == ("3", "1.00")
    assert (train["Targets", "area"].text, train["Targets", "area"].limits) == ("4", ("4", "4"))
    assert table.lines[0].cells[6].text == "4"


def notes_of(table: Table) -> list[list[str]]:
    """What the notes of each cell of the first line say."""
    texts = {note.mark: note.text for note in table.notes}
    return [[texts[mark] for mark in cell.marks] for cell in table.lines[0].cells]


def test_a_list_without_targets_has_dashes_that_say_why() -> None:
    table = dataset_table([measure("Bare", [frame("a")], lists={"s/test": np.arange(1)})])
    assert [cell.plain for cell in table.lines[0].cells[3:]] == ["100.0", "0", "0.00", "—", "—"]
    assert notes_of(table)[5:] == [[], ["no targets"], ["no targets"]]
    assert "Bare s/test,1,64 × 80,50.0,10.0,100.0,0,0.00,,,no targets" in table_to_csv(table)


def test_a_list_without_images_has_dashes_that_say_why() -> None:
    table = dataset_table([measure("Void", [], lists={"s/test": np.arange(0)})])
    assert [cell.plain for cell in table.lines[0].cells] == ["0", "—", "—", "—", "0", "—", "—", "—"]
    assert notes_of(table) == [[], *[["no images"]] * 3, [], *[["no images"]] * 3]


def flat(name: str, row: int) -> Frame:
    """A target of 4 px on even ground, which has no clutter."""
    image, mask = np.full((64, 80), 40, np.uint8), np.zeros((64, 80), np.uint8)
    image[row : row + 2, 10:12], mask[row : row + 2, 10:12] = 200, 255
    return Frame(name, image, image, mask)


def test_targets_without_a_ratio_are_counted_in_a_note() -> None:
    some = dataset_table([measure("Some", [frame("a", (10, 10), (30, 60)), flat("b", 9)], lists={ALL: np.arange(2)})])
    assert some.lines[0].cells[7].text == "15.0"  # (200 - 50) / 10
    assert notes_of(some)[7] == ["without 1 of 3 targets, whose surroundings are even"]
    none = dataset_table([measure("None", [flat("a", 9)], lists={ALL: np.arange(1)})])
    assert none.lines[0].cells[7].plain == "—"
    assert notes_of(none)[6:] == [[], ["no target has surroundings whose grey levels differ, so none has an SCR"]]


def test_a_sheet_draws_the_training_list_against_the_test_list() -> None:
    assert list(against_each_other(described(), "s")) == ["s/train", "s/test"]
    assert list(against_each_other(described(), "other")) == [ALL]
    figure = dataset_sheet(against_each_other(described(), "s"))
    (legend,) = figure.legends
    assert [text.get_text() for text in legend.get_texts()] == [
        "s/train (3 images, 3 targets)",
        "s/test (2 images, 1 targets)",
    ]


def test_the_bars_of_areas_hold_every_target_and_cross_no_size_class() -> None:
    areas = dataset_sheet(against_each_other(described(), "s")).axes[0]
    outlines = [patch for patch in areas.patches if patch.get_fill() is False]
    for outline in outlines:
        values, edges, _ = outline.get_data()
        assert values.sum() == pytest.approx(100)
        inside = [edge - 0.5 for edge in SIZE_EDGES if edges[0] < edge - 0.5 < edges[-1]]
        assert set(inside) <= set(edges)
    (train, edges, _) = outlines[0].get_data()
    assert train[np.searchsorted(edges, 4, side="right") - 1] == pytest.approx(100)


def test_the_largest_distance_of_two_lists_is_told() -> None:
    """All training targets are of 4 px and all test targets of 9, so their distribution functions lie 1 apart."""
    figure = dataset_sheet(against_each_other(described(), "s"))
    assert figure.axes[0].texts[0].get_text() == "D = 1.00"
    assert dataset_sheet({"one": described().take("s/train")}).axes[0].texts[0].get_text() == ""


def test_lists_without_any_target_are_drawn() -> None:
    empty = measure("Bare", [frame("a"), frame("b")], lists={"s/train": np.arange(1), "s/test": np.arange(1, 2)})
    axes = dataset_sheet(against_each_other(empty, "s")).axes
    assert len(axes) == 11  # nine panels and two scales of colour
    words = [[text.get_text() for text in panel.texts if text.get_text()] for panel in axes[:9]]
    targets = ["no targets"]
    assert words == [targets, targets, targets, ["D = 0.00"], targets, targets, targets, targets, []]
    assert all(list(axes[at].get_xticks()) == list(axes[at].get_yticks()) == [] for at in (0, 1, 2, 4, 5))


def test_a_sheet_says_where_no_ratio_is_defined() -> None:
    axes = dataset_sheet({"all": measure("Even", [flat("a", 9)], lists={ALL: np.arange(1)})}).axes
    words = [[text.get_text() for text in panel.texts if text.get_text()] for panel in axes[:4]]
    assert words == [[], ["undefined"], ["undefined"], []]


def test_the_axis_of_areas_begins_at_the_smallest_target() -> None:
    areas = dataset_sheet(against_each_other(described(), "s")).axes[0]
    assert areas.get_xlim() == (3.5, 9.5)  # 4 and 9 px
    assert [tick.get_text() for tick in areas.get_xticklabels()] == ["4", "5", "6", "7", "8", "9"]


def test_the_ticks_of_areas_do_not_touch() -> None:
    """From 4 px to a whole mask of 5120."""
    whole = frame("w", (0, 0), side=80)
    held = measure("Wide", [frame("a", (10, 10)), whole], lists={ALL: np.arange(2)})
    figure = dataset_sheet({"all": held})
    renderer = figure.canvas.get_renderer()  # type: ignore[attr-defined]
    labels = figure.axes[0].get_xticklabels()
    assert [label.get_text() for label in labels] == ["10", "100", "1000"]
    boxes = [label.get_window_extent(renderer) for label in labels]
    assert all(left.x1 + 3 < right.x0 for left, right in pairwise(boxes))


def test_every_mark_of_brightness_lies_inside_its_panel() -> None:
    axes = dataset_sheet({"all": described().take(ALL)}).axes[8]
    assert axes.get_ylim()[1] > 1.05 * max(described().deviations)


def test_no_label_of_a_sheet_leaves_the_figure_or_meets_another_panel() -> None:
    figure = dataset_sheet(against_each_other(described(), "s"))
    renderer = figure.canvas.get_renderer()  # type: ignore[attr-defined]
    boxes = [axes.get_tightbbox(renderer) for axes in figure.axes[:9]]
    width, height = figure.get_size_inches() * figure.dpi
    for box in boxes:
        assert 0 <= box.x0 <= box.x1 <= width
        assert 0 <= box.y0 <= box.y1 <= height
    for at, one in enumerate(boxes):
        assert not any(one.overlaps(other) for other in boxes[at + 1 :])


def test_files_hold_the_table_the_sheet_and_every_target(tmp_path: Path) -> None:
    paths = write_datasets([described()], {"Made": "s"}, tmp_path)
    assert [path.name for path in paths] == [
        "datasets.tex", "datasets.csv", "datasets.md", "made-sheet.pdf", "made-sheet.png",
        "made-images.csv", "made-targets.csv",
    ]  # fmt: skip
    targets = list(csv.DictReader((tmp_path / "made-targets.csv").read_text().splitlines()))
    assert [(line["image"], line["area"]) for line in targets] == [("a", "4"), ("a", "4"), ("b", "4"), ("d", "9")]
    assert "| Made s/test | 2 |" in (tmp_path / "datasets.md").read_text()
    again = write_datasets([described()], {"Made": "s"}, tmp_path / "again")
    assert [path.read_bytes() for path in paths] == [path.read_bytes() for path in again]
