"""Download of a published checkpoint, verified before it takes its place."""

from __future__ import annotations

from pathlib import Path

from bench.data.importing.download import download
from bench.digest import file_digest
from bench.errors import CheckpointError, DataError
from bench.weights.catalogue import SHOWN, PublishedWeights, find_weights


def fetch_weights(wanted: PublishedWeights, folder: Path) -> Path:
    """The checkpoint's file in a folder: the one that is there, or else downloaded.

    Raises:
        CheckpointError: when the address of the file is not known, what came has another SHA-256, or something else
            lies where the folder or the file belongs.
        DataError: when the address cannot be reached or gives something else than a file.
    """
    if (found := find_weights(wanted, folder)) is not None:
        return found
    if not wanted.url:
        raise CheckpointError(
            f"weights {wanted.name}: the address of the file itself is not known; save it from {wanted.page} "
            f"into {folder}, under any name"
        )
    place = folder / wanted.file
    if folder.exists() and not folder.is_dir():
        raise CheckpointError(f"{folder}: not a folder; name one with --weights DIR")
    if place.exists():
        raise CheckpointError(f"{place}: not a file; take it away, or name another folder with --weights DIR")
    try:
        arrived = download(wanted.url, folder / f"{wanted.file}.part", advice=f"put it into {folder}")
    except DataError as error:
        raise DataError(f"{error}; its page is {wanted.page}") from None
    if (found_digest := file_digest(arrived)) != wanted.sha256:
        arrived.unlink()
        raise CheckpointError(
            f"{wanted.url}: SHA-256 is {found_digest[:SHOWN]}…, that of {wanted.name} is {wanted.sha256[:SHOWN]}…; "
            f"nothing is kept; look for it on {wanted.page}"
        )
    return arrived.replace(place)
