"""Networks with their weights: ours, and published checkpoints as their authors ship them."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

import torch
from torch import Tensor

from bench.digest import file_digest
from bench.errors import BenchError, CheckpointError
from bench.models.network import Segmenter, build_model, find_models
from bench.store.files import first_line
from bench.types import Input, Setting
from bench.weights.header import (
    CheckpointHeader,
    channels_in,
    header_metadata,
    read_checkpoint_header,
    read_metadata,
    settings_in,
)
from bench.weights.printable import printable
from bench.weights.read_checkpoint import existing_file, read_checkpoint
from bench.weights.safetensors_file import write_tensors

WRAPPED = "module."  # what torch's DataParallel puts before every key
COUNTER = "num_batches_tracked"  # of a BatchNorm; without effect on outputs, and absent from old files
SHOWN = 5  # keys an error names


def load_model(name: str, checkpoint: Path | str | None = None, **settings: Setting) -> Segmenter:
    """Build the network called `name` in evaluation mode, with the weights of `checkpoint`, or fresh ones without.

    Args:
        checkpoint: a file of ours, or a published one as its authors ship it.
        settings: the model's own; a checkpoint of ours brings them along. `channels` of the input is one of them:
            otherwise it is the checkpoint's, and without a checkpoint that of the published form.

    Raises:
        UnknownNameError: when no model has that name.
        FileNotFoundError: when there is no such checkpoint.
        CheckpointError: when the checkpoint is broken, unsafe, or of another network.
    """
    asked = settings.pop("channels", None)
    channels = int(asked or find_models().get(name).info.channels)
    if checkpoint is None:
        return build_model(name, channels=channels, settings=settings).eval()
    path = Path(checkpoint)
    state, metadata = read_checkpoint(path), read_metadata(path)
    made = settings_in(metadata, path)
    _refuse_contradictions(path, {"model": metadata.get("model", name), **made}, {"model": name, **settings})
    with torch.random.fork_rng(devices=[]):  # the first weights are overwritten, so they cost no random numbers
        network = build_model(name, channels=channels, settings={**made, **settings})
        found = channels_in(metadata, path) or _channels_of(state, network)
        if found is not None and found != channels:
            _refuse_contradictions(path, {"channels": found}, {"channels": asked} if asked else {})
            network = build_model(name, channels=found, settings={**made, **settings})
    fill(network, state, source=f"checkpoint {path}")
    return network.eval()


def load_trained(path: Path | str) -> tuple[Segmenter, CheckpointHeader]:
    """Build the network of a checkpoint that a training wrote, in evaluation mode, from the file alone.

    Raises:
        FileNotFoundError: when there is no such checkpoint.
        UnknownNameError: when no model has the name in its header, as without the plugin that registers it.
        CheckpointError: when the checkpoint is broken, or its header incomplete, as in published and imported files.
    """
    header = read_checkpoint_header(path)
    try:
        return load_model(header.model, path), header
    except (BenchError, OSError):
        raise
    except Exception as error:  # whatever a builder says of values that nobody checked
        raise CheckpointError(
            f"checkpoint {path}: {header.model} cannot be built with settings {dict(header.settings)} "
            f"({first_line(error)}); take an unchanged file"
        ) from error


def _refuse_contradictions(path: Path, made: Mapping[str, Setting], asked: Mapping[str, Setting]) -> None:
    for field, value in asked.items():
        if made.get(field, value) != value:
            raise CheckpointError(f"checkpoint {path}: made with {field} {made[field]!r}, asked for {value!r}")


def _channels_of(state: Mapping[str, Tensor], network: Segmenter) -> int | None:
    """The input channels of the checkpoint's first convolution, or None where it has no such key."""
    first = next((key for key, tensor in network.state_dict().items() if tensor.ndim == 4), None)
    kernel = under_our_keys(state, network).get(first or "")
    return kernel.shape[1] if kernel is not None and kernel.ndim == 4 else None


def fill(network: Segmenter, state: Mapping[str, Tensor], *, source: str) -> None:
    """Give the network the weights of `state`, under our keys or the published ones.

    Raises:
        MisfitError: listing what is missing, left over, of another shape or not finite.
    """
    ours = under_our_keys(state, network)
    wanted = network.state_dict()
    complaints = {
        "missing": [key for key in wanted if key not in ours and not key.endswith(COUNTER)],
        "unexpected": [key for key in ours if key not in wanted],
        "of another shape": [
            f"{key} {tuple(tensor.shape)} for {tuple(wanted[key].shape)}"
            for key, tensor in ours.items()
            if key in wanted and tensor.shape != wanted[key].shape
        ],
        "not finite": [key for key, tensor in ours.items() if not tensor.isfinite().all()],
    }
    if any(complaints.values()):
        raise MisfitError(f"{source}: does not fit {type(network).__name__}", complaints)
    network.load_state_dict(ours, strict=False)


class MisfitError(CheckpointError):
    """A file's weights are not those of the network. The message names a few keys, `in_full` all of them."""

    def __init__(self, what: str, complaints: Mapping[str, Sequence[str]]) -> None:
        self.what = what
        self.complaints = {kind: [printable(key) for key in keys] for kind, keys in complaints.items() if keys}
        found = [f"{len(keys)} {kind} ({_some(keys)})" for kind, keys in self.complaints.items()]
        super().__init__(f"{what}: {'; '.join(found)}")

    def in_full(self) -> str:
        """The mismatch, and on each further line one key that is missing, unexpected or otherwise wrong."""
        counts = ", ".join(f"{len(keys)} {kind}" for kind, keys in self.complaints.items())
        return "\n".join(
            [f"{self.what}: {counts}", *(f"{kind}: {key}" for kind, keys in self.complaints.items() for key in keys)]
        )


def _some(keys: Sequence[str]) -> str:
    return ", ".join([*keys[:SHOWN], *["…"] * (len(keys) > SHOWN)])


def under_our_keys(state: Mapping[str, Tensor], network: Segmenter) -> dict[str, Tensor]:
    """A checkpoint's weights as the network calls them: DataParallel's prefix and published ones replaced."""
    is_wrapped = all(key.startswith(WRAPPED) for key in state)
    if is_wrapped and not any(key.startswith(WRAPPED) for key in network.state_dict()):
        state = {key.removeprefix(WRAPPED): tensor for key, tensor in state.items()}
    return {our_key(key, network, taken=state): tensor for key, tensor in state.items()}


def our_key(key: str, network: Segmenter, *, taken: Mapping[str, Tensor]) -> str:
    """A checkpoint's key as the network calls it: published prefixes replaced, unless that name is `taken`."""
    for theirs, ours in network.official_keys:
        renamed = ours + key.removeprefix(theirs)
        if key.startswith(theirs) and renamed not in taken:
            return renamed
    return key


def save_weights(
    network: Segmenter, path: Path, *, metadata: Mapping[str, str], input: Input | None = None, start: str = ""
) -> Path:
    """Write the weights to `path` as safetensors, whole or not at all, with how to build the network again.

    Args:
        metadata: what else the file should say of its making, in words.
        input: how images were read in training, where that is known; `load_trained` needs it.
        start: first feedback mask of training; empty for a network that needs none.
    """
    found = dict(metadata)
    if network.built is not None:
        found |= {
            "model": network.built.name,
            "channels": str(network.built.channels),
            "settings": json.dumps(dict(network.built.settings)),
        }
    if input is not None:
        found |= header_metadata(input, start=start)
    return write_tensors(path, network.state_dict(), metadata=found)


def weights_digest(path: Path | str) -> str:
    """SHA-256 of the file, 64 hexadecimal digits.

    Raises:
        FileNotFoundError: when there is no such file.
    """
    return file_digest(existing_file(path, "weights"))
