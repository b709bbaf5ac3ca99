"""Networks with their weights: ours, and published checkpoints as their authors ship them."""

from __future__ import annotations

import hashlib
import json
import pickle
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from bench.network import Segmenter, build_model, find_models
from bench.tensorfile import CheckpointError, is_tensor_file, read_tensors, write_tensors
from bench.types import Setting

CONTAINERS = ("state_dict", "net")  # where published files keep the weights beside an epoch or a loss
COUNTER = "num_batches_tracked"  # of a BatchNorm; without effect on outputs, and absent from old files
SHOWN = 5  # keys an error names


def load_model(name: str, checkpoint: Path | str | None = None, **settings: Setting) -> Segmenter:
    """The network called `name`, in evaluation mode, with the weights of `checkpoint`, or fresh ones without.

    Args:
        checkpoint: a file of ours, or a published one as its authors ship it.
        settings: the model's own; a checkpoint of ours brings them along. `channels` of the input is one of them:
            otherwise it is the checkpoint's, and without a checkpoint that of the published form.

    Raises:
        LookupError: when no model has that name.
        FileNotFoundError: when there is no such checkpoint.
        CheckpointError: when the checkpoint is broken, unsafe, or of another network.
    """
    asked = settings.pop("channels", None)
    channels = int(asked or find_models().get(name).info.channels)
    if checkpoint is None:
        return build_model(name, channels=channels, settings=settings).eval()
    path = Path(checkpoint)
    state, note = read_checkpoint(path), read_metadata(path)
    made: dict[str, Setting] = json.loads(note.get("settings", "{}"))
    _refuse_contradictions(path, {"model": note.get("model", name), **made}, {"model": name, **settings})
    with torch.random.fork_rng(devices=[]):  # the first weights are overwritten, so they cost no random numbers
        network = build_model(name, channels=channels, settings={**made, **settings})
        found = int(note["channels"]) if "channels" in note else _channels_in(state, network)
        if found is not None and found != channels:
            _refuse_contradictions(path, {"channels": found}, {"channels": asked} if asked else {})
            network = build_model(name, channels=found, settings={**made, **settings})
    fill(network, state, source=f"checkpoint {path}")
    return network.eval()


def _refuse_contradictions(path: Path, made: Mapping[str, Setting], asked: Mapping[str, Setting]) -> None:
    for field, value in asked.items():
        if made.get(field, value) != value:
            raise CheckpointError(f"checkpoint {path}: made with {field} {made[field]!r}, asked for {value!r}")


def _channels_in(state: Mapping[str, Tensor], network: Segmenter) -> int | None:
    """Input channels of the checkpoint's first convolution, or None where it has no such key."""
    first = next((key for key, tensor in network.state_dict().items() if tensor.ndim == 4), None)
    kernel = {our_key(key, network, taken=state): tensor for key, tensor in state.items()}.get(first or "")
    return kernel.shape[1] if kernel is not None and kernel.ndim == 4 else None


def fill(network: Segmenter, state: Mapping[str, Tensor], *, source: str) -> None:
    """Give the network the weights of `state`, under our keys or the published ones.

    Raises:
        CheckpointError: listing what is missing, left over, of another shape or not finite.
    """
    ours = {our_key(key, network, taken=state): tensor for key, tensor in state.items()}
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
    found = [f"{len(keys)} {what} ({_some(keys)})" for what, keys in complaints.items() if keys]
    if found:
        raise CheckpointError(f"{source}: does not fit {type(network).__name__}: {'; '.join(found)}")
    network.load_state_dict(ours, strict=False)


def _some(keys: Iterable[str]) -> str:
    names = list(keys)
    return ", ".join(names[:SHOWN] + ["…"] * (len(names) > SHOWN))


def our_key(key: str, network: Segmenter, *, taken: Mapping[str, Tensor]) -> str:
    """A checkpoint's key as the network calls it: published prefixes replaced, unless that name is `taken`."""
    for theirs, ours in network.official_keys.items():
        renamed = ours + key.removeprefix(theirs)
        if key.startswith(theirs) and renamed not in taken:
            return renamed
    return key


def read_checkpoint(path: Path | str) -> dict[str, Tensor]:
    """The weights in a file, by the file's own keys: safetensors, a bare state dict, or one in a known container.

    Nothing in the file is run: a pickle that holds anything but tensors and plain types is refused.

    Raises:
        FileNotFoundError: when there is no such file.
        CheckpointError: when the file is broken, holds code, or holds no weights.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"checkpoint {path}: no such file")
    if is_tensor_file(path):
        return read_tensors(path)[0]
    content = _read_pickle(path)
    for container in CONTAINERS:
        if isinstance(content, Mapping) and isinstance(content.get(container), Mapping):
            content = content[container]
    if not isinstance(content, Mapping) or not all(isinstance(value, Tensor) for value in content.values()):
        what = ", ".join(map(str, content)) if isinstance(content, Mapping) else type(content).__name__
        raise CheckpointError(
            f"checkpoint {path}: holds {what[:200]}, expected a state dict, alone or under {' or '.join(CONTAINERS)}"
        )
    return dict(content)


def _read_pickle(path: Path) -> Any:
    try:
        return torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        named = re.search(r"GLOBAL (\S+)", str(error))
        what = f"it would run {named[1]}" if named else "it is no checkpoint or would run code"
        raise CheckpointError(
            f"checkpoint {path}: refused before reading on, for {what}; "
            "expected tensors alone: where its maker is trusted, save its state_dict()"
        ) from error
    except Exception as error:
        raise CheckpointError(f"checkpoint {path}: not a whole file of weights; fetch it again") from error


def save_weights(network: Segmenter, path: Path, *, metadata: Mapping[str, str]) -> Path:
    """Write the weights to `path` as safetensors, whole or not at all, with how to build the network again.

    Args:
        metadata: what else the file should say of its making, in words.
    """
    note = dict(metadata)
    if network.built is not None:
        note |= {
            "model": network.built.name,
            "channels": str(network.built.channels),
            "settings": json.dumps(dict(network.built.settings)),
        }
    return write_tensors(path, network.state_dict(), metadata=note)


def read_metadata(path: Path | str) -> dict[str, str]:
    """What `save_weights` wrote beside the weights; nothing for published files."""
    path = Path(path)
    return read_tensors(path)[1] if is_tensor_file(path) else {}


def weights_digest(path: Path | str) -> str:
    """SHA-256 of the file, 64 hexadecimal digits.

    Raises:
        FileNotFoundError: when there is no such file.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"weights {path}: no such file")
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
