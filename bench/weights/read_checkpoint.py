"""The weights in a file that anyone may have made, read without running anything that is in it."""

from __future__ import annotations

import pickle
import re
import struct
import warnings
import zipfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from bench.errors import CheckpointError
from bench.input_files import regular_file
from bench.store.files import first_line
from bench.store.zip_check import check_zip
from bench.weights.printable import printable
from bench.weights.safetensors_file import is_safetensors, read_tensors
from bench.weights.unwrap import FOUND_BY_RULE, Unwrapped, Unwrapping, candidates

BROKEN = "not a whole file of weights; fetch it again"
NOT_PYTORCH = (
    (0, b"\x12\x01\0\0\0\0\0\0", "parameters of MXNet, which this project does not read; take a PyTorch checkpoint"),
    (0, b"version https://git-lfs", "a Git LFS pointer in place of the file; fetch it with git lfs pull"),
    (0, b"<", "a web page, not the file that it offers; fetch it again"),
    (0, b"\x1f\x8b", "a gzip archive; unpack it and take the checkpoint in it"),
    (257, b"ustar", "a tar archive; unpack it and take the checkpoint in it"),
)
"""What is found under a checkpoint's name and is none: position and bytes that tell it, what it is and what to do."""

MODULE_MARKS = (b"_parameters", b"_modules")  # fields of every network that is pickled as a whole
SEARCHED = 2**26  # bytes of a file in which they are searched


def read_checkpoint(path: Path | str) -> dict[str, Tensor]:
    """The weights in a file, by the file's own keys: safetensors, a bare state dict, or one in a container.

    Nothing in the file is run: a pickle that holds anything but tensors, plain types and NumPy's scalars is refused.

    Raises:
        FileNotFoundError: when there is no such file.
        CheckpointError: when the file is broken, holds code, or holds no weights or several.
    """
    return dict(only_one(read_candidates(path), path).state)


def read_candidates(path: Path | str, words: Unwrapping = FOUND_BY_RULE) -> tuple[Unwrapped, ...]:
    """Every state dict in a file, at least one, by the file's own keys.

    Raises:
        FileNotFoundError, CheckpointError: as `read_checkpoint`, but for several.
    """
    path = existing_file(path, "checkpoint")
    if is_safetensors(path):
        content: Any = read_tensors(path)[0]
    else:
        _refuse_what_is_not_pytorchs(path)
        content = _read_pickle(path)
    if found := tuple(candidates(content, words, where=f"checkpoint {path}")):
        return found
    what = ", ".join(map(printable, content)) if isinstance(content, Mapping) else type(content).__name__
    under = f"under {words.container}" if words.container else "alone or under state_dict or net"
    raise CheckpointError(f"checkpoint {path}: holds {what[:200] or 'nothing'}, expected a state dict, {under}")


def only_one(found: Sequence[Unwrapped], path: Path | str) -> Unwrapped:
    """The one state dict of a file; of several that are equal the first.

    Raises:
        CheckpointError: when there are several that differ.
    """
    first, *others = found
    for other in others:
        if not _is_same(first.state, other.state):
            names = " and ".join(printable(one.container) or "its top" for one in (first, other))
            raise CheckpointError(f"checkpoint {path}: holds weights under {names}; choose one with --container NAME")
    return first


def _is_same(one: Mapping[str, Tensor], other: Mapping[str, Tensor]) -> bool:
    return one.keys() == other.keys() and all(torch.equal(tensor, other[key]) for key, tensor in one.items())


def existing_file(path: Path | str, what: str) -> Path:
    """The path, when a file is there.

    Raises:
        FileNotFoundError: when there is none.
    """
    return regular_file(path, what)


def _refuse_what_is_not_pytorchs(path: Path) -> None:
    with path.open("rb") as file:
        head = file.read(512)
    if not head:
        raise CheckpointError(f"checkpoint {path}: an empty file; fetch it again")
    for position, mark, what in NOT_PYTORCH:
        if head[position:].startswith(mark):
            raise CheckpointError(f"checkpoint {path}: {what}")
    if head.startswith(b"PK"):
        names = _names_in_zip(path)
        if "constants.pkl" in names:
            raise CheckpointError(f"checkpoint {path}: a TorchScript program, expected weights alone; it was not run")
        if "data.pkl" not in names:
            raise CheckpointError(f"checkpoint {path}: a zip archive; unpack it and take the checkpoint in it")
        try:
            check_zip(path)
        except Exception as error:
            raise CheckpointError(f"checkpoint {path}: {BROKEN} ({printable(first_line(error))})") from error


def _names_in_zip(path: Path) -> set[str]:
    try:
        with zipfile.ZipFile(path) as archive:
            members = archive.infolist()
    except Exception as error:
        raise CheckpointError(f"checkpoint {path}: {BROKEN}") from error
    names = {member.filename.rpartition("/")[2] for member in members}
    if "data.pkl" in names and sum(member.file_size for member in members) > path.stat().st_size:
        raise CheckpointError(f"checkpoint {path}: holds compressed or overlapping parts, as PyTorch never writes")
    return names


def _read_pickle(path: Path) -> Any:
    try:
        with path.open("rb") as file, warnings.catch_warnings(), torch.serialization.safe_globals(STAND_INS):
            warnings.simplefilter("ignore")  # about the pickle's version; what cannot be read is refused anyway
            return torch.load(file, map_location="cpu", weights_only=True)  # by content, whatever the file's name
    except pickle.UnpicklingError as error:
        raise CheckpointError(f"checkpoint {path}: {_why_refused(path, error)}") from error
    except Exception as error:
        raise CheckpointError(f"checkpoint {path}: {BROKEN}") from error


def _why_refused(path: Path, error: pickle.UnpicklingError) -> str:
    found = re.search(r"GLOBAL (\S+)", str(error))
    named = printable(found[1]) if found else ""
    with path.open("rb") as file:
        pickled = file.read(SEARCHED)  # in a zip, too: PyTorch puts the pickle first and compresses nothing
    if named and all(mark in pickled for mark in MODULE_MARKS):
        return (
            f"a whole pickled network, not its weights: reading it would run {named}, so it was not loaded; "
            "who has that code and trusts the file can save the weights alone: "
            f"torch.save(torch.load({path.name!r}, weights_only=False).state_dict(), 'weights.pth')"
        )
    what = f"it would run {named}" if named else "it is no checkpoint or would run code"
    return (
        f"refused before reading on, for {what}; "
        "expected tensors alone: where its maker is trusted, save its state_dict()"
    )


FORMATS = dict(
    zip(("b1", "i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8", "f2", "f4", "f8"), "?bhiqBHIQefd", strict=True)
)
"""What the module struct calls the types of plain numbers, by NumPy's names."""


class ScalarType:
    """A plain number's type and byte order, in the place of a `numpy.dtype`.

    Raises:
        UnpicklingError: when the type is no plain number's.
    """

    def __init__(self, code: str, *_: object) -> None:
        if code not in FORMATS:
            raise pickle.UnpicklingError(f"a NumPy scalar of type {code!r}")
        self.format = "<" + FORMATS[code]

    def __setstate__(self, state: tuple[object, ...]) -> None:
        if state[1] == ">":
            self.format = ">" + self.format[1:]


def scalar(kind: ScalarType, data: bytes) -> float:
    """The number in a pickled NumPy scalar; published files keep their scores as such.

    Raises:
        UnpicklingError: when it comes without a type.
    """
    if type(kind) is not ScalarType:
        raise pickle.UnpicklingError("a NumPy scalar without a type")
    (number,) = struct.unpack(kind.format, data)
    return number  # type: ignore[no-any-return]


STAND_INS: list[Callable[..., Any] | tuple[Callable[..., Any], str]] = [
    (ScalarType, "numpy.dtype"),
    (scalar, "numpy.core.multiarray.scalar"),
    (scalar, "numpy._core.multiarray.scalar"),
]
"""What is called in the place of NumPy's own functions, so that none of these runs on what a stranger wrote."""
