"""Folder of caches: files that can be made again at any time."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

VARIABLE = "DFINET_BENCH_CACHE"


def cache_folder(environment: Mapping[str, str] | None = None) -> Path:
    """Path of the cache folder, which need not exist.

    It is $DFINET_BENCH_CACHE, else $XDG_CACHE_HOME/dfinet-bench, else ~/.cache/dfinet-bench.

    >>> cache_folder({"XDG_CACHE_HOME": "/var/caches"}).as_posix()
    '/var/caches/dfinet-bench'
    """
    known = os.environ if environment is None else environment
    if given := known.get(VARIABLE):
        return Path(given).expanduser()
    base = known.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache") / "dfinet-bench"
