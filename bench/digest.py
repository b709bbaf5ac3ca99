"""SHA-256 of a file's bytes."""

from __future__ import annotations

import hashlib
from pathlib import Path

from bench.input_files import regular_file


def file_digest(path: Path) -> str:
    """SHA-256 of a file's bytes, as 64 hexadecimal digits; the file is read in blocks, however large it is.

    Raises:
        OSError: when it cannot be read.
    """
    with regular_file(path).open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
