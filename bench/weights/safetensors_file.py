"""Safetensors files of the kinds of tensors that networks have, written whole or not at all.

Reading such a file runs nothing that is in it.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open
from safetensors.torch import save
from torch import Tensor

from bench.errors import CheckpointError
from bench.store.files import first_line, replacing
from bench.weights.printable import printable

DTYPES = (
    *(torch.float64, torch.float32, torch.float16, torch.bfloat16),
    *(torch.int64, torch.int32, torch.int16, torch.int8, torch.uint8, torch.bool),
)
PREFIX = 8  # bytes that hold the header's length, and a multiple of which the header fills


def write_tensors(path: Path, tensors: Mapping[str, Tensor], *, metadata: Mapping[str, str]) -> Path:
    """Write the tensors and the metadata to `path`; the same content makes the same bytes.

    Raises:
        CheckpointError: when a tensor is of a type that `read_tensors` refuses.
    """
    for name, tensor in tensors.items():
        _check_dtype(path, name, tensor)
    # Copies, because the library refuses tensors that share memory or are not contiguous.
    content = save({name: _copy(tensor) for name, tensor in tensors.items()})
    # The library writes metadata in an order that differs from call to call, so it is added here.
    length = int.from_bytes(content[:PREFIX], "little")
    header = {"__metadata__": dict(metadata), **json.loads(content[PREFIX : PREFIX + length])}
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % PREFIX)
    with replacing(path) as temporary, temporary.open("wb") as file:
        file.write(len(text).to_bytes(PREFIX, "little"))
        file.write(text)
        file.write(memoryview(content)[PREFIX + length :])
    return path


def _copy(tensor: Tensor) -> Tensor:
    return tensor.detach().cpu().clone(memory_format=torch.contiguous_format)


def read_tensors(path: Path) -> tuple[dict[str, Tensor], dict[str, str]]:
    """Read the tensors of a file, by name, and its metadata.

    Raises:
        CheckpointError: when the file is cut short, its header does not describe its content, or a tensor is of a type
            that no network here has.
    """
    with _reading(path) as file:
        metadata = dict(file.metadata() or {})
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    for name, tensor in tensors.items():
        _check_dtype(path, name, tensor)
    return tensors, metadata


def read_metadata_of(path: Path) -> dict[str, str]:
    """Read the metadata alone.

    Raises:
        CheckpointError: as `read_tensors`, but for the tensors' types.
    """
    with _reading(path) as file:
        return dict(file.metadata() or {})


@contextmanager
def _reading(path: Path) -> Iterator[Any]:  # safe_open's methods have no types
    try:
        with safe_open(path, framework="pt") as file:
            yield file
    except Exception as error:  # the library's own, and torch's for shapes that the library lets pass
        raise CheckpointError(
            f"checkpoint {path}: not a whole safetensors file ({printable(first_line(error))}); fetch it again"
        ) from error


def _check_dtype(path: Path, name: str, tensor: Tensor) -> None:
    if tensor.dtype not in DTYPES:
        kind = str(tensor.dtype).removeprefix("torch.")
        expected = ", ".join(str(dtype).removeprefix("torch.") for dtype in DTYPES)
        raise CheckpointError(f"checkpoint {path}: tensor {printable(name)} is {kind}, expected one of {expected}")


def is_safetensors(path: Path) -> bool:
    """True if a file begins as this format does: a length, then a JSON object. A zip or a pickle does not."""
    with path.open("rb") as file:
        return file.read(PREFIX + 1)[PREFIX:] == b"{"
