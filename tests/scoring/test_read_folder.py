"""Which predictions there are, and which masks they go with; one line for whatever is missing, double or elsewhere."""

from __future__ import annotations

import unicodedata
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from bench.errors import DataError
from bench.scoring.read_folder import list_maps, match_names, open_maps, pair_names

MAP = np.array([[0.0, 1.0]], np.float32)


def make_folder(folder: Path, names: Sequence[str]) -> Path:
    """A folder of .npy maps of those names."""
    folder.mkdir()
    for name in names:
        np.save(folder / f"{name}.npy", MAP)
    return folder


def make_archive(path: Path, **arrays: NDArray[Any]) -> Path:
    """An .npz file of the arrays."""
    np.savez_compressed(path, **arrays)
    return path


def read_all(path: Path) -> None:
    """Every map at a path."""
    with open_maps(path) as maps:
        for name in maps.names:
            maps.read(name)


def refused(path: Path) -> str:
    """The one line with which a path is refused."""
    with pytest.raises(DataError) as raised:
        read_all(path)
    said = str(raised.value)
    assert said.startswith(str(path))
    assert "\n" not in said
    return said


def paired(predictions: Path, masks: Path, names: Sequence[str] | None = None) -> dict[str, str]:
    """Prediction name to mask name."""
    with open_maps(predictions) as maps, open_maps(masks) as truths:
        return pair_names(maps, truths, names=names)


def test_a_folders_maps_are_its_files_without_hidden_ones_folders_and_texts(tmp_path: Path) -> None:
    folder = make_folder(tmp_path / "maps", ["b", "a"])
    np.save(folder / "._a.npy", MAP)
    (folder / "notes.txt").write_text("made by hand")
    (folder / "more.png").mkdir()
    assert list(list_maps(folder)) == ["a", "b"]


def test_an_archives_maps_are_its_arrays_in_their_order(tmp_path: Path) -> None:
    path = make_archive(tmp_path / "all.npz", **{"b": MAP, "test/a.png": MAP, "c.d": MAP})
    with open_maps(path) as maps:
        assert maps.names == ("b", "a", "c.d")
        assert maps.read("a").values.tolist() == [[0.0, 1.0]]


def test_a_runs_folder_holds_levels_and_a_copy_elsewhere_two_bytes(tmp_path: Path) -> None:
    run = tmp_path / "0123456789ab"
    run.mkdir()
    stored = make_archive(run / "predictions.npz", a=np.array([[1, 32768]], np.uint16))
    (run / "result.json").write_text("{}")
    for path in (run, stored):
        with open_maps(path) as maps:
            assert maps.read("a").kind == "levels"
    elsewhere = tmp_path / "all.npz"
    elsewhere.write_bytes(stored.read_bytes())
    with open_maps(elsewhere) as maps:
        assert maps.read("a").kind == "16-bit"


def test_a_single_file_is_a_map_by_itself(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", MAP)
    with open_maps(tmp_path / "a.npy") as maps:
        assert maps.names == ("a",)


def test_what_is_no_folder_of_maps_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "texts").mkdir()
    (tmp_path / "texts" / "a.webp").write_text("")
    (tmp_path / "a.txt").write_text("")
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "result.json").write_text("{}")
    expected = "expected maps as .png, .bmp, .jpg, .jpeg, .tif, .tiff, .npy, .npz, .mat"
    assert refused(tmp_path / "empty").endswith(f"no files, {expected}")
    assert refused(tmp_path / "texts").endswith(f"1 other files ('a.webp'), {expected}")
    assert "a file of another kind, expected a folder of maps, an .npz file or a run's folder" in refused(
        tmp_path / "a.txt"
    )
    assert "no such file or folder" in refused(tmp_path / "nowhere")
    assert "no such file or folder" in refused(tmp_path / "nowhere.npz")
    assert "a run's folder without predictions.npz, from which it is scored" in refused(tmp_path / "run")


def test_two_files_of_one_name_are_one_line(tmp_path: Path) -> None:
    folder = make_folder(tmp_path / "maps", ["a"])
    (folder / "a.png").write_text("")
    with pytest.raises(DataError, match=r"a\.png: a\.npy has the same name, expected one file per image; remove one"):
        list_maps(folder)


def test_an_archive_that_is_none_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "text.npz").write_text("no archive")
    assert "not a readable .npz file" in refused(tmp_path / "text.npz")
    make_archive(tmp_path / "twice.npz", **{"a": MAP, "a.png": MAP})
    assert "'a' stands twice, expected one array an image" in refused(tmp_path / "twice.npz")
    make_archive(tmp_path / "none.npz")
    assert "no arrays, expected one an image" in refused(tmp_path / "none.npz")
    with zipfile.ZipFile(tmp_path / "other.npz", "w") as archive:
        archive.writestr("a.txt", "text")
    assert "holds 'a.txt', expected arrays alone" in refused(tmp_path / "other.npz")
    whole = make_archive(tmp_path / "hurt.npz", a=np.random.default_rng(0).random((64, 64))).read_bytes()
    (tmp_path / "hurt.npz").write_bytes(whole[:200] + bytes(100) + whole[300:])
    assert "a: damaged or cut short" in refused(tmp_path / "hurt.npz")


def test_an_archives_map_that_is_none_is_named(tmp_path: Path) -> None:
    path = make_archive(tmp_path / "all.npz", good=MAP, bad=MAP + 3)
    assert refused(path).startswith(f"{path}: bad: values from 3 to 4")


def test_the_same_name_comes_before_one_that_is_alike() -> None:
    assert match_names(["a", "A"], ["A", "a"]) == {"a": "a", "A": "A"}
    assert match_names(["a"], ["A", "a_pixels0"]) == {}, "two are alike, and neither is the same"


def test_names_that_differ_in_case_unicode_form_or_mask_suffix_are_alike() -> None:
    composed, taken_apart = (unicodedata.normalize(form, "Öl 1") for form in ("NFC", "NFD"))
    assert composed != taken_apart
    assert match_names(["Misc_1", composed], ["misc_1_pixels0", taken_apart]) == {
        "Misc_1": "misc_1_pixels0",
        composed: taken_apart,
    }


def test_all_predictions_are_paired_with_all_masks(tmp_path: Path) -> None:
    maps = make_folder(tmp_path / "maps", ["b", "a b"])
    masks = make_folder(tmp_path / "masks", ["a b_pixels0", "B"])
    assert paired(maps, masks) == {"a b": "a b_pixels0", "b": "B"}


def test_what_lacks_its_counterpart_is_named(tmp_path: Path) -> None:
    maps, masks = make_folder(tmp_path / "maps", ["a", "x"]), make_folder(tmp_path / "masks", list("abcdef"))
    with pytest.raises(DataError) as raised:
        paired(maps, masks)
    assert str(raised.value) == (
        f"{maps} against {masks}: 5 of 6 masks have no prediction ('b', 'c', 'd', …) and "
        "1 of 2 predictions have no mask ('x'); "
        "add what is missing, or name the images to score in a file, one a line: --list FILE"
    )


def test_names_that_have_nothing_in_common_are_shown(tmp_path: Path) -> None:
    maps, masks = make_folder(tmp_path / "maps", ["a_pred"]), make_folder(tmp_path / "masks", ["a"])
    with pytest.raises(DataError, match=r"predictions 'a_pred', masks 'a'; give both the same names"):
        paired(maps, masks)


def test_a_list_takes_some_in_its_own_order(tmp_path: Path) -> None:
    maps, masks = make_folder(tmp_path / "maps", ["a", "b", "c"]), make_folder(tmp_path / "masks", ["a", "B", "d"])
    assert list(paired(maps, masks, ["b", "a"]).items()) == [("b", "B"), ("a", "a")]
    with pytest.raises(DataError, match=f"{masks}: 1 of 2 listed images are not there \\('c'\\)"):
        paired(maps, masks, ["a", "c"])
    with pytest.raises(DataError, match=f"{maps}: 2 of 2 listed images are not there"):
        paired(maps, masks, ["x", "y"])


def test_one_file_each_is_a_pair_whatever_the_names(tmp_path: Path) -> None:
    np.save(tmp_path / "mine.npy", MAP)
    np.save(tmp_path / "truth.npy", MAP)
    assert paired(tmp_path / "mine.npy", tmp_path / "truth.npy") == {"mine": "truth"}
