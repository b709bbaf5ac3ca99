"""Writing of the split lists and digest tables beside the cards, from which `datasets/` can be made again.

`python -m bench.data.importing.write_lists lists PUBLISHED` reads the lists as their publishers keep them, under
PUBLISHED, and derives further ones from them and the digest tables;
`python -m bench.data.importing.write_lists digests NAME [ROOT]` reads images and masks, or masks alone where no images
are, or generates them. `add_split` adds a user's lists to the published ones.
"""

from __future__ import annotations

import argparse
import json
import re
from collections.abc import Callable, Mapping, Sequence
from itertools import combinations
from pathlib import Path

import numpy as np

from bench.data.catalogue.cards import CARD_FILE, DIGEST_FILE, Card, datasets_root, load_card, own_root
from bench.data.catalogue.file_names import published_names, stem_of
from bench.data.catalogue.splits import HELD_OUT, check_names, choose_held_out, known_names, read_list
from bench.data.images.decode import Pixels, decode_grey, decode_rgb, find_files, pixel_digest
from bench.data.images.synthetic import named_scene
from bench.errors import DataError
from bench.store.files import write_text

PUBLISHED = {
    ("NUAA-SIRST", "basicirstd", "train"): "basicirstd/NUAA-SIRST/train_NUAA-SIRST.txt",
    ("NUAA-SIRST", "basicirstd", "test"): "basicirstd/NUAA-SIRST/test_NUAA-SIRST.txt",
    ("NUAA-SIRST", "sirst-v1", "train"): "sirst-v1/idx_427/train.txt",
    ("NUAA-SIRST", "sirst-v1", "val"): "sirst-v1/idx_427/val.txt",
    ("NUAA-SIRST", "sirst-v1", "test"): "sirst-v1/idx_427/test.txt",
    ("NUDT-SIRST", "basicirstd", "train"): "basicirstd/NUDT-SIRST/train_NUDT-SIRST.txt",
    ("NUDT-SIRST", "basicirstd", "test"): "basicirstd/NUDT-SIRST/test_NUDT-SIRST.txt",
    ("NUDT-SIRST", "dfinet", "train"): "dfinet/NUDT-SIRST/train.txt",
    ("NUDT-SIRST", "dfinet", "val"): "dfinet/NUDT-SIRST/val.txt",
    ("NUDT-SIRST", "dfinet", "test"): "dfinet/NUDT-SIRST/test.txt",
    ("IRSTD-1k", "basicirstd", "train"): "basicirstd/IRSTD-1K/train_IRSTD-1K.txt",
    ("IRSTD-1k", "basicirstd", "test"): "basicirstd/IRSTD-1K/test_IRSTD-1K.txt",
    ("IRSTD-1k", "dfinet", "train"): "dfinet/IRSTD-1k/train.txt",
    ("IRSTD-1k", "dfinet", "test"): "dfinet/IRSTD-1k/test.txt",
    ("SIRST-Aug", "dfinet", "train"): "dfinet/SIRST Aug/train.txt",
    ("SIRST-Aug", "dfinet", "test"): "dfinet/SIRST Aug/test.txt",
    ("SIRST-UAVB", "dfinet", "train"): "dfinet/SIRST-UAVB/train.txt",
    ("SIRST-UAVB", "dfinet", "test"): "dfinet/SIRST-UAVB/test.txt",
    ("SIRST-v2", "full", "train"): "sirst-v2/train_full.txt",
    ("SIRST-v2", "full", "val"): "sirst-v2/val_full.txt",
    ("SIRST-v2", "full", "test"): "sirst-v2/test_full.txt",
    ("SIRST-v2", "v1", "train"): "sirst-v2/train_v1.txt",
    ("SIRST-v2", "v1", "val"): "sirst-v2/val_v1.txt",
    ("SIRST-v2", "v1", "test"): "sirst-v2/test_v1.txt",
    ("SIRST-v2", "v1fullv2target", "train"): "sirst-v2/trainval_v1fullv2target.txt",
    ("SIRST-v2", "v1fullv2target", "val"): "sirst-v2/val_v1fullv2target.txt",
    ("SIRST-v2", "v1fullv2target", "test"): "sirst-v2/test_v1fullv2target.txt",
    ("SIRST3", "basicirstd", "train"): "basicirstd/SIRST3/train_SIRST3.txt",
    ("SIRST3", "basicirstd", "test"): "basicirstd/SIRST3/test_SIRST3.txt",
    ("NUDT-SIRST-Sea", "basicirstd", "train"): "basicirstd/NUDT-SIRST-Sea/train_NUDT-SIRST-Sea.txt",
    ("NUDT-SIRST-Sea", "basicirstd", "test"): "basicirstd/NUDT-SIRST-Sea/test_NUDT-SIRST-Sea.txt",
}
"""(dataset, split, part) to the path of the list in the publishers' folder."""

WITHOUT = {("SIRST-v2", "v1fullv2target", "train"): "val"}
"""Training lists that are published only together with another part, which is taken out of them."""


def target_free(names: Sequence[str], card: Card) -> tuple[str, ...]:
    """Names, in order, whose masks mark no target: their digest is that of a mask of zeros."""
    masks = {name: card.digests[f"masks/{name}"] for name in names}
    return tuple(name for name, mask in masks.items() if mask.sha256 == pixel_digest(np.zeros(mask.size, np.uint8)))


def beyond_v1(names: Sequence[str], card: Card) -> tuple[str, ...]:
    """Names, in order, of images that NUAA-SIRST does not hold: neither under their name nor under another."""
    files = load_card("NUAA-SIRST").digests
    pixels = {digest.sha256 for digest in files.values()}
    images = {name: f"images/{name}" for name in names}
    return tuple(n for n, file in images.items() if file not in files and card.digests[file].sha256 not in pixels)


ListKey = tuple[str, str, str]
ListRule = Callable[[Sequence[str], Card], tuple[str, ...]]

DERIVED: Mapping[ListKey, tuple[ListKey, ListRule]] = {
    ("SIRST-v2", "target-free", "test"): (("SIRST-v2", "full", "test"), target_free),
    ("SIRST-v2", "beyond-v1", "test"): (("SIRST-v2", "full", "test"), beyond_v1),
}
"""(dataset, split, part) of a list that no publisher has, to the published one that it is taken from and the rule."""

SYNTHETIC_COUNTS = {"train": 320, "test": 80}


def write_lists(published: Path) -> None:
    """Write every list of every card, and the held-out fifth of each training list."""
    for dataset, split, part in PUBLISHED:
        names = _published(published, (dataset, split, part))
        taken_out = _published(published, (dataset, split, WITHOUT.get((dataset, split, part), "")))
        _write_part(
            datasets_root() / dataset / "splits" / split, part, [name for name in names if name not in taken_out]
        )
    for (dataset, split, part), (origin, rule) in DERIVED.items():
        chosen = rule(_published(published, origin), load_card(dataset))
        _write_part(datasets_root() / dataset / "splits" / split, part, chosen)
    first = 1
    for part, count in SYNTHETIC_COUNTS.items():
        folder = datasets_root() / "synthetic" / "splits" / "bench"
        _write_part(folder, part, [f"scene-{number:04d}" for number in range(first, first + count)])
        first += count


def write_digests(dataset: str, root: Path | None) -> None:
    """Write the digest table of a dataset from the files under `root`, or from the generator."""
    lines = []
    for file, pixels in _decoded_files(dataset, root):
        height, width = pixels.shape[:2]
        lines.append(f"{file}\t{height}\t{width}\t{pixel_digest(pixels)}\n")
    (datasets_root() / dataset / DIGEST_FILE).write_text("".join(lines), encoding="utf-8", newline="\n")


def _published(folder: Path, key: tuple[str, str, str]) -> tuple[str, ...]:
    return published_names(read_list(folder / PUBLISHED[key]), key[0]) if key in PUBLISHED else ()


def add_split(dataset: str, split: str, parts: Mapping[str, Path], *, source: str, folder: Path | None = None) -> None:
    """Add a user's lists as a split of a dataset, with a held-out fifth, and name them in its card.

    Args:
        parts: `train`, `test` and perhaps `val` to the list's file; an extension behind a name is taken off.
        source: who made the lists.
        folder: the dataset's folder of cards; default the one that is in use.

    Raises:
        UnknownNameError: with suggestions, when no dataset has that name.
        DataError: when a list cannot be read, is empty, names an image twice or one that the dataset does not have, or
            shares a name with another, or the split is there already; nothing is written then.
    """
    card = load_card(dataset)
    if split in card.splits:
        raise DataError(
            f"{dataset}: {split!r} is a split already, beside {', '.join(card.splits)}; name another with --split NAME"
        )
    if re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_.-]*", split) is None:
        raise DataError(f"{dataset}: {split!r} is no name for a split, expected letters, digits, '_', '-' and '.'")
    names = {part: own_names(path, card) for part, path in parts.items()}
    put_split(folder or (own_root(dataset) or datasets_root()) / dataset, split, names, source=source, said=parts)
    load_card.cache_clear()


def put_split(
    folder: Path, split: str, names: Mapping[str, Sequence[str]], *, source: str, said: Mapping[str, Path | str]
) -> None:
    """Write the lists of a split, with a held-out fifth of the training list, and name them in the folder's card.

    Args:
        names: part to its names.
        said: part to the file or words that its list comes from, for error messages.

    Raises:
        DataError: when two lists share a name, or one is too short; nothing is written then.
    """
    if "train" in names and len(names["train"]) < 2:
        raise DataError(f"{said['train']}: 1 name, expected at least 2, one image to learn from and one to hold out")
    for one, other in combinations(names, 2):
        if shared := set(names[one]) & set(names[other]):
            raise DataError(
                f"{said[one]}: {min(shared)!r} stands in {other} too ({len(shared)} in all), expected disjoint lists"
            )
    for part, content in names.items():
        _write_part(folder / "splits" / split, part, content)
    counts = {part: len(content) for part, content in names.items()}
    held_out = len(choose_held_out(names.get("train", ())))
    _name_split(folder / CARD_FILE, split, counts, held_out=held_out, source=source)


def own_names(path: Path, card: Card) -> tuple[str, ...]:
    """Names in a user's list, in the published form.

    Raises:
        DataError: when it cannot be read, is empty, or names an image twice or one that the dataset does not have.
    """
    written = read_list(path)
    if not written:
        raise DataError(f"{path}: no name in it, expected image names, one a line")
    names = published_names([stem_of(name).strip() for name in written], card.name)
    first: dict[str, str] = {}
    for name, line in zip(names, written, strict=True):
        if (other := first.setdefault(name, line)) != line:
            raise DataError(f"{path}: {other!r} and {line!r} are one image, expected every name once")
    check_names(path, names)
    known = known_names(card)
    foreign = [name for name in names if known and name not in known]
    if foreign:
        raise DataError(
            f"{path}: {foreign[0]!r} is no image of {card.name} ({len(foreign)} such names in all), "
            f"expected names as {min(known)!r}; take them out or correct them"
        )
    return names


def _name_split(card: Path, split: str, counts: Mapping[str, int], *, held_out: int, source: str) -> None:
    """Write the split into a card, and make it the default if the card has none."""
    text = card.read_text(encoding="utf-8").rstrip("\n")
    text = text.removesuffix("[splits]").replace('default_split = ""', f'default_split = "{split}"').rstrip("\n")
    lines = [f'[splits."{split}"]', f"source = {json.dumps(source, ensure_ascii=False)}"]
    for part, count in counts.items():
        lines.append(f"{part} = {count}")
        if part == "train":
            lines.append(f"{HELD_OUT} = {held_out}")
    write_text(card, f"{text}\n\n" + "\n".join(lines) + "\n")


def _decoded_files(dataset: str, root: Path | None) -> list[tuple[str, Pixels]]:
    if load_card(dataset).generated:
        scenes = {f"scene-{n:04d}" for n in range(1, sum(SYNTHETIC_COUNTS.values()) + 1)}
        pairs = [(name, named_scene(name)) for name in sorted(scenes)]
        return [(f"images/{n}", s.grey) for n, s in pairs] + [(f"masks/{n}", s.mask) for n, s in pairs]
    if root is None:
        raise SystemExit(f"{dataset}: digests need the folder that holds {dataset}")
    folder = root / dataset
    images = find_files(folder / "images") if (folder / "images").is_dir() else {}
    return [(f"images/{n}", decode_rgb(p)) for n, p in images.items()] + [
        (f"masks/{n}", decode_grey(p)) for n, p in find_files(folder / "masks").items()
    ]


def _write_part(folder: Path, part: str, names: Sequence[str]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    parts = {part: names, HELD_OUT: choose_held_out(names)} if part == "train" else {part: names}
    for name, content in parts.items():
        text = "".join(f"{image}\n" for image in content)
        (folder / f"{name}.txt").write_text(text, encoding="utf-8", newline="\n")


def _main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.data.importing.write_lists", description=__doc__)
    commands = parser.add_subparsers(required=True, dest="command")
    commands.add_parser("lists").add_argument("published", type=Path)
    digests = commands.add_parser("digests")
    digests.add_argument("dataset")
    digests.add_argument("root", type=Path, nargs="?")
    options = parser.parse_args()
    if options.command == "lists":
        write_lists(options.published)
    else:
        write_digests(options.dataset, options.root)


if __name__ == "__main__":
    _main()
