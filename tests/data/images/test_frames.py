from __future__ import annotations

import logging
import shutil
import zlib
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from bench.data.images.decode import (
    decode_grey,
    decode_opencv,
    find_files,
    open_image,
    pixel_digest,
    resize_nearest,
    resize_opencv_nearest,
)
from bench.data.images.frames import Frame, Frames, measure_statistics, open_frames
from bench.data.images.otsu import otsu_start
from bench.errors import DataError
from bench.types import Decoder

NAMES = ("XDU0", "XDU1", "XDU2")


def open_made(root: Path | None, names: tuple[str, ...] = NAMES, decoder: Decoder = "pillow-grey") -> object:
    return open_frames("IRSTD-1k", names, root=root, decoder=decoder)


def test_frames_come_in_the_order_of_the_names(made: Path) -> None:
    frames = open_frames("IRSTD-1k", ("XDU2", "XDU0"), root=made, decoder="pillow-grey")
    assert frames.names == ("XDU2", "XDU0")
    assert [int(frame.image[0, 0]) for frame in frames] == [52, 50]
    assert frames[0].size == (20, 30)
    assert frames[0].target_pixels.tolist() == [127, 128, 129, 157, 158, 159]
    assert frames[0].binary_mask.sum() == 6
    assert frames[:1].names == ("XDU2",)


def test_opencv_frames_have_three_channels_and_their_own_grey(made: Path) -> None:
    colour = np.zeros((20, 30, 3), np.uint8)
    colour[:] = (10, 20, 200)
    cv2.imwrite(str(made / "IRSTD-1k/images/XDU0.png"), colour)
    frame = open_frames("IRSTD-1k", NAMES, root=made, decoder="opencv-bgr")[0]
    assert frame.image[0, 0].tolist() == [10, 20, 200]
    assert frame.grey.shape == (20, 30)


def test_opencv_grey_frames_are_what_imread_gives_and_not_pillows(made: Path) -> None:
    path = made / "IRSTD-1k/images/XDU0.png"
    colour = np.zeros((20, 30, 3), np.uint8)
    colour[:] = (10, 20, 200)
    cv2.imwrite(str(path), colour)
    frame, *_, last = open_frames("IRSTD-1k", NAMES, root=made, decoder="opencv-grey")
    assert frame.image is frame.grey
    assert frame.image.shape == (20, 30)
    assert np.array_equal(frame.image, cv2.imread(str(path), cv2.IMREAD_GRAYSCALE))
    assert np.array_equal(last.image, decode_grey(made / "IRSTD-1k/images/XDU2.png"))


def test_progress_counts_every_image(made: Path) -> None:
    seen: list[tuple[int, int]] = []
    open_frames("IRSTD-1k", NAMES, root=made, decoder="pillow-grey", progress=lambda *at: seen.append(at))
    assert seen == [(1, 3), (2, 3), (3, 3)]


def test_statistics_are_means_over_images(made: Path) -> None:
    for name, level in zip(NAMES, (10, 20, 60), strict=True):
        cv2.imwrite(str(made / f"IRSTD-1k/images/{name}.png"), np.full((20, 30), level, np.uint8))
    assert measure_statistics(open_frames("IRSTD-1k", NAMES, root=made, decoder="pillow-grey")) == (30.0, 0.0)


def test_the_wrong_data_folder_is_answered_with_how_to_pass_the_right_one(made: Path) -> None:
    shutil.rmtree(made / "IRSTD-1k/images")
    with pytest.raises(DataError, match=r"images: no such folder.*--data DIR or DFINET_BENCH_DATA"):
        open_made(made)
    with pytest.raises(DataError, match="IRSTD-1k: no such folder, expected IRSTD-1k/images and IRSTD-1k/masks"):
        open_made(made / "elsewhere")
    with pytest.raises(DataError, match="no data folder was given; pass the folder that holds IRSTD-1k"):
        open_made(None)


@pytest.mark.parametrize("kind", ["images", "masks"])
def test_a_missing_file_is_named(made: Path, kind: str) -> None:
    (made / "IRSTD-1k" / kind / "XDU1.png").unlink()
    with pytest.raises(DataError, match=rf"{kind}/XDU1\.png: no such file.*data verify IRSTD-1k"):
        open_made(made)


def test_a_mask_of_another_size_is_refused_without_a_declared_repair(made: Path) -> None:
    cv2.imwrite(str(made / "IRSTD-1k/masks/XDU1.png"), np.zeros((40, 60), np.uint8))
    with pytest.raises(DataError, match=r"XDU1\.png: mask 40x60 .height x width., its image 20x30"):
        open_made(made)


def test_the_declared_repair_is_reported_once(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    for kind in ("images", "masks"):
        (tmp_path / "NUAA-SIRST" / kind).mkdir(parents=True)
    mask = np.zeros((400, 592), np.uint8)
    mask[200:220, 300:320] = 255
    cv2.imwrite(str(tmp_path / "NUAA-SIRST/images/Misc_111.png"), np.zeros((220, 325), np.uint8))
    cv2.imwrite(str(tmp_path / "NUAA-SIRST/masks/Misc_111.png"), mask)
    with caplog.at_level(logging.WARNING):
        for _ in range(2):
            frame = open_frames("NUAA-SIRST", ["Misc_111"], root=tmp_path, decoder="pillow-grey")[0]
    assert [r.message for r in caplog.records if "mask 400x592 over image 220x325" in r.message] == [
        f"{tmp_path}/NUAA-SIRST/masks/Misc_111.png: mask 400x592 over image 220x325, resized to the image "
        "(declared repair)"
    ]
    assert frame.size == (220, 325)
    rows, columns = np.nonzero(frame.mask)
    assert (rows.min(), rows.max(), columns.min(), columns.max()) == (110, 120, 165, 175)


def write_truncated(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-30])


def write_animated(path: Path) -> None:
    frames = [Image.new("L", (30, 20), level) for level in (0, 90)]
    frames[0].save(path, save_all=True, append_images=frames[1:])


HOSTILE = {
    "empty file": lambda path: path.write_bytes(b""),
    "damaged or cut short": write_truncated,
    "not an image": lambda path: path.write_text("hello"),
    "2 pictures in one file": write_animated,
    "pixels of mode 'I;16'": lambda path: Image.fromarray(np.full((20, 30), 9000, np.uint16)).save(path),
    "pixels of mode 'CMYK'": lambda path: Image.new("CMYK", (30, 20)).save(path, format="JPEG"),
    "is a directory": lambda path: (path.unlink(), path.mkdir()),
}


@pytest.mark.parametrize("decoder", ["pillow-grey", "opencv-bgr"])
@pytest.mark.parametrize("kind", ["images", "masks"])
@pytest.mark.parametrize("sentence", HOSTILE)
def test_a_hostile_file_is_one_line_that_names_it(made: Path, kind: str, sentence: str, decoder: Decoder) -> None:
    path = made / "IRSTD-1k" / kind / "XDU1.png"
    HOSTILE[sentence](path)
    with pytest.raises(DataError, match=sentence) as caught:
        open_made(made, decoder=decoder)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_denied_read_is_named(made: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(path: Path) -> bytes:
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(Path, "read_bytes", refuse)
    with pytest.raises(DataError, match=r"XDU0\.png: permission denied, expected an image"):
        open_made(made)


def test_two_files_of_one_name_are_refused(made: Path) -> None:
    cv2.imwrite(str(made / "IRSTD-1k/images/XDU1.bmp"), np.zeros((20, 30), np.uint8))
    with pytest.raises(DataError, match=r"has the same name, expected one file per image"):
        open_made(made)


@pytest.mark.parametrize("decoder", ["pillow-grey", "opencv-bgr"])
def test_names_with_spaces_and_letters_beyond_ascii_are_read(made: Path, decoder: Decoder) -> None:
    for kind in ("images", "masks"):
        (made / "IRSTD-1k" / kind / "XDU1.png").rename(made / "IRSTD-1k" / kind / "ein Bild ü 像.png")
    frame = open_frames("IRSTD-1k", ["ein Bild ü 像"], root=made, decoder=decoder)[0]
    assert frame.grey[0, 0] == 51


def test_a_huge_picture_is_refused_before_it_is_decoded(tmp_path: Path) -> None:
    path = tmp_path / "huge.png"
    Image.new("1", (8200, 8200)).save(path)
    with pytest.raises(DataError, match="8200x8200 pixels, expected at most"):
        open_image(path)


def test_a_picture_too_huge_for_pillow_is_told_by_its_pixels_too(tmp_path: Path) -> None:
    path = tmp_path / "huge.png"
    Image.new("1", (100, 100)).save(path)
    content = bytearray(path.read_bytes())
    content[16:24] = (40000).to_bytes(4, "big") * 2
    content[29:33] = zlib.crc32(content[12:29]).to_bytes(4, "big")
    path.write_bytes(content)
    with pytest.raises(DataError, match=r"huge\.png: 1600000000 pixels, expected at most 67108864 in all"):
        open_image(path)


def test_alpha_is_dropped_and_not_blended(tmp_path: Path) -> None:
    path = tmp_path / "alpha.png"
    Image.new("RGBA", (4, 3), (100, 100, 100, 0)).save(path)
    assert decode_grey(path).tolist() == [[100] * 4] * 3
    colour, grey = decode_opencv(path)
    assert colour[0, 0].tolist() == [100, 100, 100]
    assert grey[0, 0] == 100


def test_a_palette_is_looked_up(tmp_path: Path) -> None:
    path = tmp_path / "palette.png"
    palette = Image.new("P", (2, 1))
    palette.putpalette([0, 0, 0, 70, 70, 70] + [0] * 762)
    palette.putdata([0, 1])
    palette.save(path)
    assert decode_grey(path).tolist() == [[0, 70]]


def test_a_bad_colour_profile_is_read_without_a_word(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "profile.png"
    Image.new("RGB", (8, 8), (9, 9, 9)).save(path, icc_profile=b"no colour profile at all" * 10)
    assert decode_grey(path)[0, 0] == 9
    assert decode_opencv(path)[1][0, 0] == 9
    out, err = capfd.readouterr()
    assert out == ""
    assert err == ""


def test_a_lossless_copy_has_the_same_digest(tmp_path: Path) -> None:
    pixels = np.arange(12, dtype=np.uint8).reshape(3, 4)
    for suffix in ("png", "bmp", "tif"):
        Image.fromarray(pixels).save(tmp_path / f"x.{suffix}")
        assert pixel_digest(decode_grey(tmp_path / f"x.{suffix}")) == pixel_digest(pixels)
    assert pixel_digest(pixels) != pixel_digest(pixels.reshape(4, 3))


def test_files_that_are_no_images_are_not_listed(made: Path) -> None:
    (made / "IRSTD-1k/images/Thumbs.db").write_bytes(b"x")
    assert sorted(find_files(made / "IRSTD-1k/images")) == list(NAMES)


def test_nearest_resize_takes_the_pixel_under_each_centre() -> None:
    assert resize_nearest(np.array([[1, 2, 3, 4]], np.uint8), (1, 2)).tolist() == [[2, 4]]
    assert resize_nearest(np.array([[1, 2]], np.uint8), (2, 4)).tolist() == [[1, 1, 2, 2]] * 2
    assert resize_nearest(np.array([[1, 2, 3]], np.uint8), (1, 1)).tolist() == [[2]]


def test_opencvs_nearest_resize_takes_the_pixel_at_or_before_each_place() -> None:
    mask = np.zeros((4, 4), np.uint8)
    mask[1, 1] = mask[2, 2] = 255
    assert resize_opencv_nearest(mask, (2, 2)).tolist() == [[0, 0], [0, 255]]
    assert resize_nearest(mask, (2, 2)).tolist() == [[255, 0], [0, 0]]


def test_an_unknown_decoder_is_refused(made: Path) -> None:
    with pytest.raises(ValueError, match="decoder is 'pillow', expected one of pillow-grey, opencv-grey, opencv-bgr"):
        open_made(made, decoder="pillow")  # type: ignore[arg-type]


def test_the_otsu_start_splits_two_levels_with_a_blurred_border() -> None:
    grey = np.zeros((16, 16), np.uint8)
    grey[:, 8:] = 200
    start = otsu_start(grey)
    assert start.dtype == np.uint8
    assert set(start[0].tolist()) == {0, 1}
    assert start[:, 8:].all()
    assert not start[:, :6].any()


def test_the_otsu_start_of_a_written_down_frame_never_changes() -> None:
    rows, columns = np.mgrid[:40, :56]
    grey = ((rows * 7 + columns * 13 + rows * columns) % 256).astype(np.uint8)
    assert zlib.crc32(otsu_start(grey).tobytes()) == OTSU_CRC


OTSU_CRC = 1213039824
"""Made with OpenCV 5.0, which equals 4.11 on the fifteen published checks (tests/realdata)."""


def test_the_otsu_start_is_made_once_per_size(made: Path) -> None:
    frame = open_frames("IRSTD-1k", NAMES, root=made, decoder="pillow-grey")[0]
    assert frame.start() is frame.start()
    assert frame.start().shape == (20, 30)
    assert frame.start((16, 8)).shape == (16, 8)
    assert frame.start((16, 8)) is frame.start((16, 8))
    assert frame.start().sum() == otsu_start(frame.grey).sum()


def unlabelled(name: str = "plain", side: int = 20) -> Frame:
    """A frame without a mask."""
    grey = np.arange(side * 30, dtype=np.uint8).reshape(side, 30)
    return Frame(name, grey, grey)


def test_a_frame_without_a_mask_has_a_size_and_a_start() -> None:
    frame = unlabelled()
    assert frame.mask is None
    assert frame.size == (20, 30)
    assert np.array_equal(frame.start((10, 15)), Frame("labelled", frame.image, frame.grey, frame.grey).start((10, 15)))


@pytest.mark.parametrize(
    "read",
    [lambda f: f.required_mask, lambda f: f.binary_mask, lambda f: f.binary_at((5, 5)), lambda f: f.target_pixels],
)
def test_what_needs_a_mask_names_the_image_without_one(read: Callable[[Frame], object]) -> None:
    with pytest.raises(DataError, match=r"^image plain: no ground-truth mask, expected one to train on or to score"):
        read(unlabelled())


def test_a_list_holds_frames_with_and_without_masks() -> None:
    labelled = Frame(
        "labelled", np.full((8, 9), 7, np.uint8), np.full((8, 9), 7, np.uint8), np.full((8, 9), 255, np.uint8)
    )
    frames = Frames("mine", [labelled, unlabelled()])
    assert [frame.mask is None for frame in frames] == [False, True]
    assert frames.sizes.tolist() == [[8, 9], [20, 30]]
    assert frames.target_counts.tolist() == [72, 0]
    assert np.array_equal(frames[1].image, unlabelled().image)
    frames[:1].require_masks()
    with pytest.raises(DataError, match="image plain: no ground-truth mask"):
        frames.require_masks()
