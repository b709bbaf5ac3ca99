"""Comparison of a zip archive's content with its own checksums, which torch.load does not make."""

from __future__ import annotations

import zipfile
from pathlib import Path


def check_zip(path: Path) -> None:
    """Read a zip archive once and raise an error unless every member has the CRC-32 that was stored with it.

    An archive whose checksums are all 0 was written without any, as torch.serialization.set_crc32_options(False) does.

    Raises:
        Exception: zipfile's or zlib's own, of many classes, when the archive is damaged or none.
    """
    with zipfile.ZipFile(path) as archive:
        if any(member.CRC for member in archive.infolist()) and (damaged := archive.testzip()):
            raise zipfile.BadZipFile(f"{damaged}: another CRC-32 than was stored with it")
