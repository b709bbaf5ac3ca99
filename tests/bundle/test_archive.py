"""The archive of a bundle: equal pixels in smaller files, equal bytes of equal content, a stated size."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from bench.bundle.archive import write_bundle
from bench.bundle.images import packed_image, packed_mask
from bench.bundle.order import Order
from bench.bundle.parts import Room
from bench.data.images.decode import decode_grey, decode_opencv, decode_rgb, pixel_digest
from bench.errors import RequestError

LEVELS = np.random.default_rng(0).integers(0, 256, (20, 30, 3), dtype=np.uint8)


def images_of_all_kinds(folder: Path) -> list[Path]:
    """Grey, equal and unequal channels, alpha, a palette, in PNG, BMP and JPEG."""
    grey = Image.fromarray(np.sort(LEVELS[..., 0], axis=1))
    made = {
        "grey.bmp": grey,
        "equal.png": grey.convert("RGB"),
        "colour.png": Image.fromarray(LEVELS),
        "alpha.png": Image.fromarray(LEVELS).convert("RGBA"),
        "palette.png": Image.fromarray(LEVELS).convert("P"),
        "photo.jpg": Image.fromarray(LEVELS),
    }
    for name, image in made.items():
        image.save(folder / name)
    return [folder / name for name in made]


def test_every_decoder_reads_the_same_pixels_from_what_travels(tmp_path: Path) -> None:
    there = tmp_path / "there"
    there.mkdir()
    for path in images_of_all_kinds(tmp_path):
        name, content = packed_image(path, tmp_path)
        (there / name).write_bytes(content)
        assert len(content) <= path.stat().st_size
        for decode in (
            decode_grey,
            decode_rgb,
            lambda file: decode_opencv(file)[0],
            lambda file: decode_opencv(file)[1],
        ):
            assert pixel_digest(decode(there / name)) == pixel_digest(decode(path)), path.name


def test_a_mask_travels_as_a_grey_image(tmp_path: Path) -> None:
    mask = np.zeros((40, 40, 3), np.uint8)
    mask[3:5, 7:9] = 255
    cv2.imwrite(str(tmp_path / "mask.bmp"), mask)
    name, content = packed_mask(tmp_path / "mask.bmp", tmp_path)
    assert name == "mask.png"
    assert len(content) < 200
    (tmp_path / name).write_bytes(content)
    assert np.array_equal(decode_grey(tmp_path / name), mask[..., 0])


@pytest.mark.realdata
@pytest.mark.parametrize("dataset", ["NUAA-SIRST", "NUDT-SIRST"])
def test_real_images_travel_with_their_pixels(real_data: Path, dataset: str, tmp_path: Path) -> None:
    paths = sorted((real_data / dataset / "images").iterdir())[::60]
    before = after = 0
    for path in paths:
        name, content = packed_image(path, tmp_path)
        (tmp_path / name).write_bytes(content)
        assert pixel_digest(decode_rgb(tmp_path / name)) == pixel_digest(decode_rgb(path))
        before, after = before + path.stat().st_size, after + len(content)
    assert after < 0.75 * before  # measured: 0.66 and 0.65


def test_equal_content_gives_equal_bytes_and_too_much_is_refused(tmp_path: Path) -> None:
    order, contents = Order(("quick",), code="0"), {"data/HERE/images/a.png": LEVELS.tobytes()}
    first, second = (write_bundle(tmp_path / name, contents, order, most=10**6).path for name in ("1.zip", "2.zip"))
    assert first.read_bytes() == second.read_bytes()
    with pytest.raises(RequestError, match=r"3.zip: the bundle takes 0.0 MiB, expected at most 0.0009537: .*HERE 0.0"):
        write_bundle(tmp_path / "3.zip", contents, order, most=1000)
    assert not (tmp_path / "3.zip").exists()


def test_room_counts_files_and_bytes() -> None:
    room = Room(files=2, file_size=10, total=18)
    assert room.holds(18)
    assert not room.holds(19)
    assert not room.without(8).holds(11)
    assert room.without(8).holds(10)
