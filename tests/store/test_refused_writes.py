"""Writes that the system refuses: one line with the path and the cause, the old file kept, nothing half left."""

from __future__ import annotations

import errno
import os
import resource
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import fakes
import numpy as np
import pytest
import torch
from fakes import make_jobs, make_training, synthetic_frames
from PIL import Image

from bench.cli import describe_error
from bench.data.importing.importer import ImportRequest
from bench.data.importing.new_dataset import NewRequest, make_dataset
from bench.errors import WriteError
from bench.run.gate_reference import Expected, Reference, StoredRow, write_reference
from bench.run.local import run_all
from bench.run.workspace import Session, Workspace
from bench.store.collect import _copy
from bench.store.files import write_arrays, write_text
from bench.training.train import train
from bench.weights.safetensors_file import write_tensors
from reports.plots.style import write_figure

LIMIT = 2048
"""Bytes that a file may have; the system refuses more with another error number than a full disk, but likewise."""


@contextmanager
def limited_files(limit: int = LIMIT) -> Iterator[None]:
    """Round the writing alone: the limit holds for pytest's own output too, which may go to a file."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def noise(path: Path) -> None:
    write_arrays(path, {"a": np.random.default_rng(0).random(2 * LIMIT)})


def text(path: Path) -> None:
    write_text(path, "x" * 2 * LIMIT)


def weights(path: Path) -> None:
    write_tensors(path, {"a": torch.zeros(LIMIT)}, metadata={})


def reference(path: Path) -> None:
    rows = {f"row {number}": StoredRow({"IoU/pooled": Expected(0.5, 0.01)}) for number in range(100)}
    write_reference(Reference("gate", rows), path)


@pytest.mark.parametrize("write", [noise, text, weights, reference])
def test_a_file_that_grows_too_large_is_named_with_the_cause(write: Callable[[Path], None], tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_text("old")
    with limited_files(), pytest.raises(WriteError) as caught:
        write(path)
    limit = "raise the limit of a file's size (ulimit -f)"
    assert str(caught.value) == f"{path}: cannot be written, file too large; {limit}"
    assert [(each.name, each.read_text()) for each in tmp_path.iterdir()] == [("file", "old")]


def test_a_state_that_grows_too_large_is_named_with_the_cause(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """torch.save of a path says `unexpected pos 704 vs 598` and no word of the disk."""
    fakes.register_fakes(monkeypatch)
    frames = synthetic_frames("fit", fakes.FIT)
    with limited_files(), pytest.raises(WriteError, match=r"state\.pt: cannot be written, file too large"):
        train(make_training("Dot"), frames, folder=tmp_path, selection_frames=frames)
    assert list(tmp_path.iterdir()) == []


def test_an_experiment_that_cannot_be_written_fails_with_path_and_cause_and_the_next_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fakes.register_fakes(monkeypatch)
    with limited_files(20_000):
        results = run_all(make_jobs(tmp_path, "Dot", "Bright"), Session(Workspace.open(tmp_path / "runs")))
    for result in results:
        assert result is not None
        assert result.status == "failed"
        assert result.reason.startswith(f"WriteError: {tmp_path}/runs/")
        assert "cannot be written, file too large" in result.reason
    assert not list(tmp_path.rglob("*.part"))


def test_a_figure_is_written_whole_or_not_at_all(tmp_path: Path) -> None:
    from matplotlib.figure import Figure

    with limited_files(), pytest.raises(WriteError, match=r"picture\.png: cannot be written, file too large"):
        write_figure(Figure(), tmp_path / "picture")
    assert [path.name for path in tmp_path.iterdir()] == ["picture.pdf"]


def test_a_file_in_the_place_of_the_folder_is_named(tmp_path: Path) -> None:
    (tmp_path / "runs").write_text("in the way")
    with pytest.raises(WriteError, match=r"runs/key/result\.json: cannot be written, not a directory; choose a folder"):
        write_text(tmp_path / "runs/key/result.json", "")


def test_an_error_about_another_file_stays_as_it_is(tmp_path: Path) -> None:
    from bench.part_files import replacing

    with pytest.raises(FileNotFoundError, match="source"), replacing(tmp_path / "copy"):
        (tmp_path / "source").read_text()


def test_an_error_of_the_system_is_path_and_cause_on_the_command_line() -> None:
    refused = OSError(errno.EROFS, os.strerror(errno.EROFS), "runs/.lock")
    assert describe_error(refused) == "runs/.lock: read-only file system"
    assert describe_error(OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))) == "no space left on device"
    assert describe_error(FileNotFoundError("weights x: no such file")) == "weights x: no such file"


def test_a_copy_that_grows_too_large_is_named_by_its_target(tmp_path: Path) -> None:
    """Of a copy on a full disk the system names the source alone."""
    source, target = tmp_path / "source", tmp_path / "out/copy"
    source.write_bytes(bytes(2 * LIMIT))
    with limited_files(), pytest.raises(WriteError, match=r"out/copy: cannot be written, file too large"):
        _copy(source, target)
    assert not list((tmp_path / "out").iterdir())


@pytest.mark.parametrize("limit", [LIMIT, 4000])
def test_a_dataset_that_the_disk_does_not_take_is_named_and_leaves_nothing(limit: int, tmp_path: Path) -> None:
    """The first limit stops a copy, the second the grey PNG that is made of a compressed colour image."""
    for kind in ("images", "masks"):
        (tmp_path / kind).mkdir()
        for number in range(2):
            noise = np.random.default_rng(number).integers(0, 256, (64, 64)).astype(np.uint8)
            pixels = noise if kind == "images" else np.where(noise > 250, 255, 0).astype(np.uint8)
            Image.fromarray(pixels).save(tmp_path / kind / f"{number}.{'jpg' if kind == 'images' else 'png'}")
    source = ImportRequest("Own", tmp_path / "images", tmp_path / "data", masks=tmp_path / "masks", convert=True)
    with (
        limited_files(limit),
        pytest.raises(WriteError, match=r"data\S*: cannot be written, file too large; raise the limit") as caught,
    ):
        make_dataset(NewRequest(source))
    assert len(str(caught.value).splitlines()) == 1
    assert not [path for path in (tmp_path / "data").iterdir() if path.suffix != ".lock"]
