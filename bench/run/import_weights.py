"""A published checkpoint made into safetensors, and the proof that nothing changed on the way."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from bench.cost.measure import example
from bench.errors import CheckpointError, RequestError
from bench.models.network import Segmenter, find_models, parameter_count
from bench.part_files import replacing
from bench.types import Setting
from bench.weights.load import COUNTER, MisfitError, load_model, load_unwrapped, save_weights, weights_digest
from bench.weights.unwrap import FOUND_BY_RULE, Unwrapping

SUFFIX = ".safetensors"
PUBLISHED = (".tar", ".pth", ".pt", ".pkl", ".pickle", ".ckpt", ".bin", SUFFIX)
PROVED_ON = (64, 96)  # (height, width) in pixels of the image of noise


@dataclass(frozen=True)
class Imported:
    """The outcome of an import.

    Attributes:
        source, source_sha256: the published file, and its SHA-256 in hexadecimal digits.
        out, sha256: the file that was written, likewise.
        model, channels, settings: the network it is of.
        tensors: how many were taken, which are all there are.
        parameters: numbers in the network's parameters.
        absent: counters of batches that the source lacks, as old files do; zero was written, which outputs ignore.
        steps: sentences on the container, prefix and ignored keys by which the weights were found, and on tensors of
            another precision.
    """

    source: Path
    source_sha256: str
    out: Path
    sha256: str
    model: str
    channels: int
    settings: Mapping[str, Setting]
    tensors: int
    parameters: int
    absent: int
    steps: tuple[str, ...] = ()


def default_out(source: Path) -> Path:
    """The source's name with `.safetensors` in place of its endings, such as `.pth.tar`, in the working folder."""
    name = source.name
    while (ending := Path(name).suffix.lower()) in PUBLISHED:
        name = name[: -len(ending)]
    return Path(name + SUFFIX)


def import_weights(
    source: Path,
    name: str,
    *,
    out: Path,
    replace_old: bool = False,
    settings: Mapping[str, Setting] | None = None,
    words: Unwrapping = FOUND_BY_RULE,
) -> Imported:
    """Write a published checkpoint of the model called `name` to `out` as safetensors, proved or not at all.

    The new file is read back, and has to give the output that the source gives, before it takes its place.

    Args:
        replace_old: whether a file at `out` may be replaced.
        settings: the model's own, where they are not its published ones; `channels` are read off the source.
        words: where in the source the weights are; found by rule without any.

    Raises:
        UnknownNameError: when no model has that name.
        FileNotFoundError: when there is no such source.
        FileExistsError: when `out` is there already and is not to be replaced.
        CheckpointError: when the source is broken, unsafe or of another network; with every key that does not fit.
        RequestError: when the model has no weights, or no such setting.
    """
    if not find_models().get(name).info.recipe:
        raise RequestError(f"model {name}: learns nothing, so there are no weights to import; take a network")
    _refuse_to_overwrite(out, source, replace_old=replace_old)
    try:
        network, taken = load_unwrapped(name, source, settings=settings or {}, words=words)
    except MisfitError as error:
        raise CheckpointError(error.in_full()) from error
    except TypeError as error:
        raise RequestError(f"{error}; see `dfinet-bench list models`") from error
    assert network.built is not None
    digest = weights_digest(source)
    with replacing(out) as written:
        save_weights(network, written, metadata={"source": source.name, "source_sha256": digest})
        _prove(network, load_model(name, written), out)
    counters = sum(key.endswith(COUNTER) for key in network.state_dict())
    return Imported(
        source=source,
        source_sha256=digest,
        out=out,
        sha256=weights_digest(out),
        model=name,
        channels=network.built.channels,
        settings=dict(network.built.settings),
        tensors=len(taken.state),
        parameters=parameter_count(network),
        absent=counters - sum(key.endswith(COUNTER) for key in taken.state),
        steps=(*taken.steps, *_conversions(taken.state, network.state_dict())),
    )


def _conversions(source: Mapping[str, Tensor], own: Mapping[str, Tensor]) -> Iterator[str]:
    """Sentences on the tensors that the network holds as another type than the source, such as half precision."""
    pairs = Counter((tensor.dtype, own[key].dtype) for key, tensor in source.items() if key in own)
    for (found, kept), count in pairs.items():
        if found != kept:
            is_rounded = found.is_floating_point and kept.is_floating_point and found.itemsize > kept.itemsize
            before, after = (str(dtype).removeprefix("torch.") for dtype in (found, kept))
            yield f"{count} tensors {'rounded' if is_rounded else 'converted'} from {before} to {after}"


def _refuse_to_overwrite(out: Path, source: Path, *, replace_old: bool) -> None:
    if out.is_dir():
        raise FileExistsError(f"{out}: a folder, expected the name of a file")
    if not out.exists():
        return
    if source.exists() and out.samefile(source):
        raise FileExistsError(f"{out}: is the source itself; choose another with --out")
    if not replace_old:
        raise FileExistsError(f"{out}: is there already; choose another with --out, or replace it with --force")


@torch.no_grad()
def _prove(network: Segmenter, again: Segmenter, out: Path) -> None:
    """Raise CheckpointError unless the two networks hold the same weights and give the same output, bit for bit."""
    assert network.built is not None
    image, start = example(network, size=PROVED_ON, channels=network.built.channels, device=torch.device("cpu"))
    ours, theirs = (next(iter(one.rounds(image, start))) for one in (network, again))
    read = again.state_dict()
    kept = all(torch.equal(tensor, read[key]) for key, tensor in network.state_dict().items())
    if not kept or not torch.equal(ours.view(torch.int32), theirs.view(torch.int32)):
        raise CheckpointError(
            f"{out}: not written, for what was read back gives another output; does the network keep anything outside "
            "its state_dict()?"
        )
