"""Methods side by side: which images are shown, and what stands in their rows."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from bench.errors import RequestError
from bench.metrics.counting.counts import Counts, CountsWriter, count_image, counts_of
from bench.metrics.counting.levels import quantise
from bench.metrics.registry import score_counts
from bench.store.files import write_arrays
from bench.types import RunResult, Scoring
from reports.build import build_report
from reports.figures.figure import CaptionedFigure, NotDrawn
from reports.figures.side_by_side import _unknown_image, choose_images, run_figures
from reports.figures.write import figure_writer
from reports.plots.curves import Curve, roc_figure
from reports.results.entries import Entry, read_suite
from tests.reports.fake_runs import ACM, result, write_suite

SIZE = (32, 40)


def mask_with(*places: tuple[int, int]) -> NDArray[np.uint8]:
    mask = np.zeros(SIZE, np.uint8)
    for row, col in places:
        mask[row : row + 3, col : col + 3] = 1
    return mask


MASKS = {"a": mask_with((5, 5)), "b": mask_with((5, 5), (20, 20)), "c": mask_with((12, 30)), "d": mask_with()}
"""Image to mask: one target, two, one, none."""

GOOD = {**MASKS, "d": mask_with((1, 1))}
BAD = {"a": mask_with((5, 6)), "b": mask_with((25, 2), (1, 30)), "c": mask_with(), "d": mask_with()}


def counts(maps: dict[str, NDArray[np.uint8]]) -> Counts:
    scoring = Scoring("native")
    return counts_of([count_image(quantise(maps[n].astype(float)), MASKS[n], scoring=scoring) for n in MASKS])


def test_the_hardest_a_typical_and_an_image_without_target_are_chosen():
    chosen = choose_images(list(MASKS), [counts(GOOD), counts(BAD)])
    assert chosen == {"b": "hardest", "c": "hardest", "a": "typical", "d": "no target"}


def test_images_are_chosen_among_those_that_can_be_shown():
    assert choose_images(list(MASKS), [counts(GOOD)], among=["a", "d"]) == {"a": "hardest", "d": "no target"}


def heads(drawn: CaptionedFigure) -> list[str]:
    return [text.get_text() for text in drawn.figure.axes[0].texts]


def stored_run(root: Path, name: str, maps: dict[str, NDArray[np.uint8]], *, all_maps: bool) -> RunResult:
    """A run of four images on NUDT-SIRST with two of them as examples, and perhaps the maps of all."""
    made = result(replace(ACM, name=name))
    writer = CountsWriter(made.scoring)
    levels = {image: quantise(own.astype(float)) for image, own in maps.items()}
    for image, mask in MASKS.items():
        writer.add(image, [levels[image]], truth=mask)
    table = writer.table()
    write_arrays(root / made.key / "counts.npz", table.to_arrays())
    examples: dict[str, NDArray[np.generic]] = {"names": np.array(["a", "b"])}
    for number, image in enumerate("ab"):
        own = {"image": MASKS[image] * np.uint8(99), "mask": MASKS[image], "rounds": levels[image][None]}
        examples |= {f"{part}_{number}": values for part, values in own.items()}
    write_arrays(root / made.key / "examples.npz", examples)
    if all_maps:
        write_arrays(root / made.key / "predictions.npz", levels)
    found = score_counts(table.round(0), made.scoring)
    return replace(made, scores=found, rounds=(found,))


def suite_of(root: Path, *, all_maps: bool) -> tuple[Entry, ...]:
    made = [stored_run(root, name, maps, all_maps=all_maps) for name, maps in (("A", GOOD), ("B", BAD))]
    write_suite(root, [(one.model.name, one, None) for one in made])
    return read_suite(root, "trial")[1]


@pytest.mark.parametrize("all_maps", [True, False])
def test_runs_are_drawn_from_their_examples_where_there_are_no_data(tmp_path: Path, all_maps: bool):
    rows, surface = run_figures(suite_of(tmp_path, all_maps=all_maps))
    assert isinstance(rows, CaptionedFigure)
    assert isinstance(surface, CaptionedFigure)
    assert heads(rows)[:4] == ["Image", "Mask", "A", "B"]
    assert {"hardest: b", "hardest: a"} <= set(heads(rows))
    assert "among 2 of 4" in rows.caption


def test_images_are_shown_by_name_or_the_name_is_refused(tmp_path: Path):
    entries = suite_of(tmp_path, all_maps=True)
    rows, _ = run_figures(entries, images=["a"])
    assert isinstance(rows, CaptionedFigure)
    assert "a" in heads(rows)
    assert "b" not in heads(rows)
    (note,) = run_figures(entries, images=["c"])
    assert isinstance(note, NotDrawn)
    assert "no image 'c' in the runs' examples; give the folder of datasets by --data" in note.reason
    with pytest.raises(RequestError, match="no test image of the suite is called 'e'; there are a, b, c, d"):
        list(run_figures(entries, images=["e"]))
    many = [f"Misc_{number}" for number in range(100)]
    assert _unknown_image("Misc_1000", many) == (
        "no test image of the suite is called 'Misc_1000'; did you mean Misc_10 or Misc_1 or Misc_0?"
    )
    assert _unknown_image("zzz", many).endswith("Misc_9 and 80 more")


def test_one_method_alone_stands_beside_nothing(tmp_path: Path):
    assert list(run_figures(suite_of(tmp_path, all_maps=True)[:1])) == []


def test_a_report_has_the_figures_and_the_images_that_were_asked_for(tmp_path: Path):
    suite_of(tmp_path, all_maps=True)
    made = build_report(tmp_path, "trial", out=tmp_path / "out", compile_pdf=False, images=["b"])
    names = [path.name for path in made.paths]
    assert {"side-by-side-nudt-sirst.png", "surface-nudt-sirst.pdf"} <= set(names)
    assert "Images chosen by name." in (tmp_path / "out/index.html").read_text()


def test_files_written_beside_are_those_written_here(tmp_path: Path):
    curve = Curve("A", np.array([1e-5, 1e-3]), np.array([0.5, 1.0]))
    written = []
    for folder in (tmp_path / "a", tmp_path / "b"):
        with figure_writer(folder) as writer:
            for name in ("one", "two", "three"):
                writer.write(CaptionedFigure(name, roc_figure({name: [curve]}), "words"))
        written.append([path.read_bytes() for each in writer.files for path in (each.pdf, each.png)])
        assert [each.figure.name for each in writer.files] == ["one", "two", "three"]
    assert written[0] == written[1]


def test_an_error_beside_is_raised_here(tmp_path: Path):
    (tmp_path / "one.pdf").mkdir(parents=True)
    curve = Curve("A", np.array([1e-5, 1e-3]), np.array([0.5, 1.0]))
    with pytest.raises(OSError, match=r"one\.pdf"), figure_writer(tmp_path) as writer:
        writer.write(CaptionedFigure("one", roc_figure({"X": [curve]}), "words"))
