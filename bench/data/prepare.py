"""Write the split lists and digest tables that lie beside the cards: how `datasets/` was made and is made again.

`python -m bench.data.prepare lists PUBLISHED` reads the lists as their publishers keep them, under PUBLISHED;
`python -m bench.data.prepare digests NAME [ROOT]` reads the images, or generates them.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from bench.data.cards import DIGEST_FILE, datasets_root, load_card
from bench.data.decode import Pixels, decode_grey, decode_rgb, find_files, pixel_digest
from bench.data.splits import HELD_OUT, choose_held_out, read_list
from bench.data.synthetic import named_scene

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
}
"""(dataset, split, part) to the list's place under the publishers' folder."""

ID_DIGITS = {"NUDT-SIRST": 6}
"""Datasets whose numbered files are called by that many digits, whatever a list says: DFINet's 0001 is 000001."""

SYNTHETIC_COUNTS = {"train": 320, "test": 80}


def published_names(names: Sequence[str], dataset: str) -> tuple[str, ...]:
    """The names as the image files bear them."""
    digits = ID_DIGITS.get(dataset)
    return tuple(name.zfill(digits) if digits and name.isdecimal() else name for name in names)


def write_lists(published: Path) -> None:
    """Write every list of every card, and beside each training list its held-out fifth."""
    for (dataset, split, part), place in PUBLISHED.items():
        _write_part(dataset, split, part, published_names(read_list(published / place), dataset))
    first = 1
    for part, count in SYNTHETIC_COUNTS.items():
        _write_part("synthetic", "bench", part, [f"scene-{number:04d}" for number in range(first, first + count)])
        first += count


def write_digests(dataset: str, root: Path | None) -> None:
    """Write the digest table of a dataset from the files under `root`, or from the generator."""
    lines = []
    for file, pixels in _decoded_files(dataset, root):
        height, width = pixels.shape[:2]
        lines.append(f"{file}\t{height}\t{width}\t{pixel_digest(pixels)}\n")
    (datasets_root() / dataset / DIGEST_FILE).write_text("".join(lines), encoding="utf-8", newline="\n")


def _decoded_files(dataset: str, root: Path | None) -> list[tuple[str, Pixels]]:
    if load_card(dataset).generated:
        scenes = {f"scene-{n:04d}" for n in range(1, sum(SYNTHETIC_COUNTS.values()) + 1)}
        pairs = [(name, named_scene(name)) for name in sorted(scenes)]
        return [(f"images/{n}", s.grey) for n, s in pairs] + [(f"masks/{n}", s.mask) for n, s in pairs]
    if root is None:
        raise SystemExit(f"{dataset}: digests need the folder that holds {dataset}")
    images, masks = find_files(root / dataset / "images"), find_files(root / dataset / "masks")
    return [(f"images/{n}", decode_rgb(p)) for n, p in images.items()] + [
        (f"masks/{n}", decode_grey(p)) for n, p in masks.items()
    ]


def _write_part(dataset: str, split: str, part: str, names: Sequence[str]) -> None:
    folder = datasets_root() / dataset / "splits" / split
    folder.mkdir(parents=True, exist_ok=True)
    parts = {part: names, HELD_OUT: choose_held_out(names)} if part == "train" else {part: names}
    for name, content in parts.items():
        text = "".join(f"{image}\n" for image in content)
        (folder / f"{name}.txt").write_text(text, encoding="utf-8", newline="\n")


def _main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.data.prepare", description=__doc__)
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
