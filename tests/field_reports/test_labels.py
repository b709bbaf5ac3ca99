"""Labels as people have them: masks of other values, boxes, points, pairs in one folder, sequences."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from made_dataset import made, unmeasured
from PIL import Image

from bench.data.catalogue.cards import load_card, read_cards_in
from bench.data.catalogue.splits import list_names
from bench.data.images.decode import Pixels, decode_grey
from bench.data.images.frames import open_frames
from bench.data.importing.importer import Import, ImportRequest, import_dataset
from bench.data.importing.new_dataset import NewDataset, NewRequest, make_dataset
from bench.data.importing.verify import verify_dataset
from bench.errors import BenchError, DataError
from bench.protocols.scorings import named_scoring
from bench.scoring.read_map import mask_of, read_map
from bench.scoring.score import score_folder

__all__ = ["made", "unmeasured"]

TARGET = np.zeros((20, 30), np.uint8)
TARGET[4:6, 7:10] = 1


def bring(root: Path, store: Callable[[Path], None], **options: str) -> Import:
    """Import the dataset made by hand after its second mask has been stored otherwise."""
    source = root / "IRSTD-1k"
    store(source / "masks" / "XDU1.png")
    return import_dataset(ImportRequest("IRSTD-1k", source, root / "data", target_values=options.get("values", "")))


def palette(path: Path, indices: Pixels, colours: list[int]) -> None:
    image = Image.fromarray(indices, "P")
    image.putpalette(colours)
    image.save(path)


def imported_mask(root: Path) -> Pixels:
    return decode_grey(root / "data/IRSTD-1k/masks/XDU1.png")


def test_a_mask_of_zero_and_one_is_converted_as_score_reads_it(made: Path) -> None:
    """Seen in luy0222/SIRST-5K#2: labels of 0 and 1, of which nothing is seen."""
    found = bring(made, lambda path: Image.fromarray(TARGET).save(path))
    assert found.conversions == ("1 mask of 0 and 1 stored as 0 and 255",)
    assert np.array_equal(imported_mask(made), 255 * TARGET)
    assert np.array_equal(mask_of(read_map(made / "IRSTD-1k/masks/XDU1.png")), 255 * TARGET)
    assert json.loads((made / "data/IRSTD-1k/import.json").read_text())["conversions"] == list(found.conversions)


TWO = TARGET + TARGET * (np.arange(30) > 7)
"""One column of the target is of class 1, the others of class 2."""

KINDS: dict[str, tuple[Callable[[Path], None], str, str, Pixels]] = {
    "palette": (
        lambda path: palette(path, TWO, [0, 0, 0, 128, 0, 0, 0, 128, 0]),
        "coloured mask (#008000, #800000), expected 0 and 255; say which values are target: --target-values nonzero",
        "nonzero",
        TARGET,
    ),
    "one index": (
        lambda path: palette(path, TWO, [0, 0, 0, 128, 0, 0, 0, 128, 0]),
        "coloured mask",
        "2",
        (TWO == 2).astype(np.uint8),
    ),
    "red": (
        lambda path: Image.fromarray(TARGET[..., None] * np.array([255, 0, 0], np.uint8)).save(path),
        "coloured mask (#ff0000)",
        "#FF0000",
        TARGET,
    ),
    "instances": (
        lambda path: Image.fromarray(TWO).save(path),
        "mask values reach only 2, expected 0 and 255; it would be read as empty; say which values are target",
        "nonzero",
        TARGET,
    ),
    "16-bit instances": (
        lambda path: Image.fromarray(TWO.astype(np.uint16)).save(path),
        "16-bit mask of 0, 1, 2, expected 0 and one other value; say which values are target",
        "1,2",
        TARGET,
    ),
    "transparency": (
        lambda path: Image.fromarray(np.dstack([np.full_like(TARGET, 255)] * 3 + [255 * TARGET])).save(path),
        "a mask in its transparency alone",
        "nonzero",
        TARGET,
    ),
}


@pytest.mark.parametrize(("store", "said", "values", "right"), KINDS.values(), ids=KINDS)
def test_other_masks_are_refused_until_it_is_said_what_is_target(
    made: Path, store: Callable[[Path], None], said: str, values: str, right: Pixels
) -> None:
    """Seen in mmsegmentation#2197 and anomalib#1006: palette, red and instance masks read as empty or as others."""
    with pytest.raises(DataError) as caught:
        bring(made, store)
    assert said in str(caught.value)
    assert str(caught.value).startswith(f"{made}/IRSTD-1k: masks/XDU1.png: ")
    assert not (made / "data/IRSTD-1k").exists()
    others = {"#FF0000": "#FF0000,#ffffff", "2": "2,255", "1,2": "1,2,255"}
    found = bring(made, store, values=others.get(values, values))
    assert found.conversions[0].startswith("3 masks stored as 0 and 255, target is ")
    assert np.array_equal(imported_mask(made), 255 * right)


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ("red", "expected nonzero, whole numbers as 1,3, or colours"),
        ("7", "--target-values 7: no mask holds such a pixel"),
    ],
)
def test_values_that_cannot_be_are_one_line(made: Path, values: str, said: str) -> None:
    with pytest.raises(BenchError, match=said):
        bring(made, lambda path: None, values=values)
    assert not (made / "data/IRSTD-1k").exists()


def pictures(folder: Path, names: list[str]) -> None:
    for number, name in enumerate(names):
        path = folder / f"{name}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.where(TARGET, 250, 40 + number).astype(np.uint8)).save(path)


def boxes(folder: Path) -> Path:
    folder.mkdir()
    return folder


def voc(folder: Path) -> Path:
    """Pixels from 1, both ends within: the columns 7 to 9 are 8 to 10 there."""
    box = "<object><bndbox><xmin>8</xmin><ymin>5</ymin><xmax>10</xmax><ymax>6</ymax></bndbox></object>"
    for name, found in (("a", box), ("b", "")):
        (folder / f"{name}.xml").write_text(f"<annotation><!-- by hand -->{found}</annotation>")
    return folder


def yolo(folder: Path) -> Path:
    (folder / "a.txt").write_text(f"0 {8.5 / 30} {5 / 20} {3 / 30} {2 / 20}\n")
    (folder / "b.txt").write_text("")
    return folder


def coco(folder: Path) -> Path:
    images = [{"id": 1, "file_name": "a.png"}, {"id": 2, "file_name": "b.png"}]
    (folder / "all.json").write_text(
        json.dumps({"images": images, "annotations": [{"image_id": 1, "bbox": [7, 4, 3, 2]}]})
    )
    return folder


def make(root: Path, masks: Path | None, *, with_boxes: bool, images: Path | None = None) -> NewDataset:
    source = ImportRequest("Boxed", images or root / "images", root / "data", masks=masks)
    return make_dataset(NewRequest(source, boxes=with_boxes))


@pytest.mark.parametrize("write", [voc, yolo, coco])
def test_boxes_are_named_and_drawn_as_masks_on_request(tmp_path: Path, write: Callable[[Path], Path]) -> None:
    """Seen in UIU-Net#19 and ultralytics PR 24542: data sets labelled by boxes."""
    pictures(tmp_path / "images", ["a", "b"])
    labels = write(boxes(tmp_path / "labels"))
    with pytest.raises(DataError, match=r"labels are boxes .*expected masks; dfinet-bench data new NAME IMAGES LABELS"):
        make(tmp_path, labels, with_boxes=False)
    with pytest.raises(DataError, match="labels are boxes"):
        import_dataset(ImportRequest("IRSTD-1k", tmp_path, tmp_path / "data"))
    if write is coco:
        with pytest.raises(DataError, match=r"labels are boxes \(all\.json: COCO\)"):
            make(tmp_path, labels / "all.json", with_boxes=False)
        labels = labels / "all.json"
    found = make(tmp_path, labels, with_boxes=True)
    assert np.array_equal(decode_grey(found.folder / "masks/a.png"), 255 * TARGET)
    assert not decode_grey(found.folder / "masks/b.png").any()
    assert (found.card.targets, found.card.empty_masks) == (1, 1)
    assert "masks are boxes drawn from labels" in found.card.defects[0]
    assert found.card.defects[0] in found.notes


WRONG_LABELS: dict[str, tuple[str, str, str]] = {
    "a line of four": ("a.txt", "0 0.5 0.5 0.1 0.1\n0 0.5 0.5 0.1\n", "4 values in a line, expected class, x, y"),
    "outside": ("a.txt", "0 0.99 0.5 0.9 0.1\n", "expected one within 20x30"),
    "points": ("a.txt", "12 7\n3 4\n", "points, expected boxes"),
    "polygons": ("a.txt", "0 0.1 0.1 0.2 0.1 0.2 0.2\n", "YOLO polygons, expected boxes"),
    "polygons after boxes": ("a.txt", "0 0.5 0.5 0.1 0.1\n0 0.1 0.1 0.2 0.1 0.2 0.2\n", "7 values in a line"),
    "entities": ("a.xml", "<!DOCTYPE x [<!ENTITY a 'aa'>]><annotation>&a;</annotation>", "no label files"),
    "an image without labels": ("b.xml", "<annotation/>", "1 image without a .xml file, the first 'a'"),
    "no COCO": ("a.json", '{"images": [1], "annotations": []}', "no COCO labels"),
    "unlisted": ("a.json", '{"images": [], "annotations": []}', "2 images not listed, the first 'a'"),
}


@pytest.mark.parametrize(("file", "text", "said"), WRONG_LABELS.values(), ids=WRONG_LABELS)
def test_labels_that_cannot_be_drawn_are_one_line(tmp_path: Path, file: str, text: str, said: str) -> None:
    pictures(tmp_path / "images", ["a", "b"])
    labels = boxes(tmp_path / "labels")
    (labels / file).write_text(text)
    if file == "a.txt":
        (labels / "b.txt").write_text("")
    with pytest.raises(DataError) as caught:
        make(tmp_path, labels, with_boxes=True)
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)
    assert list((tmp_path / "data").iterdir()) == []


def test_points_are_named(tmp_path: Path) -> None:
    """Single-point labels, as LESPS trains on."""
    pictures(tmp_path / "images", ["a"])
    (boxes(tmp_path / "points") / "a.txt").write_text("12 7\n")
    with pytest.raises(DataError, match=r"labels are points \(points/a\.txt\), expected masks"):
        import_dataset(ImportRequest("IRSTD-1k", tmp_path, tmp_path / "data"))


def test_polygons_are_named(tmp_path: Path) -> None:
    """Labels of YOLO's segmentation networks: class, then x and y of every corner."""
    pictures(tmp_path / "images", ["a"])
    (boxes(tmp_path / "outlines") / "a.txt").write_text("0 0.1 0.1 0.2 0.1 0.2 0.2 0.1 0.2\n")
    with pytest.raises(DataError, match=r"labels are outlines \(outlines/a\.txt: YOLO polygons\), expected masks"):
        import_dataset(ImportRequest("IRSTD-1k", tmp_path, tmp_path / "data"))


def test_images_and_masks_of_one_folder_are_told_apart_by_their_suffix(tmp_path: Path) -> None:
    """Seen in DNANet#9 and kourenke GUI#3: MDvsFA's `_1.png` is an image, `_2.png` its mask."""
    pictures(tmp_path / "training", ["000001_1", "000002_1"])
    for name in ("000001", "000002"):
        Image.fromarray(255 * TARGET).save(tmp_path / "training" / f"{name}_2.png")
    found = make(tmp_path, None, with_boxes=False, images=tmp_path)
    assert list_names("Boxed", "own", "test") == ("000001", "000002")
    assert found.card.targets == 2
    (tmp_path / "training/000003_1.png").write_bytes((tmp_path / "training/000001_1.png").read_bytes())
    with pytest.raises(DataError, match=r"1 file without mask: 000003_1\.png"):
        make_dataset(NewRequest(ImportRequest("Other", tmp_path / "training", tmp_path / "data")))


FRAMES = ["seq1/0001", "seq1/0002", "seq2/0001"]


def sequences(root: Path) -> None:
    pictures(root / "images", FRAMES)
    for name in FRAMES:
        (root / "masks" / name).parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(255 * TARGET).save(root / "masks" / f"{name}.png")


def test_frames_of_sequences_keep_their_folder_in_files_lists_and_frames(tmp_path: Path) -> None:
    """Seen in DTUM#7: frames are called `sequence/frame`."""
    sequences(tmp_path)
    (tmp_path / "train.txt").write_text("seq1/0001\nseq1/0002.png\n")
    (tmp_path / "test.txt").write_text("seq2/0001\n")
    source = ImportRequest("Frames", tmp_path / "images", tmp_path / "data", masks=tmp_path / "masks")
    lists = (f"train={tmp_path}/train.txt", f"test={tmp_path}/test.txt")
    found = make_dataset(NewRequest(source, split=lists))
    assert (found.folder / "images/seq2/0001.png").is_file()
    assert list_names("Frames", "own", "train") == ("seq1/0001", "seq1/0002")
    frames = open_frames("Frames", FRAMES, root=tmp_path / "data", decoder="pillow-grey")
    assert [(frame.name, int(frame.grey[0, 0])) for frame in frames] == list(zip(FRAMES, (40, 41, 42), strict=True))
    assert verify_dataset("Frames", tmp_path / "data").findings == ()
    shared = make_dataset(NewRequest(replace(source, dataset="Shared"), split=("train=0.6", "test=0.4")))
    assert shared.card.splits["own"]["train"] == 2
    assert set(list_names("Shared", "own", "train")) == {"seq1/0001", "seq1/0002"}


def test_an_import_keeps_the_folders_of_sequences(tmp_path: Path) -> None:
    """As above: no known layout."""
    sequences(tmp_path / "source")
    (tmp_path / "source/train.txt").write_text("seq1/0002\nseq2/0001\n")
    found = import_dataset(ImportRequest("IRSTD-1k", tmp_path / "source", tmp_path / "data"))
    assert (found.layout, found.images, found.lists, found.renamed) == ("images-masks", 3, 1, 0)
    assert (found.folder / "img_idx/train.txt").read_text() == "seq1/0002\nseq2/0001\n"


def test_sequences_with_folders_of_their_own_are_one_dataset(tmp_path: Path) -> None:
    """As above, with images and masks inside each sequence."""
    for name in FRAMES:
        sequence, frame = name.split("/")
        pictures(tmp_path / "source" / sequence / "images", [frame])
        (tmp_path / "source" / sequence / "masks").mkdir(exist_ok=True)
        Image.fromarray(255 * TARGET).save(tmp_path / "source" / sequence / "masks" / f"{frame}.png")
    found = make(tmp_path, None, with_boxes=False, images=tmp_path / "source")
    assert list_names("Boxed", "own", "test") == tuple(FRAMES)
    assert (found.card.images, found.card.targets) == (3, 3)
    assert (found.folder / "masks/seq2/0001.png").is_file()


def test_scores_of_sequences_find_folders_and_arrays_by_their_names(tmp_path: Path) -> None:
    """As above: '0001' stands twice."""
    sequences(tmp_path)
    native = [named_scoring("native")]
    whole = {name: TARGET.astype(np.float32) for name in FRAMES}
    np.savez(tmp_path / "all.npz", **whole)
    np.savez(tmp_path / "below.npz", **{f"out/{name}.png": values for name, values in whole.items()})
    for place in (tmp_path / "masks", tmp_path / "all.npz", tmp_path / "below.npz"):
        (scored,) = score_folder(place, tmp_path / "masks", native)
        assert scored.scores["IoU/pooled"].value == 1
        assert len(scored.table.names) == 3
    (one,) = score_folder(tmp_path / "all.npz", tmp_path / "masks", native, names=["seq2/0001"])
    assert one.table.names == ("seq2/0001",)


def test_frames_of_two_sequences_are_never_taken_for_each_other(tmp_path: Path) -> None:
    sequences(tmp_path)
    np.savez(tmp_path / "other.npz", **{"seq1/0001": TARGET, "seq1/0002": TARGET, "seq3/0001": TARGET})
    with pytest.raises(DataError, match=r"1 of 3 masks have no prediction \('seq2/0001'\)"):
        score_folder(tmp_path / "other.npz", tmp_path / "masks", [named_scoring("native")])


@pytest.fixture(autouse=True)
def own_cards(tmp_path: Path) -> None:
    """No card but the project's is known at first."""
    read_cards_in(None)
    load_card.cache_clear()
