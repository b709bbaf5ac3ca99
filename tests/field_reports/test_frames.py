"""Frames as people have them: with orientation tags and with 16 bits, at every place that opens an image."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
import typer.testing
from made_dataset import made, unmeasured
from PIL import Image

from bench.cli import app
from bench.data.images.decode import Pixels, decode_grey, decode_opencv, decode_rgb
from bench.data.images.frames import open_frames
from bench.data.images.image_folder import open_image_folder
from bench.data.importing.importer import ImportRequest, import_dataset
from bench.data.importing.verify import verify_dataset
from bench.errors import DataError
from bench.scoring.read_map import levels_of, read_map
from bench.types import Decoder

__all__ = ["made", "unmeasured"]

DECODERS: tuple[Decoder, ...] = ("pillow-grey", "opencv-grey", "opencv-bgr")
FORMATS = (".png", ".jpg", ".tif")


def scene() -> Pixels:
    """20x30 pixels, dark, with one bright corner at the top left."""
    pixels = np.full((20, 30), 40, np.uint8)
    pixels[:8, :8] = 240
    return pixels


def save_turned(path: Path, pixels: Pixels, tag: int) -> None:
    exif = Image.Exif()
    exif[0x0112] = tag
    Image.fromarray(pixels).save(path, exif=exif, **({"quality": 100} if path.suffix == ".jpg" else {}))


@pytest.mark.parametrize("tag", range(1, 9))
@pytest.mark.parametrize("suffix", FORMATS)
def test_a_turned_photograph_is_read_as_its_pixels_are_stored(tmp_path: Path, suffix: str, tag: int) -> None:
    """Seen in mmcv PR 805, supervision PR 2577 and PaddleDetection#1747: image turned by its tag, annotation not."""
    plain, turned = tmp_path / f"plain{suffix}", tmp_path / f"turned{suffix}"
    save_turned(plain, scene(), 1)
    save_turned(turned, scene(), tag)
    for decode in (decode_grey, decode_rgb, lambda path: decode_opencv(path)[0], lambda path: decode_opencv(path)[1]):
        assert np.array_equal(decode(turned), decode(plain))
    assert abs(decode_grey(turned).astype(int) - scene()).max() <= 3  # JPEG of quality 100
    assert np.array_equal(levels_of(read_map(turned)), levels_of(read_map(plain)))


@pytest.mark.parametrize("big", [False, True], ids=["classic", "big"])
def test_a_turned_tiff_of_either_size_is_read_as_stored(tmp_path: Path, big: bool) -> None:
    """As above; both libraries turn TIFF files whatever they are asked for."""
    path = tmp_path / "turned.tif"
    Image.fromarray(scene()).save(path, big_tiff=big, tiffinfo={0x0112: 6})
    assert np.array_equal(decode_grey(path), scene())
    assert np.array_equal(decode_opencv(path)[1], scene())


@pytest.fixture
def turned(made: Path) -> Path:
    """A dataset whose second image has an orientation tag and pixels that agree with its mask as stored."""
    path = made / "IRSTD-1k" / "images" / "XDU1.png"
    save_turned(path, np.asarray(Image.open(path)).copy(), 3)
    return made


@pytest.mark.parametrize("decoder", DECODERS)
def test_a_tag_does_not_part_an_image_from_its_mask(turned: Path, decoder: Decoder) -> None:
    """As above: 180 degrees between image and mask, IoU 0 where 1 is right."""
    for frame in open_frames("IRSTD-1k", ["XDU0", "XDU1"], root=turned, decoder=decoder):
        assert np.array_equal(frame.grey == 200, frame.required_mask == 255)
    for frame in open_image_folder(turned / "IRSTD-1k" / "images", decoder=decoder):
        assert np.argwhere(frame.grey == 200)[0].tolist() == [4, 7]


NOTE = (
    "1 file with an EXIF orientation tag other than 1: images/XDU1.png (3); "
    "pixels are read as stored, image and mask have to agree so"
)


def test_verification_and_import_report_orientation_tags(turned: Path, tmp_path: Path) -> None:
    """As above: neither said a word."""
    assert NOTE in verify_dataset("IRSTD-1k", turned).notes
    request = ImportRequest("IRSTD-1k", turned / "IRSTD-1k", tmp_path / "data")
    assert NOTE in import_dataset(request).proof.notes
    converted = import_dataset(ImportRequest("IRSTD-1k", turned / "IRSTD-1k", tmp_path / "png", convert=True))
    assert [line for line in (*converted.conversions, *converted.proof.notes) if "orientation" in line] == [NOTE]
    assert not Image.open(tmp_path / "png/IRSTD-1k/images/XDU1.png").getexif()


DEEP: dict[str, tuple[int, ...]] = {"grey": (20, 30), "colour": (20, 30, 3), "alpha": (20, 30, 4)}


def save_deep(path: Path, shape: tuple[int, ...]) -> None:
    assert cv2.imwrite(str(path), np.full(shape, 3000, np.uint16))


@pytest.mark.parametrize("suffix", [".png", ".tif"])
@pytest.mark.parametrize("shape", DEEP.values(), ids=DEEP)
def test_sixteen_bits_are_refused_wherever_a_run_reads(
    made: Path, tmp_path: Path, suffix: str, shape: tuple[int, ...]
) -> None:
    """Seen in mmsegmentation#2197 and anomalib#1006: 16-bit files cut to 8 bits by the library that decodes them."""
    images = made / "IRSTD-1k" / "images"
    (images / "XDU1.png").unlink()
    save_deep(images / f"XDU1{suffix}", shape)
    said = r"pixels of mode 'I;16'" if len(shape) == 2 else r"16 bits a channel in colour or with alpha"
    paths: list[Callable[[], object]] = [
        *(lambda d=d: open_frames("IRSTD-1k", ["XDU1"], root=made, decoder=d) for d in DECODERS),
        *(lambda d=d: open_image_folder(images, decoder=d)[1] for d in DECODERS),
        lambda: decode_rgb(images / f"XDU1{suffix}"),
    ]
    if len(shape) == 3:
        request = ImportRequest("IRSTD-1k", made / "IRSTD-1k", tmp_path / "data", convert=True)
        paths += [lambda: import_dataset(request), lambda: read_map(images / f"XDU1{suffix}")]
    for open_it in paths:
        with pytest.raises(DataError, match=said):
            open_it()
    assert any(said.replace("\\", "") in problem for problem in verify_dataset("IRSTD-1k", made).problems)


def test_pictures_that_contrast_is_measured_on_are_not_cut(made: Path) -> None:
    """As above, for the images of `score --images`."""
    folder = made / "IRSTD-1k"
    save_deep(folder / "images" / "XDU1.png", (20, 30))
    masks = str(folder / "masks")
    done = typer.testing.CliRunner().invoke(app, ["score", masks, masks, "--images", str(folder / "images")])
    assert isinstance(done.exception, DataError)
    assert "XDU1.png: pixels of mode 'I;16'" in str(done.exception)


@pytest.mark.parametrize(
    ("name", "save", "said"),
    [
        ("float.tif", lambda p: Image.fromarray(np.full((4, 4), 0.5, np.float32)).save(p), "pixels of mode 'F'"),
        ("signed.tif", lambda p: Image.fromarray(np.full((4, 4), -5, np.int32)).save(p), "pixels of mode 'I'"),
        (
            "pages.tif",
            lambda p: Image.fromarray(scene()).save(p, save_all=True, append_images=[Image.fromarray(scene())]),
            "2 pictures in one file",
        ),
    ],
)
def test_tiff_files_that_are_no_8_bit_picture_are_refused(
    tmp_path: Path, name: str, save: Callable[[Path], None], said: str
) -> None:
    """As above, for the other kinds that TIFF files come in."""
    save(tmp_path / name)
    for decoder in DECODERS:
        with pytest.raises(DataError, match=said):
            open_image_folder(tmp_path, decoder=decoder)[0]


def test_a_bitmap_of_five_or_six_bits_a_channel_is_read(tmp_path: Path) -> None:
    """16 bits a pixel are not 16 bits a channel."""
    header = b"BM" + (14 + 40 + 16).to_bytes(4, "little") + bytes(4) + (54).to_bytes(4, "little")
    size = b"".join(value.to_bytes(4, "little") for value in (40, 2, 2))
    info = size + (1).to_bytes(2, "little") + (16).to_bytes(2, "little") + bytes(24)
    (tmp_path / "a.bmp").write_bytes(header + info + b"\xff\x7f" * 4)
    assert decode_grey(tmp_path / "a.bmp").tolist() == [[255, 255], [255, 255]]
