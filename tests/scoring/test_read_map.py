"""One map or mask from a file: what each format's values say, exactly, and one line for what says nothing."""

from __future__ import annotations

import io
import pickle
from fractions import Fraction
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from bench.errors import DataError
from bench.metrics.counting.levels import quantise
from bench.scoring.read_map import levels_of, map_of, mask_of, read_map

GREY = np.arange(256, dtype=np.uint8).reshape(16, 16)


def level(p: Fraction) -> int:
    """min(65535, ceil(p * 65536)) in whole numbers."""
    return min(65535, -(-p.numerator * 65536 // p.denominator))


def saved(path: Path, array: NDArray[Any]) -> Path:
    """An .npy file of the array."""
    np.save(path, array)
    return path


def picture(path: Path, array: NDArray[Any], mode: str | None = None, **how: Any) -> Path:
    """A picture of the array."""
    made = Image.fromarray(array)
    (made if mode is None else made.convert(mode)).save(path, **how)
    return path


@pytest.mark.parametrize("suffix", [".png", ".PNG", ".bmp", ".tif", ".TIFF"])
def test_an_8_bit_picture_says_v_of_255_exactly(suffix: str, tmp_path: Path) -> None:
    found = read_map(picture(tmp_path / f"a{suffix}", GREY))
    assert levels_of(found).ravel().tolist() == [level(Fraction(v, 255)) for v in range(256)]


def test_128_of_255_is_above_one_half_and_127_is_not() -> None:
    levels = levels_of(map_of(np.array([[127, 128]], np.uint8), "here"))
    assert (levels > 32768).tolist() == [[False, True]]


@pytest.mark.parametrize("suffix", [".png", ".tif"])
def test_a_16_bit_picture_says_v_of_65535_exactly(suffix: str, tmp_path: Path) -> None:
    values = np.arange(65536, dtype=np.uint16).reshape(256, 256)
    assert cv2.imwrite(str(tmp_path / f"a{suffix}"), values)
    levels = levels_of(read_map(tmp_path / f"a{suffix}")).ravel()
    assert levels.tolist() == [level(Fraction(v, 65535)) for v in range(65536)]
    assert (levels > 32768).argmax() == 32768, "the first value above one half: 32768 of 65535"


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64", ">f4", "longdouble"])
def test_a_float_array_says_what_it_holds(dtype: str, tmp_path: Path) -> None:
    values = np.array([[0, 0.25, 0.5, 1]], dtype)
    assert levels_of(read_map(saved(tmp_path / "a.npy", values))).tolist() == [[0, 16384, 32768, 65535]]


def test_a_float_picture_says_what_it_holds(tmp_path: Path) -> None:
    values = np.array([[0.1, 0.9]], np.float32)
    assert cv2.imwrite(str(tmp_path / "a.tif"), values)
    assert np.array_equal(levels_of(read_map(tmp_path / "a.tif")), quantise(values))


@pytest.mark.parametrize("dtype", [bool, "int8", "int32", "int64", "uint64"])
def test_bools_and_whole_numbers_of_0_and_1_are_probabilities(dtype: Any, tmp_path: Path) -> None:
    found = read_map(saved(tmp_path / "a.npy", np.array([[0, 1]]).astype(dtype)))
    assert levels_of(found).tolist() == [[0, 65535]]


def test_bytes_and_two_bytes_of_an_array_are_those_of_a_picture() -> None:
    assert levels_of(map_of(GREY, "here")).tolist() == [[level(Fraction(int(v), 255)) for v in row] for row in GREY]
    assert levels_of(map_of(np.array([[1, 65535]], ">u2"), "here")).tolist() == [[2, 65535]]


def test_a_runs_own_levels_are_taken_as_they_are() -> None:
    stored = np.array([[0, 1, 32768, 65535]], np.uint16)
    assert np.array_equal(levels_of(map_of(stored, "here", uint16="levels")), stored)


@pytest.mark.parametrize("shape", [(1, 2, 3), (2, 3, 1), (1, 1, 2, 3), (1, 2, 3, 1)])
def test_axes_of_length_one_around_a_map_are_taken_away(shape: tuple[int, ...]) -> None:
    assert map_of(np.zeros(shape, np.float32), "here").values.shape == (2, 3)


@pytest.mark.parametrize(
    ("mode", "array"),
    [
        ("RGB", GREY),
        ("RGBA", GREY),
        ("LA", GREY),
        ("P", GREY),
        ("1", np.where(GREY > 100, 255, 0).astype(np.uint8)),
    ],
)
def test_equal_channels_and_an_opaque_alpha_are_one_channel(
    mode: str, array: NDArray[np.uint8], tmp_path: Path
) -> None:
    assert np.array_equal(read_map(picture(tmp_path / "a.png", array, mode)).values, array)


def test_a_palette_of_greys_is_looked_up(tmp_path: Path) -> None:
    made = Image.fromarray(np.array([[0, 1]], np.uint8), mode=None).convert("P")
    made.putpalette([0, 0, 0, 200, 200, 200])
    made.putdata([0, 1])
    made.save(tmp_path / "a.png")
    assert read_map(tmp_path / "a.png").values.tolist() == [[0, 200]]


def test_a_jpeg_is_read_and_known_to_have_lost_something(tmp_path: Path) -> None:
    found = read_map(picture(tmp_path / "a.jpg", np.full((8, 8), 200, np.uint8)))
    assert (found.is_lossy, found.kind, found.highest) == (True, "8-bit", 200)


def test_an_npz_file_of_one_array_is_a_map(tmp_path: Path) -> None:
    np.savez_compressed(tmp_path / "a.npz", prob=np.array([[0.5]]))
    assert levels_of(read_map(tmp_path / "a.npz")).tolist() == [[32768]]


def refused(path: Path) -> str:
    """The one line with which a file is refused."""
    with pytest.raises(DataError) as raised:
        read_map(path)
    said = str(raised.value)
    assert said.startswith(str(path))
    assert "\n" not in said
    return said


@pytest.mark.parametrize(
    ("values", "said"),
    [
        (np.array([[-7.2, 11.3]]), "values from -7.2 to 11.3, expected probabilities in [0, 1]; apply the sigmoid"),
        (np.array([[0.0, 1.5]]), "values from 0 to 1.5, expected probabilities in [0, 1]; apply the sigmoid to logits"),
        (np.array([[0.0, 254.0]]), "divide by 255, or apply the sigmoid to logits"),
        (np.array([[0.0, 1.0001]]), "clip them to [0, 1]"),
        (np.array([[0.5, np.nan]]), "nan at row 0, column 1, expected probabilities in [0, 1]; look at what made it"),
        (np.array([[0.5], [-np.inf]]), "-inf at row 1, column 0"),
        (np.zeros((3, 4, 5)), "shape (3, 4, 5), expected (height, width) of one map, or one channel of it"),
        (np.zeros((2, 1, 4, 5)), "shape (2, 1, 4, 5)"),
        (np.zeros(7), "shape (7,)"),
        (np.zeros((0, 5)), "shape (0, 5)"),
        (np.array(3.0), "shape ()"),
        (np.array([[1 + 2j]]), "values of type complex128, expected float, bool, uint8 or uint16"),
        (np.array([["a"]]), "values of type <U1"),
        (np.array([[0, 255]]), "int64 values from 0 to 255, expected 0 and 1; save probabilities as float32"),
        (np.array([[-1, 1]], np.int8), "int8 values from -1 to 1, expected 0 and 1"),
    ],
)
def test_an_array_that_is_no_map_is_one_line(values: NDArray[Any], said: str, tmp_path: Path) -> None:
    assert said in refused(saved(tmp_path / "a.npy", values))


def test_nothing_pickled_is_read(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", np.array([{"a": 1}], dtype=object), allow_pickle=True)
    (tmp_path / "b.npy").write_bytes(pickle.dumps(np.zeros((2, 2))))
    (tmp_path / "c.npz").write_bytes(pickle.dumps(np.zeros((2, 2))))
    assert "Python objects, which are not read; save an array of numbers" in refused(tmp_path / "a.npy")
    assert "damaged or cut short" in refused(tmp_path / "b.npy")
    assert "damaged or cut short" in refused(tmp_path / "c.npz")


@pytest.mark.parametrize("suffix", [".png", ".tif", ".bmp", ".jpg", ".npy", ".npz"])
@pytest.mark.parametrize("kept", [0.0, 0.6])
def test_a_file_that_is_cut_short_is_one_line(suffix: str, kept: float, tmp_path: Path) -> None:
    path, noise = tmp_path / f"a{suffix}", np.random.default_rng(0).integers(0, 255, (64, 64), np.uint8)
    if suffix == ".npy":
        np.save(path, noise)
    elif suffix == ".npz":
        np.savez(path, noise)
    else:
        picture(path, noise)
    whole = path.read_bytes()
    path.write_bytes(whole[: int(kept * len(whole))])
    refused(path)


def test_an_archive_whose_bytes_were_changed_is_one_line(tmp_path: Path) -> None:
    stream = io.BytesIO()
    np.savez_compressed(stream, a=np.random.default_rng(0).random((64, 64)))
    content = bytearray(stream.getvalue())
    content[200:260] = bytes(60)
    (tmp_path / "a.npz").write_bytes(content)
    assert "damaged or cut short" in refused(tmp_path / "a.npz")


def test_several_arrays_in_a_file_of_a_folder_are_one_line(tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", a=np.zeros((2, 2)), b=np.zeros((2, 2)))
    assert "2 arrays, expected one; an archive of all images is scored by its own path" in refused(tmp_path / "a.npz")


def test_a_header_that_claims_too_much_is_one_line(tmp_path: Path) -> None:
    path = saved(tmp_path / "a.npy", np.zeros((2, 2)))
    path.write_bytes(path.read_bytes().replace(b"(2, 2)", b"(2, 2000000000)", 1))
    refused(path)


def test_a_missing_file_a_broken_link_and_a_text_are_one_line(tmp_path: Path) -> None:
    (tmp_path / "link.png").symlink_to(tmp_path / "nowhere.png")
    (tmp_path / "text.png").write_text("no picture")
    assert "no such file or directory, expected a map" in refused(tmp_path / "a.npy")
    assert "no such file or directory" in refused(tmp_path / "link.png")
    assert "not an image" in refused(tmp_path / "text.png")


def test_colours_and_transparency_are_one_line(tmp_path: Path) -> None:
    colour = np.zeros((4, 4, 3), np.uint8)
    colour[0, 0, 2] = 1
    clear = np.full((4, 4, 4), 255, np.uint8)
    clear[0, 0, 3] = 254
    assert "colours, expected grey; save the map itself" in refused(picture(tmp_path / "a.png", colour))
    assert "partly transparent, expected one opaque channel" in refused(picture(tmp_path / "b.png", clear))


def test_16_bits_of_colour_are_refused_before_they_are_cut_to_8(tmp_path: Path) -> None:
    deep = np.full((4, 4, 3), 300, np.uint16)
    for suffix in (".png", ".tif"):
        assert cv2.imwrite(str(tmp_path / f"a{suffix}"), deep)
        said = refused(tmp_path / f"a{suffix}")
        assert "16" in said, said


def test_a_file_of_several_pictures_is_one_line(tmp_path: Path) -> None:
    pages = [Image.fromarray(GREY)] * 2
    pages[0].save(tmp_path / "a.tif", save_all=True, append_images=pages[1:])
    assert "2 pictures in one file" in refused(tmp_path / "a.tif")


def test_a_link_to_a_file_with_spaces_and_letters_of_any_alphabet_is_read(tmp_path: Path) -> None:
    path = picture(tmp_path / "Ziel № 1 目标.png", GREY)
    (tmp_path / "link.png").symlink_to(path)
    assert np.array_equal(read_map(tmp_path / "link.png").values, GREY)


@pytest.mark.parametrize(
    ("values", "mask"),
    [
        (np.array([[0, 255]], np.uint8), [[0, 255]]),
        (np.array([[0, 1]], np.uint8), [[0, 255]]),
        (np.array([[0, 0]], np.uint8), [[0, 0]]),
        (np.array([[1, 1]], np.uint8), [[255, 255]]),
        (np.array([[3, 127, 128]], np.uint8), [[3, 127, 128]]),
        (np.array([[False, True]]), [[0, 255]]),
        (np.array([[0, 1]], np.int64), [[0, 255]]),
        (np.array([[0.0, 1.0]], np.float32), [[0, 255]]),
        (np.array([[0, 65535]], np.uint16), [[0, 255]]),
        (np.array([[0, 255]], np.uint16), [[0, 255]]),
        (np.array([[0, 1]], np.uint16), [[0, 255]]),
    ],
)
def test_a_mask_is_0_and_255_or_0_and_1(values: NDArray[Any], mask: list[list[int]]) -> None:
    assert mask_of(map_of(values, "here")).tolist() == mask


@pytest.mark.parametrize(
    ("values", "said"),
    [
        (np.array([[0, 38]], np.uint8), "here: mask values reach only 38, expected 0 and 255, or 0 and 1; it would be"),
        (np.array([[0.0, 0.7]]), "here: float values from 0 to 0.7 are no mask, expected 0 and 255, or 0 and 1"),
        (np.array([[0.0, 0.5, 1.0]]), "here: float values from 0 to 1 are no mask"),
        (np.array([[0, 3, 65535]], np.uint16), "here: 16-bit values from 0 to 65535 are no mask"),
        (np.array([[0, 700]], np.uint16), "here: 16-bit values from 0 to 700 are no mask"),
    ],
)
def test_what_is_no_mask_is_one_line(values: NDArray[Any], said: str) -> None:
    with pytest.raises(DataError, match="^" + said.replace("(", r"\(")):
        mask_of(map_of(values, "here"))
