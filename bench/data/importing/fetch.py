"""Datasets from their authors' addresses: download and import, or the exact steps where a person has to download."""

from __future__ import annotations

import os
import shlex
from dataclasses import dataclass, replace
from pathlib import Path

from bench.data.catalogue.cards import Card, Source, load_card
from bench.data.importing.download import Patience, Received, download
from bench.data.importing.importer import Import, ImportRequest, Steps, import_dataset, replace_dataset, work_in
from bench.digest import file_digest
from bench.errors import DataError
from bench.lock import refusing_lock


@dataclass(frozen=True)
class Fetch:
    """Address and expected content of a download.

    Attributes:
        request: the import that follows; its source is the downloaded file.
        url: address of an archive.
        sha256, size: SHA-256 and bytes that the archive must have; empty and None where they are not known.
    """

    request: ImportRequest
    url: str
    sha256: str = ""
    size: int | None = None

    def __post_init__(self) -> None:
        if self.sha256 and (len(self.sha256) != 64 or set(self.sha256.lower()) - set("0123456789abcdef")):
            raise DataError(f"--sha256 {self.sha256!r}: expected 64 hexadecimal digits")


def plan_fetch(request: ImportRequest, *, url: str = "", sha256: str = "") -> Fetch | None:
    """Plan a download from the given address or the card's; None where only a person can download the dataset.

    Raises:
        UnknownNameError: with suggestions, when there is no such dataset.
        DataError: when the dataset is generated, or the digest is malformed.
    """
    card = load_card(request.dataset)
    if card.generated:
        raise DataError(f"{card.name}: is generated, there is nothing to fetch")
    part = request.data / f"{card.name}.part"
    source = next((source for source in card.sources if source.kind == "direct"), None)
    if url:
        return Fetch(replace(request, source=part, origin=url), url, sha256)
    if source is None:
        return None
    brought = replace(request, source=part, origin=source.url)
    return Fetch(brought, source.url, sha256 or source.sha256, source.size)


def fetch_dataset(
    fetch: Fetch,
    *,
    replacing: bool = False,
    received: Received | None = None,
    steps: Steps | None = None,
    patience: Patience | None = None,
) -> Import:
    """Download, check and import a dataset; the archive is removed after the import.

    Raises:
        DataError: when the dataset's folder exists, or the download or import fails; a complete archive is kept.
    """
    request = fetch.request
    goal, part = request.data / request.dataset, request.source
    if not replacing and os.path.lexists(goal):
        raise DataError(f"{goal}: is there already, expected a free place; pass --replace to put the new one there")
    work_in(request.data)
    busy = f"{request.data}: another fetch of {request.dataset} is at work there; wait for it"
    with refusing_lock(request.data / f".fetch-{request.dataset}.lock", busy):
        download(fetch.url, part, received=received, patience=patience)
        _check_archive(fetch)
        made = _bring_in(request, part, replacing=replacing, steps=steps)
        part.unlink()
    return made


def instructions(card: Card, data: Path) -> tuple[str, ...]:
    """Steps by which a person obtains a dataset that no program can fetch, one per line."""
    why = "has no files of its own" if card.mixture_of else "cannot be fetched by a program"
    lines = [f"{card.name} {why}; do this:"]
    for source in card.sources:
        lines += _steps_to(card, source, data)
    return tuple(lines)


def _steps_to(card: Card, source: Source, data: Path) -> list[str]:
    if source.kind == "mixture":
        return [f"  dfinet-bench data fetch {part} --data {shlex.quote(str(data))}" for part in card.mixture_of] + [
            f"  then {card.name} is read from the folders of {', '.join(card.mixture_of)}"
        ]
    hint = [f"     if its layout is not recognised, add --layout {source.layout}"] if source.layout else []
    return [
        f"  1. open {_describe(source)}",
        "  2. save the file and note where; a folder, zip or tar can be imported as it is",
        f"  3. dfinet-bench data import {card.name} FILE --data {shlex.quote(str(data))}",
        *hint,
    ]


def _describe(source: Source) -> str:
    """Source in one line, with a note if its address was not tried."""
    proven = "" if source.tried else " (this address was not tried when the card was written)"
    return f"{source.url}{proven}: {source.holds}"


def _check_archive(fetch: Fetch) -> None:
    part = fetch.request.source
    size, found = part.stat().st_size, file_digest(part)
    kept = f"it is kept as {part} until the next fetch"
    if fetch.size is not None and size != fetch.size:
        raise DataError(f"{fetch.url}: {size:,} bytes came, expected {fetch.size:,}; {kept}")
    if fetch.sha256 and found != fetch.sha256.lower():
        raise DataError(f"{fetch.url}: SHA-256 of what came is {found}, expected {fetch.sha256.lower()}; {kept}")


def _bring_in(request: ImportRequest, part: Path, *, replacing: bool, steps: Steps | None) -> Import:
    bring = replace_dataset if replacing else import_dataset
    try:
        return bring(request, steps=steps)
    except DataError as error:
        raise DataError(f"{error}; the download is kept as {part}") from None
