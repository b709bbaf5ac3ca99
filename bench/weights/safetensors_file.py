"""Tensors and a few words about them in one safetensors file: 8 bytes of length, a JSON header, raw numbers.

Reading such a file runs nothing that is in it. The format is written out here because machines that train often have
torch and little else, and no way to install more.

Source: https://github.com/huggingface/safetensors, section "Format".
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from itertools import pairwise
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from bench.errors import CheckpointError, RequestError
from bench.store.files import replacing

DTYPES = {
    "F64": torch.float64,
    "F32": torch.float32,
    "F16": torch.float16,
    "BF16": torch.bfloat16,
    "I64": torch.int64,
    "I32": torch.int32,
    "I16": torch.int16,
    "I8": torch.int8,
    "U8": torch.uint8,
    "BOOL": torch.bool,
}
NAMES = {dtype: name for name, dtype in DTYPES.items()}
PREFIX = 8  # bytes that hold the header's length
METADATA = "__metadata__"


def write_tensors(path: Path, tensors: Mapping[str, Tensor], *, metadata: Mapping[str, str]) -> Path:
    """Write the tensors and the metadata to `path`, whole or not at all."""
    header: dict[str, Any] = {METADATA: dict(metadata)}
    chunks, end = [], 0
    # Wide numbers first, so that every tensor begins at a multiple of its own width.
    for name, tensor in sorted(tensors.items(), key=lambda item: -item[1].element_size()):
        chunk = tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy().tobytes()
        begin, end = end, end + len(chunk)
        header[name] = {"dtype": NAMES[tensor.dtype], "shape": list(tensor.shape), "data_offsets": [begin, end]}
        chunks.append(chunk)
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % PREFIX)
    with replacing(path) as temporary, temporary.open("wb") as file:
        file.write(len(text).to_bytes(PREFIX, "little"))
        file.write(text)
        file.writelines(chunks)
    return path


def read_tensors(path: Path) -> tuple[dict[str, Tensor], dict[str, str]]:
    """The tensors of a file, in the order of its header, and its metadata.

    Raises:
        CheckpointError: when the file is cut short or its header does not describe its content.
    """
    content = path.read_bytes()
    length = int.from_bytes(content[:PREFIX], "little")
    body = content[PREFIX + length :]
    try:
        header = json.loads(content[PREFIX : PREFIX + length])
        metadata = {key: str(value) for key, value in header.pop(METADATA, {}).items()}
        tensors = {name: _tensor(entry, body) for name, entry in header.items()}
        spans = sorted(entry["data_offsets"] for entry in header.values())
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise CheckpointError(f"checkpoint {path}: not a whole safetensors file ({error}); fetch it again") from error
    if any(one[1] != other[0] for one, other in pairwise([[0, 0], *spans, [len(body), len(body)]])):
        raise CheckpointError(
            f"checkpoint {path}: its {len(spans)} tensors do not fill its {len(body)} bytes of data; fetch it again"
        )
    return tensors, metadata


def _tensor(entry: Mapping[str, Any], body: bytes) -> Tensor:
    dtype, shape, (begin, end) = DTYPES[entry["dtype"]], entry["shape"], entry["data_offsets"]
    expected = math.prod(shape) * dtype.itemsize
    if not 0 <= begin <= end <= len(body) or end - begin != expected:
        raise RequestError(f"bytes {begin} to {end} of {len(body)}, expected {expected} bytes")
    if begin == end:
        return torch.empty(shape, dtype=dtype)
    return torch.frombuffer(bytearray(body[begin:end]), dtype=dtype).reshape(shape)


def is_tensor_file(path: Path) -> bool:
    """Whether a file begins as this format does: a length, then a JSON object. A zip or a pickle does not."""
    with path.open("rb") as file:
        return file.read(PREFIX + 1)[PREFIX:] == b"{"
