from __future__ import annotations

from pathlib import PurePosixPath

import pytest
from dataset_sources import LAYOUT_FILES, NAMES_AFTER

from bench.data.importing.layouts import LAYOUTS, Plan, recognise
from bench.errors import DataError


def plan_of(*names: str, dataset: str = "IRSTD-1k", layout: str | None = None) -> Plan:
    return recognise([PurePosixPath(name) for name in names], dataset, layout=layout)


@pytest.mark.parametrize("wrapper", ["", "outer/inner-master/"])
@pytest.mark.parametrize("name", LAYOUT_FILES)
def test_every_layout_is_recognised_by_its_folders_however_deep(name: str, wrapper: str) -> None:
    dataset, files = LAYOUT_FILES[name]
    plan = plan_of(*(f"{wrapper}{file}" for file in files), dataset=dataset)
    assert plan.layout.name == name
    assert plan.root == PurePosixPath(wrapper or ".")
    assert tuple(sorted(plan.images)) == tuple(sorted(plan.masks)) == NAMES_AFTER[name]


def test_names_of_layouts_are_single() -> None:
    names = [layout.name for layout in LAYOUTS]
    assert len(names) == len(set(names))


def test_masks_lose_their_suffix_and_that_is_counted() -> None:
    plan = plan_of("images/Misc_1.png", "masks/Misc_1_pixels0.png", dataset="NUAA-SIRST")
    assert plan.masks == {"Misc_1": PurePosixPath("masks/Misc_1_pixels0.png")}
    assert plan.renamed == 1


def test_ids_are_filled_to_the_datasets_digits() -> None:
    plan = plan_of("images/0007.png", "masks/0007.png", dataset="NUDT-SIRST")
    assert tuple(plan.images) == ("000007",)
    assert plan.renamed == 2


def test_a_test_folder_whose_names_have_their_letter_keeps_them() -> None:
    files = [
        name.replace("test/images/", "test/images/w").replace("test/masks/", "test/masks/w")
        for name in LAYOUT_FILES["sirst-aug"][1]
    ]
    plan = plan_of(*files, dataset="SIRST-Aug")
    assert tuple(sorted(plan.images)) == ("000000", "w000000")
    assert plan.renamed == 0


def test_folders_in_other_letter_case_are_the_same() -> None:
    assert plan_of("Images/a.PNG", "MASKS/a.png").images == {"a": PurePosixPath("Images/a.PNG")}


def test_lists_are_text_files_near_the_root() -> None:
    pair = ("x/images/a.png", "x/masks/a.png")
    plan = plan_of(*pair, "x/img_idx/train.txt", "x/train.txt", "x/a/b/deep.txt", "outside.txt")
    assert plan.lists == (PurePosixPath("x/img_idx/train.txt"), PurePosixPath("x/train.txt"))


def test_of_several_datasets_the_one_in_a_folder_of_its_name_is_taken() -> None:
    files = [f"datasets/{name}/{kind}/a.png" for name in ("NUAA-SIRST", "irstd_1k") for kind in ("images", "masks")]
    assert plan_of(*files).root == PurePosixPath("datasets/irstd_1k")


def test_several_that_fit_are_named_with_what_to_do() -> None:
    files = [f"{name}/{kind}/a.png" for name in ("one", "two") for kind in ("images", "masks")]
    with pytest.raises(DataError, match=r"several layouts fit \(2\): images-masks in one; images-masks in two; pass"):
        plan_of(*files)


def test_folders_that_differ_in_a_number_alone_are_sequences() -> None:
    files = [f"x/Seq{number}/{kind}/1.png" for number in (1, 2) for kind in ("images", "masks")]
    plan = plan_of(*files, "x/train.txt")
    assert (tuple(sorted(plan.images)), plan.root) == (("Seq1/1", "Seq2/1"), PurePosixPath("x"))
    assert plan.masks["Seq2/1"] == PurePosixPath("x/Seq2/masks/1.png")
    assert plan.lists == (PurePosixPath("x/train.txt"),)
    pairs = [f"{number:03d}/1_{kind}.png" for number in (1, 2) for kind in (1, 2)]
    assert tuple(sorted(plan_of(*pairs).images)) == ("001/1", "002/1")
    with pytest.raises(DataError, match=r"several layouts fit .*differ in a number alone, as seq1 and seq2"):
        plan_of(*files, "x/sky/images/1.png", "x/sky/masks/1.png")


def test_a_layout_that_was_asked_for_is_the_only_one_looked_at() -> None:
    files = ("images/a.png", "masks/a.png", "img/b.png", "label/b.png")
    with pytest.raises(DataError, match="several layouts fit"):
        plan_of(*files)
    assert tuple(plan_of(*files, layout="img-label").images) == ("b",)
    with pytest.raises(LookupError, match="no layout is called 'img-labels'; did you mean img-label"):
        plan_of(*files, layout="img-labels")


def test_where_none_fits_what_was_found_and_what_is_known_are_said() -> None:
    with pytest.raises(DataError, match=r"no known layout: images lie in frames, gt, expected .*sirst-v2: mixed \+"):
        plan_of("gt/a.png", "frames/a.png")
    with pytest.raises(DataError, match="images lie in no folder"):
        plan_of("README.md")


@pytest.mark.parametrize(
    ("files", "sentence"),
    [
        (("images/a.png", "images/b.png", "masks/a.png"), "1 file without mask: images/b.png"),
        (("images/a.png", "masks/a.png", "masks/b.png"), "1 file without image: masks/b.png"),
        (("images/a.png", "images/a.bmp", "masks/a.png"), "images/a.png: would be called 'a' as images/a.bmp is"),
        (("images/a.png", "images/A.png", "masks/a.png"), "would be called 'a' as images/A.png is"),
        (("images/\u00fc.png", "images/u\u0308.png", "masks/\u00fc.png"), "would be called"),
    ],
)
def test_names_must_be_single_and_in_pairs(files: tuple[str, ...], sentence: str) -> None:
    with pytest.raises(DataError, match=sentence):
        plan_of(*files)
