from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from bench.data.catalogue.cards import load_card
from bench.data.images.find_dataset import find_dataset
from bench.data.images.frames import open_frames
from bench.errors import DataError

SIRST3 = load_card("SIRST3")


@pytest.fixture
def parts(made: Path) -> Path:
    """A root with one image of each part of SIRST3, and two more of IRSTD-1k."""
    for part, name in (("NUAA-SIRST", "Misc_1"), ("NUDT-SIRST", "000001")):
        for kind in ("images", "masks"):
            (made / part / kind).mkdir(parents=True)
            shutil.copy(made / "IRSTD-1k" / kind / "XDU0.png", made / part / kind / f"{name}.png")
    return made


def test_a_mixture_is_read_from_its_parts_folders(parts: Path) -> None:
    files = find_dataset(SIRST3, parts)
    assert sorted(files.images) == ["000001", "Misc_1", "XDU0", "XDU1", "XDU2"]
    assert files.pair("Misc_1") == (parts / "NUAA-SIRST/images/Misc_1.png", parts / "NUAA-SIRST/masks/Misc_1.png")
    frames = open_frames("SIRST3", ["XDU1", "000001"], root=parts, decoder="pillow-grey")
    assert [frame.image[0, 0] for frame in frames] == [51, 50]


def test_a_folder_of_the_mixtures_own_comes_first(parts: Path) -> None:
    (parts / "IRSTD-1k").rename(parts / "SIRST3")
    assert sorted(find_dataset(SIRST3, parts).images) == ["XDU0", "XDU1", "XDU2"]


def test_a_missing_part_is_named_with_what_to_do(made: Path) -> None:
    with pytest.raises(DataError, match=r"of the datasets that it is made of no NUAA-SIRST, NUDT-SIRST; run .* fetch"):
        find_dataset(SIRST3, made)


def test_an_accent_spelled_in_two_characters_is_found(made: Path) -> None:
    for kind in ("images", "masks"):
        (made / "IRSTD-1k" / kind / "XDU0.png").rename(made / "IRSTD-1k" / kind / "u\u0308.png")
    assert find_dataset(load_card("IRSTD-1k"), made).pair("ü")[0].is_file()


def test_a_folder_in_another_spelling_is_named(made: Path) -> None:
    (made / "IRSTD-1k").rename(made / "irstd_1K")
    with pytest.raises(DataError) as caught:
        find_dataset(load_card("IRSTD-1k"), made)
    assert str(caught.value) == (
        f"{made}/IRSTD-1k: no such folder, expected IRSTD-1k/images and IRSTD-1k/masks; "
        f"irstd_1K lies there: dfinet-bench data import IRSTD-1k {made}/irstd_1K --data {made}"
    )
