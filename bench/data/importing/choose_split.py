"""Choice of a new dataset's lists: from text files, or by shares of the images, decided by names and a seed.

Under shares, images that belong together come into one list: frames of one sequence, copies, and near duplicates.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from bench.errors import DataError, RequestError

PARTS = ("train", "val", "test")


def parse_parts(words: Sequence[str]) -> tuple[Mapping[str, float], Mapping[str, Path]]:
    """Shares by part, and files by part, of which one is empty.

    >>> parse_parts(["train=0.8", "test=0.2"])
    ({'train': 0.8, 'test': 0.2}, {})

    Raises:
        RequestError: when a word is no `part=share` or `part=file`, or shares do not add up to 1.
    """
    shares: dict[str, float] = {}
    files: dict[str, Path] = {}
    for word in words:
        part, _, value = word.partition("=")
        if part not in PARTS or not value or part in shares or part in files:
            raise RequestError(
                f"--split {word!r}: expected each of {', '.join(PARTS)} at most once, as train=0.5,test=0.5 or "
                "train=TRAIN.txt,test=TEST.txt"
            )
        try:
            shares[part] = float(value)
        except ValueError:
            files[part] = Path(value)
    if shares and files:
        raise RequestError("--split: shares and files, expected one or the other for all parts")
    if shares and not (all(share > 0 for share in shares.values()) and math.isclose(sum(shares.values()), 1)):
        raise RequestError(f"--split: shares {', '.join(map(str, shares.values()))}, expected above 0, and 1 in all")
    if (shares or files) and "test" not in {*shares, *files}:
        raise RequestError("--split: no test list, expected one to score on")
    return shares, files


def share_out(
    names: Sequence[str], shares: Mapping[str, float], pairs: Iterable[tuple[str, str]], *, seed: int
) -> dict[str, tuple[str, ...]]:
    """Names by part, in their order; what belongs together comes into one part.

    Groups are taken by falling size, those of one size in the order of the SHA-256 of seed and first name, each into
    the part that lacks most.

    Args:
        pairs: names of images that belong together, beside the frames of one folder.

    Raises:
        DataError: when a part gets no image.

    >>> share_out(["a", "b", "s/1", "s/2"], {"train": 0.5, "test": 0.5}, [], seed=0)
    {'train': ('s/1', 's/2'), 'test': ('a', 'b')}
    """
    groups = _groups(names, pairs)
    groups.sort(key=lambda group: hashlib.sha256(f"{seed}\n{group[0]}".encode()).hexdigest())
    taken: dict[str, list[str]] = {part: [] for part in shares}
    for group in sorted(groups, key=len, reverse=True):
        lacking = {part: share * len(names) - len(taken[part]) for part, share in shares.items()}
        taken[max(lacking, key=lambda part: lacking[part])] += group
    for part, chosen in taken.items():
        if not chosen:
            raise DataError(
                f"--split: no image for {part} of {len(names)} images in {len(groups)} groups that belong together, "
                "expected at least 1; give lists as files"
            )
    return {part: tuple(name for name in names if name in set(chosen)) for part, chosen in taken.items()}


def _groups(names: Sequence[str], pairs: Iterable[tuple[str, str]]) -> list[list[str]]:
    """Names that belong together, directly or through others."""
    root = {name: name for name in names}

    def find(name: str) -> str:
        while root[name] != name:
            root[name] = root[root[name]]
            name = root[name]
        return name

    first_of: dict[str, str] = {}
    sequences = ((first_of.setdefault(name.rpartition("/")[0], name), name) for name in names if "/" in name)
    for one, two in (*sequences, *pairs):
        root[find(two)] = find(one)
    groups: dict[str, list[str]] = {}
    for name in names:
        groups.setdefault(find(name), []).append(name)
    return list(groups.values())
