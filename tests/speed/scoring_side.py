"""One side of `test_scoring_beside_an_earlier_checkout`: scores stored predictions, again on every line of input.

Run by path with PYTHONPATH naming the checkout whose code is to be measured; module names of both generations work.
"""

from __future__ import annotations

import importlib
import json
import sys
from pathlib import Path
from time import perf_counter, process_time
from types import ModuleType
from typing import Any


def module(name: str, earlier: str) -> ModuleType:
    """The module under its name, or under the one that an earlier checkout has for it."""
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError:
        return importlib.import_module(earlier)


def tell(message: Any) -> None:
    """Write one line for the process that started this one."""
    sys.stdout.write(json.dumps(message) + "\n")
    sys.stdout.flush()


def main(predictions: Path, masks: Path, images: Path, names: Path, out: Path) -> None:
    """Score everything under all named scorings, write the integers, and tell seconds of processor and wall."""
    score = module("bench.scoring.score", "bench.rescore")
    request = module("bench.scoring.request", "bench.scored")
    scorings = module("bench.protocols.scorings", "bench.scorings")
    score.usable_processors = lambda: 1  # type: ignore[attr-defined]
    wanted = names.read_text().split()

    def score_names(chosen: list[str]) -> None:
        found = score.score_folder(predictions, masks, scorings.all_scorings(), images=images, names=chosen)
        request.write_scored(found, out)

    score_names(wanted[:8])  # compiles
    tell(str(Path(score.__file__ or "").resolve()))
    for _ in sys.stdin:
        wall, processor = perf_counter(), process_time()
        score_names(wanted)
        tell([process_time() - processor, perf_counter() - wall])


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:]))
