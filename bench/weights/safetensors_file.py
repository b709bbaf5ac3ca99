"""Safetensors files of the kinds of tensors that networks have, written whole or not at all.

Reading such a file runs nothing that is in it.
"""

from __future__ import annotations

import hashlib
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
from bench.part_files import replacing
from bench.store.files import first_line
from bench.weights.printable import printable

DTYPES = (
    *(torch.float64, torch.float32, torch.float16, torch.bfloat16),
    *(torch.int64, torch.int32, torch.int16, torch.int8, torch.uint8, torch.bool),
)
DIGEST, NO_DIGEST = "content_sha256", "0" * 64
BLOCK = 2**20
PREFIX = 8  # bytes that hold the header's length, and a multiple of which the header fills


def write_tensors(path: Path, tensors: Mapping[str, Tensor], *, metadata: Mapping[str, str]) -> Path:
    """Write the tensors and the metadata to `path`; the same content makes the same bytes.

    The file carries its own SHA-256, calculated with zeros in the digest's place.

    Raises:
        CheckpointError: when a tensor is of a type that `read_tensors` refuses.
    """
    for name, tensor in tensors.items():
        _check_dtype(path, name, tensor)
    # Copies, because the library refuses tensors that share memory or are not contiguous.
    content = save({name: _copy(tensor) for name, tensor in tensors.items()})
    # The library writes metadata in an order that differs from call to call, so it is added here.
    length = int.from_bytes(content[:PREFIX], "little")
    header = {"__metadata__": {DIGEST: NO_DIGEST, **metadata}, **json.loads(content[PREFIX : PREFIX + length])}
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % PREFIX)
    head, data = len(text).to_bytes(PREFIX, "little") + text, memoryview(content)[PREFIX + length :]
    digest = hashlib.sha256(head)
    digest.update(data)
    with replacing(path) as temporary, temporary.open("wb") as file:
        file.write(head.replace(NO_DIGEST.encode(), digest.hexdigest().encode(), 1))
        file.write(data)
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
        metadata = _checked(path, dict(file.metadata() or {}))
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
        return {name: text for name, text in (file.metadata() or {}).items() if name != DIGEST}


def _checked(path: Path, metadata: dict[str, str]) -> dict[str, str]:
    """The metadata without the file's digest, which is compared with the content where there is one."""
    expected = metadata.pop(DIGEST, None)
    if expected is not None:
        with path.open("rb") as file:
            prefix = file.read(PREFIX)
            header = file.read(int.from_bytes(prefix, "little"))
            digest = hashlib.sha256(prefix + header.replace(expected.encode(), NO_DIGEST.encode(), 1))
            while block := file.read(BLOCK):
                digest.update(block)
        if digest.hexdigest() != expected:
            raise ValueError("its content is not that of its SHA-256")
    return metadata


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
