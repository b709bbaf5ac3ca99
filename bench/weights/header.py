"""The header of a checkpoint: the network that its weights belong to, and how that network is fed."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_args

from bench.errors import CheckpointError, RecordError, RequestError, RuleError
from bench.input_files import parse_json, whole_number
from bench.protocols.resolve import fields_of, fitted
from bench.records import to_plain
from bench.types import Input, Setting
from bench.weights.printable import printable
from bench.weights.read_checkpoint import existing_file
from bench.weights.safetensors_file import is_safetensors, read_metadata_of

FIELDS = ("model", "settings", "channels", "input", "start")


@dataclass(frozen=True)
class CheckpointHeader:
    """All that is needed to build a trained network again and to feed it.

    Attributes:
        model: its registered name.
        settings: those of its builder, without the input channels.
        input: how its images were read in training.
        start: first feedback mask of training, a name in bench.data.images.start_masks; empty for a network that needs
            none.
    """

    model: str
    settings: Mapping[str, Setting]
    input: Input
    start: str = ""


def read_checkpoint_header(path: Path | str) -> CheckpointHeader:
    """Read the header of a checkpoint that a training wrote.

    Raises:
        FileNotFoundError: when there is no such file.
        CheckpointError: when the file is broken, or its header incomplete, as in published and imported files.
    """
    path = existing_file(path, "checkpoint")
    metadata = read_metadata(path)
    if missing := [name for name in FIELDS if name not in metadata]:
        raise CheckpointError(
            f"checkpoint {path}: its header lacks {', '.join(missing)}, expected a checkpoint.safetensors that a "
            "training wrote; run the training again, or load the weights alone with bench.load_model(MODEL, FILE)"
        )
    found = CheckpointHeader(
        metadata["model"], settings_in(metadata, path), _input_in(metadata, path), metadata["start"]
    )
    if channels_in(metadata, path) != found.input.channels:
        raise CheckpointError(
            f"checkpoint {path}: its header gives a network of {metadata['channels']} channels an input of "
            f"{found.input.channels}; take an unchanged file"
        )
    return found


def header_metadata(input: Input, *, start: str) -> dict[str, str]:
    """The part of a header that a network does not know of itself, as safetensors metadata."""
    return {"input": json.dumps(to_plain(input), ensure_ascii=False), "start": start}


def read_metadata(path: Path | str) -> dict[str, str]:
    """Read what `save_weights` wrote beside the weights; empty for published files."""
    path = Path(path)
    return read_metadata_of(path) if is_safetensors(path) else {}


def settings_in(metadata: Mapping[str, str], path: Path) -> dict[str, Setting]:
    """The builder's settings in a checkpoint's metadata; empty where it has none.

    Raises:
        CheckpointError: when they are not plain values by name.
    """
    found = _object_in(metadata, "settings", path)
    if not all(isinstance(value, get_args(Setting)) for value in found.values()):
        raise CheckpointError(_broken(path, "settings", "a value that is no number, text or truth value"))
    return found


def channels_in(metadata: Mapping[str, str], path: Path) -> int | None:
    """The input channels in a checkpoint's metadata; None where it has none.

    Raises:
        CheckpointError: when they are not a whole number.
    """
    found = metadata.get("channels")
    if found is None or (number := whole_number(found)) is not None:
        return None if found is None else number
    raise CheckpointError(_broken(path, "channels", "no whole number"))


def _input_in(metadata: Mapping[str, str], path: Path) -> Input:
    found, kinds = _object_in(metadata, "input", path), fields_of("input", Input)
    if unknown := sorted(f"input.{name}" for name in found if f"input.{name}" not in kinds):
        raise CheckpointError(_broken(path, "input", f"unknown {printable(', '.join(unknown))}"))
    try:
        return Input(**{name: fitted(v, kinds[f"input.{name}"], path=f"input.{name}") for name, v in found.items()})
    except (RuleError, RequestError, TypeError) as error:
        raise CheckpointError(_broken(path, "input", printable(error))) from error


def _object_in(metadata: Mapping[str, str], name: str, path: Path) -> dict[str, Any]:
    try:
        found = parse_json(metadata.get(name, "{}"))
    except RecordError as error:
        raise CheckpointError(_broken(path, name, printable(error))) from error
    if not isinstance(found, dict):
        raise CheckpointError(_broken(path, name, "no JSON object"))
    return found


def _broken(path: Path, name: str, found: str) -> str:
    return f"checkpoint {path}: its header's {name} cannot be read ({found}); take an unchanged file"
