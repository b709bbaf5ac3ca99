"""Where files lie that can be made again at any time: caches of decoded images, of searches, and the like."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

VARIABLE = "DFINET_BENCH_CACHE"


def cache_folder(environment: Mapping[str, str] | None = None) -> Path:
    """$DFINET_BENCH_CACHE, else $XDG_CACHE_HOME/dfinet-bench, else ~/.cache/dfinet-bench; it need not exist.

    >>> cache_folder({"XDG_CACHE_HOME": "/var/caches"}).as_posix()
    '/var/caches/dfinet-bench'
    """
    known = os.environ if environment is None else environment
    if given := known.get(VARIABLE):
        return Path(given).expanduser()
    base = known.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache") / "dfinet-bench"
