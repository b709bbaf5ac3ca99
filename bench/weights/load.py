"""Networks with their weights: ours, and published checkpoints as their authors ship them."""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping, Sequence
from dataclasses import replace
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
from bench.weights.read_checkpoint import existing_file, only_one, read_candidates
from bench.weights.safetensors_file import write_tensors
from bench.weights.unwrap import FOUND_BY_RULE, Unwrapped, Unwrapping, shared_prefixes, without_counters

log = logging.getLogger(__name__)

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
    if checkpoint is not None:
        network, found = load_unwrapped(name, checkpoint, settings=settings)
        for step in found.steps:
            log.info("checkpoint %s: %s", checkpoint, step)
        return network
    channels = int(settings.pop("channels", None) or find_models().get(name).info.channels)
    return build_model(name, channels=channels, settings=settings).eval()


def load_unwrapped(
    name: str, checkpoint: Path | str, *, settings: Mapping[str, Setting], words: Unwrapping = FOUND_BY_RULE
) -> tuple[Segmenter, Unwrapped]:
    """Build a network as `load_model` does, and return the weights by our keys with what was done to find them.

    Raises:
        UnknownNameError, FileNotFoundError, CheckpointError: as `load_model`.
    """
    own = {name: value for name, value in settings.items() if name != "channels"}
    asked = settings.get("channels")
    channels = int(asked or find_models().get(name).info.channels)
    path = Path(checkpoint)
    states, metadata = read_candidates(path, words), read_metadata(path)
    made = settings_in(metadata, path)
    _refuse_contradictions(path, {"model": metadata.get("model", name), **made}, {"model": name, **own})
    with torch.random.fork_rng(devices=[]):  # the first weights are overwritten, so they cost no random numbers
        network = build_model(name, channels=channels, settings={**made, **own})
        taken = _choose([_under_our_keys(one, network) for one in states], network, path)
        found = channels_in(metadata, path) or _channels_of(taken.state, network)
        if found is not None and found != channels:
            _refuse_contradictions(path, {"channels": found}, {"channels": asked} if asked else {})
            network = build_model(name, channels=found, settings={**made, **own})
    _fill(network, taken.state, source=f"checkpoint {path}")
    return network.eval(), taken


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


def _channels_of(ours: Mapping[str, Tensor], network: Segmenter) -> int | None:
    """The input channels of the checkpoint's first convolution, or None where it has no such key."""
    first = next((key for key, tensor in network.state_dict().items() if tensor.ndim == 4), None)
    kernel = ours.get(first or "")
    return kernel.shape[1] if kernel is not None and kernel.ndim == 4 else None


def fill(network: Segmenter, state: Mapping[str, Tensor], *, source: str) -> None:
    """Give the network the weights of `state`, under our keys or the published ones.

    Raises:
        MisfitError: listing what is missing, left over, of another shape or type, or not finite.
    """
    _fill(network, _under_our_keys(Unwrapped(state), network).state, source=source)


def _fill(network: Segmenter, ours: Mapping[str, Tensor], *, source: str) -> None:
    wanted = network.state_dict()
    fitting = {key: tensor for key, tensor in ours.items() if key in wanted and tensor.shape == wanted[key].shape}
    complaints = {
        "missing": [key for key in wanted if key not in ours and not key.endswith(COUNTER)],
        "unexpected": [key for key in ours if key not in wanted],
        "of another shape": [
            f"{key} {tuple(tensor.shape)} for {tuple(wanted[key].shape)}"
            for key, tensor in ours.items()
            if key in wanted and key not in fitting
        ],
        "of another type": [
            f"{key} {_type_of(tensor)} for {_type_of(wanted[key])}"
            for key, tensor in fitting.items()
            if not _is_alike(tensor, wanted[key]) and not key.endswith(COUNTER)
        ],
        "not finite": [key for key, tensor in fitting.items() if not tensor.isfinite().all()],
    }
    if any(complaints.values()):
        raise MisfitError(f"{source}: does not fit {type(network).__name__}", complaints)
    network.load_state_dict(ours, strict=False)


def _type_of(tensor: Tensor) -> str:
    return str(tensor.dtype).removeprefix("torch.")


def _is_alike(one: Tensor, other: Tensor) -> bool:
    """True if both are real, or both whole numbers or truth values."""
    return (one.is_floating_point(), one.is_complex()) == (other.is_floating_point(), other.is_complex())


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


def _choose(found: Sequence[Unwrapped], network: Segmenter, path: Path) -> Unwrapped:
    """Of several state dicts the one that has the network's keys; where none has, the one that has most of them.

    Raises:
        CheckpointError: when several that differ have them all.
    """
    wanted = {key for key in network.state_dict() if not key.endswith(COUNTER)}
    fitting = [one for one in found if {key for key in one.state if not key.endswith(COUNTER)} == wanted]
    if fitting:
        return only_one(fitting, path)
    return max(found, key=lambda one: len(wanted & one.state.keys()))


def _under_our_keys(found: Unwrapped, network: Segmenter) -> Unwrapped:
    """A checkpoint's weights as the network calls them: published keys replaced, and prefixes that all keys share.

    Of those prefixes the one is removed that leaves most keys of the network, the shortest of equals.
    """
    wanted = network.state_dict().keys()
    bare = without_counters(found, wanted)
    renamed = {}
    for prefix in shared_prefixes(bare.state):
        state = {key.removeprefix(prefix): tensor for key, tensor in bare.state.items()}
        renamed[prefix] = {our_key(key, network, taken=state): tensor for key, tensor in state.items()}
    best = max(renamed, key=lambda prefix: len(wanted & renamed[prefix].keys()))
    steps = (*bare.steps, f"prefix {printable(best)} removed, which all keys share") if best else bare.steps
    return replace(bare, state=renamed[best], steps=steps)


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
