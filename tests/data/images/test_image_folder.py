"""A folder of images as frames without masks."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from bench.data.images.frames import open_frames
from bench.data.images.image_folder import open_image_folder
from bench.errors import DataError
from bench.types import Decoder


@pytest.mark.parametrize("decoder", ["pillow-grey", "opencv-bgr"])
def test_images_are_read_as_those_of_a_dataset_but_for_the_masks(made: Path, decoder: Decoder) -> None:
    frames = open_image_folder(made / "IRSTD-1k/images", decoder=decoder)
    labelled = open_frames("IRSTD-1k", ("XDU0", "XDU1", "XDU2"), root=made, decoder=decoder)
    assert len(frames) == 3
    for one, other in zip(frames, labelled, strict=True):
        assert one.mask is None
        assert (one.name, one.size) == (other.name, other.size)
        assert np.array_equal(one.image, other.image)
        assert np.array_equal(one.grey, other.grey)
    assert [frame.name for frame in frames[1:]] == ["XDU1", "XDU2"]


def test_a_folder_that_is_absent_or_empty_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"none: no such file or directory, expected a folder of images"):
        open_image_folder(tmp_path / "none", decoder="pillow-grey")
    with pytest.raises(DataError, match=r": no image files, expected a folder of PNG, BMP, JPEG or TIFF images"):
        open_image_folder(tmp_path, decoder="pillow-grey")


def test_a_damaged_image_is_named_when_it_is_read(made: Path) -> None:
    (made / "IRSTD-1k/images/XDU1.png").write_bytes(b"no image")
    frames = open_image_folder(made / "IRSTD-1k/images", decoder="pillow-grey")
    assert frames[0].name == "XDU0"
    with pytest.raises(DataError, match=r"XDU1\.png"):
        frames[1]
