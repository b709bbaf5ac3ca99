"""The published images through an import: from a folder, from archives, and in SIRST's own layout."""

from __future__ import annotations

import shutil
import tarfile
import zipfile
from pathlib import Path

import pytest

from bench.data.importing.importer import ImportRequest, import_dataset
from bench.data.importing.verify import verify_dataset

pytestmark = pytest.mark.realdata


def packed(folder: Path, target: Path) -> Path:
    """The folder in an archive, as the target's extension says."""
    if target.suffix == ".zip":
        with zipfile.ZipFile(target, "w") as archive:
            for path in sorted(folder.rglob("*")):
                archive.write(path, path.relative_to(folder.parent))
    else:
        with tarfile.open(target, "w:gz", compresslevel=1) as archive:
            archive.add(folder, folder.name)
    return target


@pytest.mark.parametrize("form", ["folder", "zip", "tar.gz"])
@pytest.mark.parametrize(("name", "pairs"), [("NUAA-SIRST", 427), ("NUDT-SIRST", 1327)])
def test_a_published_set_is_the_same_after_an_import(
    real_data: Path, tmp_path: Path, name: str, pairs: int, form: str
) -> None:
    source = real_data / name if form == "folder" else packed(real_data / name, tmp_path / f"set.{form}")
    made = import_dataset(ImportRequest(name, source, tmp_path / "data"))
    assert (made.images, made.lists, made.renamed, made.left_out, made.form) == (pairs, 2, 0, 0, form)
    assert made.proof.problems == ()
    assert verify_dataset(name, tmp_path / "data") == made.proof


def test_the_official_layout_of_sirst_becomes_the_published_set(real_data: Path, tmp_path: Path) -> None:
    source = tmp_path / "sirst-master"
    shutil.copytree(real_data / "NUAA-SIRST/images", source / "images")
    (source / "masks").mkdir()
    for path in (real_data / "NUAA-SIRST/masks").iterdir():
        shutil.copy(path, source / "masks" / f"{path.stem}_pixels0.png")
    made = import_dataset(ImportRequest("NUAA-SIRST", tmp_path / "sirst-master", tmp_path / "data"))
    assert (made.layout, made.images, made.renamed) == ("sirst", 427, 427)
    assert made.proof.problems == ()


def test_converted_images_keep_every_pixel(real_data: Path, tmp_path: Path) -> None:
    request = ImportRequest("NUAA-SIRST", real_data / "NUAA-SIRST", tmp_path / "data", convert=True)
    made = import_dataset(request)
    assert made.proof.problems == ()
    assert made.conversions == ()
