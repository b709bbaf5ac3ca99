"""The weights inside what training scripts save: containers, shared prefixes and counters of thop, found by rule."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from typing import Any

import torch
from torch import Tensor

from bench.data.catalogue.file_names import counted
from bench.errors import CheckpointError
from bench.weights.printable import printable

COUNTERS = ("total_ops", "total_params")  # buffers that thop leaves in every module that it has counted
USUAL = ("state_dict", "net")  # where published files keep the weights, which goes without saying
DEEPEST = 2  # levels at which containers are searched
MOST_AXES = 8  # of a tensor; a convolution over volumes has five
MOST_BYTES = 2**28  # of a tensor that repeats its storage; every network here has less in all


@dataclass(frozen=True)
class Unwrapping:
    """The user's own words on where the weights are.

    Attributes:
        container: the key that they lie under; empty to find it.
        prefix: of the keys to take, which is removed; keys without it are left out. Empty to remove what all share.
        ignore: patterns of keys that are left out, as `aux.*`.
    """

    container: str = ""
    prefix: str = ""
    ignore: tuple[str, ...] = ()


FOUND_BY_RULE = Unwrapping()


@dataclass(frozen=True)
class Unwrapped:
    """Weights by their keys in the file, sentences on what was done to find them, and the key they lay under."""

    state: Mapping[str, Tensor]
    steps: tuple[str, ...] = ()
    container: str = ""


def candidates(content: Any, words: Unwrapping, *, where: str) -> Iterator[Unwrapped]:
    """Every state dict in a checkpoint: the content itself, else those one level down, else those two levels down.

    Raises:
        CheckpointError: when nothing lies under the named container, no key has the named prefix, or all are ignored.
    """
    states = list(_named_states(content, words))
    if not states and words.ignore and any(_named_states(content, replace(words, ignore=()))):
        raise CheckpointError(
            f"{where}: {', '.join(map(printable, words.ignore))} ignores every key, expected patterns that leave some"
        )
    for name, found in states:
        is_usual = name in USUAL and not words.container
        steps = [] if is_usual or not name else [f"weights taken from {printable(name)}"]
        yield replace(_chosen(found, words, steps, where=where), container=name)


def _named_states(content: Any, words: Unwrapping) -> Iterator[tuple[str, Mapping[str, Tensor]]]:
    level = [("", content)]
    for _ in range(DEEPEST + 1):
        found = [(name, one) for name, one in level if _is_state(one, words.ignore)]
        if words.container:
            found = [(name, one) for name, one in found if name == words.container]
        if found:
            yield from found
            return
        level = [
            (f"{name}/{key}" if name else key, value)
            for name, one in level
            if isinstance(one, Mapping)
            for key, value in one.items()
            if isinstance(key, str) and isinstance(value, Mapping)
        ]


def _is_ignored(key: str, patterns: Sequence[str]) -> bool:
    return any(fnmatchcase(key, pattern) for pattern in patterns)


def _is_state(content: Any, ignore: Sequence[str]) -> bool:
    """True if the content is a mapping of text to plain tensors, but for what is ignored."""
    if not isinstance(content, Mapping) or not all(isinstance(key, str) for key in content):
        return False
    kept = [value for key, value in content.items() if not _is_ignored(key, ignore)]
    return bool(kept) and all(
        isinstance(value, Tensor) and value.layout == torch.strided and value.device.type == "cpu" for value in kept
    )


def _chosen(found: Mapping[str, Tensor], words: Unwrapping, steps: list[str], *, where: str) -> Unwrapped:
    state = dict(found)
    if words.ignore:
        state = {key: tensor for key, tensor in state.items() if not _is_ignored(key, words.ignore)}
        idle = [pattern for pattern in words.ignore if not any(fnmatchcase(key, pattern) for key in found)]
        named = ", ".join(map(printable, words.ignore))
        steps.append(f"{counted(len(found) - len(state), 'key')} ignored as asked ({named})")
        steps += [f"no key fits the pattern {printable(pattern)!r}" for pattern in idle]
    if words.prefix:
        prefix = f"{words.prefix.rstrip('.')}."
        kept = {key.removeprefix(prefix): tensor for key, tensor in state.items() if key.startswith(prefix)}
        if not kept:
            keys = ", ".join(printable(key) for key in list(state)[:3])
            raise CheckpointError(f"{where}: no key begins with {prefix!r}, expected one as in {keys}")
        steps.append(f"prefix {prefix!r} removed from {len(kept)} keys, {len(state) - len(kept)} others left out")
        state = kept
    for key, tensor in state.items():
        if tensor.ndim > MOST_AXES:
            raise CheckpointError(
                f"{where}: tensor {printable(key)} has {tensor.ndim} axes, expected at most {MOST_AXES}"
            )
        asked = tensor.numel() * tensor.element_size()
        if asked > max(MOST_BYTES, tensor.untyped_storage().nbytes()):
            raise CheckpointError(f"{where}: tensor {printable(key)} asks for {asked} bytes and holds fewer")
    return Unwrapped(state, tuple(steps))


def without_counters(found: Unwrapped, wanted: Collection[str]) -> Unwrapped:
    """The weights without thop's counters, unless the network has keys of these names itself."""
    kept = {
        key: tensor for key, tensor in found.state.items() if key.rpartition(".")[2] not in COUNTERS or key in wanted
    }
    if len(kept) == len(found.state):
        return found
    step = f"{counted(len(found.state) - len(kept), 'counter')} of thop ignored ({' and '.join(COUNTERS)})"
    return replace(found, state=kept, steps=(*found.steps, step))


def shared_prefixes(state: Mapping[str, Tensor]) -> Iterator[str]:
    """The prefixes of whole words that all keys share, the empty one first: `""`, `module.`, `module._orig_mod.`."""
    prefix = ""
    yield prefix
    while state:
        word, dot, _ = next(iter(state))[len(prefix) :].partition(".")
        prefix += word + dot
        if not dot or not all(key.startswith(prefix) for key in state):
            return
        yield prefix
