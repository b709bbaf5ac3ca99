"""Predictions and masks in the forms that other people's code writes, and photographs in a mask's place."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from commands import Call, caller
from PIL import Image
from scipy.io import savemat

from bench.data.images.decode import decode_grey, decode_mask
from bench.data.images.photograph import MOST_GREY, MOST_GREY_OF_LIT, grey_shares, refuse_photograph
from bench.data.importing.importer import ImportRequest
from bench.data.importing.new_dataset import NewRequest, make_dataset
from bench.data.importing.verify import verify_dataset
from bench.errors import DataError
from bench.scoring.read_map import mask_of, read_map

MASK = np.zeros((64, 80), np.uint8)
MASK[10:13, 20:23] = 255
GOOD = np.where(MASK > 0, 0.9, 0.1).astype(np.float64)


@pytest.fixture
def call(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], tmp_path: Path) -> Call:
    monkeypatch.chdir(tmp_path)
    for folder in ("maps", "masks"):
        Path(folder).mkdir()
    Image.fromarray(MASK).save("masks/a.png")
    return caller(monkeypatch, capfd)


def iou(call: Call, *words: str) -> float:
    answer = call("score", *words, "--json")
    assert answer.code == 0, answer.err
    return float(json.loads(answer.out)["scores"]["IoU/pooled"]["value"])


@pytest.mark.parametrize("values", [GOOD, GOOD.astype(np.float32), MASK, MASK > 0, (MASK > 0).astype(np.uint8)])
@pytest.mark.parametrize("compressed", [True, False])
def test_a_mat_file_of_one_map_is_read(call: Call, values: np.ndarray, compressed: bool) -> None:
    """DTUM#2: its test script writes `.mat` maps, beside which scalars and names may lie."""
    extra = {"threshold": 0.5, "name": "a", "thresholds": np.arange(5.0), "info": {"model": "DTUM"}}
    savemat("maps/a.mat", {"map": values, **extra}, do_compression=compressed)
    assert iou(call, "maps", "masks") == 1
    savemat("masks/a.mat", {"mask": MASK})
    Path("masks/a.png").unlink()
    assert iou(call, "maps/a.mat", "masks/a.mat") == 1


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (
            {"one": GOOD, "two": GOOD},
            "arrays one 64x80 double, two 64x80 double, expected one of (height, width) numbers",
        ),
        ({"all": np.zeros((4, 5, 6))}, "arrays all 4x5x6 double, expected one"),
        ({"threshold": 0.5}, "arrays threshold 1x1 double, expected one"),
        ({}, "arrays none, expected one"),
        ({"map": GOOD + 2}, "expected probabilities in [0, 1]"),
    ],
)
def test_a_mat_file_without_one_map_is_refused_by_its_arrays(
    tmp_path: Path, content: dict[str, object], said: str
) -> None:
    savemat(tmp_path / "a.mat", content)
    with pytest.raises(DataError, match=r"a\.mat: ") as caught:
        read_map(tmp_path / "a.mat")
    assert said in str(caught.value)


def damaged() -> Iterator[bytes]:
    stream = io.BytesIO()
    savemat(stream, {"map": GOOD}, do_compression=True)
    whole = stream.getvalue()
    yield from (b"", b"MATLAB", whole[:100], whole[:200], whole[:-20], whole[:140] + b"\xff" * 40 + whole[180:])
    yield b"MATLAB 7.3 MAT-file, Platform: GLNXA64".ljust(512) + b"\x89HDF\r\n\x1a\n"


@pytest.mark.parametrize("data", list(damaged()), ids=lambda data: f"{len(data)} bytes")  # a header holds the time
def test_a_damaged_or_newer_mat_file_is_one_line(tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "a.mat"
    path.write_bytes(data)
    with pytest.raises(DataError, match=r"a\.mat: (no readable \.mat file|a MATLAB 7\.3 file)") as caught:
        read_map(path)
    assert "\n" not in str(caught.value)
    assert ("7.3 file (HDF5)" in str(caught.value)) == (b"7.3" in data)


def test_predictions_and_masks_with_suffixes_may_lie_in_one_folder(call: Call) -> None:
    """BasicIRSTD's and DNANet's scripts write `NAME_Pred.png` beside `NAME_GT.png`."""
    for name in ("a", "b"):
        Image.fromarray(MASK).save(f"maps/{name}_GT.png")
        Image.fromarray((GOOD * 255).astype(np.uint8)).save(f"maps/{name}_Pred.png")
    assert iou(call, "maps", "maps", "--suffix", "_Pred", "--mask-suffix", "_GT") == 1
    Image.fromarray(MASK).save("masks/b.png")
    assert iou(call, "maps", "masks", "--suffix", "_Pred") == 1
    answer = call("score", "maps", "masks", "--suffix", "_pred")
    assert (answer.code, answer.err) == (
        2,
        "error: maps: no name ends in --suffix '_pred', found 'a_GT', 'a_Pred', 'b_GT', …\n",
    )
    answer = call("score", "runs/key", "--suffix", "_Pred")
    assert "--suffix and --mask-suffix go with folders" in answer.err


def test_a_photograph_given_as_a_mask_is_refused(call: Call) -> None:
    sky = np.random.default_rng(0).normal(100, 25, MASK.shape).clip(0, 255).astype(np.uint8)
    Image.fromarray(sky).save("masks/a.png")
    Image.fromarray((GOOD * 255).astype(np.uint8)).save("maps/a.png")
    answer = call("score", "maps", "masks")
    assert answer.code == 2
    assert answer.err.count("\n") == 1
    assert "% of its pixels are grey as in a photograph or a probability map" in answer.err


@pytest.mark.parametrize("quality", [50, 75, 95])
def test_a_mask_stored_as_jpeg_or_with_soft_edges_is_a_mask(tmp_path: Path, quality: int) -> None:
    """ISNet#41: masks of IRSTD-1k hold 1, 64, 114 … 242 beside 0 and 255."""
    large = np.zeros((256, 256), np.uint8)
    large[100:104, 60:65] = large[30:32, 200:203] = large[150:170, 150:170] = 255
    Image.fromarray(large).save(tmp_path / "a.jpg", quality=quality)
    mask_of(read_map(tmp_path / "a.jpg"))
    soft = Image.fromarray(large).resize((380, 200), Image.Resampling.BILINEAR)
    refuse_photograph(np.array(soft), "soft")


@pytest.mark.realdata
@pytest.mark.parametrize("name", ["NUAA-SIRST", "NUDT-SIRST"])
def test_every_mask_passes_and_every_image_is_refused_with_room_on_both_sides(real_data: Path, name: str) -> None:
    for path in sorted((real_data / name / "masks").iterdir()):
        of_all, of_lit = grey_shares(decode_grey(path))
        assert of_all < MOST_GREY / 100, path
        assert of_lit < MOST_GREY_OF_LIT / 2, path
    for path in sorted((real_data / name / "images").iterdir()):
        of_all, of_lit = grey_shares(decode_grey(path))
        assert of_all > 1.9 * MOST_GREY, path
        assert of_lit > 1.5 * MOST_GREY_OF_LIT, path


@pytest.mark.realdata
def test_every_mask_of_irstd_1k_passes(irstd_1k_masks: Path) -> None:
    shares = [grey_shares(decode_grey(path)) for path in sorted(irstd_1k_masks.iterdir())]
    assert max(of_all for of_all, _ in shares) < MOST_GREY / 100
    assert max(of_lit for _, of_lit in shares) < MOST_GREY_OF_LIT / 2


def test_a_photograph_among_the_masks_of_a_dataset_is_refused(tmp_path: Path) -> None:
    sky = np.random.default_rng(0).normal(100, 25, MASK.shape).clip(0, 255).astype(np.uint8)
    Image.fromarray(sky).save(tmp_path / "a.png")
    with pytest.raises(DataError, match=r"a\.png: .* as in a photograph"):
        decode_mask(tmp_path / "a.png")


def test_a_dark_photograph_in_a_masks_place_is_called_one(call: Call) -> None:
    """Levels up to 127 alone, as images taken at night have."""
    sky = np.random.default_rng(0).normal(50, 12, MASK.shape).clip(0, 127).astype(np.uint8)
    Image.fromarray(sky).save("masks/a.png")
    Image.fromarray(MASK).save("maps/a.png")
    answer = call("score", "maps", "masks")
    assert (answer.code, answer.err.count("\n")) == (2, 1)
    assert "as in a photograph" in answer.err


@pytest.mark.parametrize("mean", [40, 140])
def test_photographs_in_the_place_of_masks_are_called_so_by_import_and_verify(tmp_path: Path, mean: int) -> None:
    sky = np.random.default_rng(0).normal(mean, 12, MASK.shape).clip(0, 255).astype(np.uint8)
    for kind in ("images", "masks", "good"):
        (tmp_path / "in" / kind).mkdir(parents=True)
        Image.fromarray(MASK if kind == "good" else sky).save(tmp_path / "in" / kind / "a.png")
    request = ImportRequest("Sky", tmp_path / "in/images", tmp_path / "D", masks=tmp_path / "in/masks")
    with pytest.raises(DataError, match=r"masks/a\.png: .* as in a photograph .*give the folder of masks"):
        make_dataset(NewRequest(request))
    made = make_dataset(NewRequest(replace(request, masks=tmp_path / "in/good")))
    Image.fromarray(sky).save(made.folder / "masks/a.png")
    assert any("as in a photograph" in problem for problem in verify_dataset("Sky", tmp_path / "D").broken)


def test_masks_scored_against_themselves_are_told(call: Call) -> None:
    Image.fromarray(MASK).save("maps/a.png")
    (itself,) = (line for line in call("score", "masks", "masks/").err.splitlines() if "the same files" in line)
    assert itself.startswith("note: ")
    assert "the same files" not in call("score", "maps", "masks").err
    Image.fromarray(MASK).save("maps/a_GT.png")
    Image.fromarray(MASK).save("maps/a_Pred.png")
    suffixed = call("score", "maps", "maps", "--suffix", "_Pred", "--mask-suffix", "_GT")
    assert (suffixed.code, "the same files" in suffixed.err) == (0, False)
