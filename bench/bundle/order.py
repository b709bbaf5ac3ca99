"""The order that a bundle carries: which suites it runs, with which options, by which code."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bench.errors import BenchError, StoreError
from bench.records import from_plain, to_plain
from bench.store.files import read_json

ORDER_FILE = "order.json"
CODE, DATA, WEIGHTS, SUITES, PLUGINS, RUNS, CACHE = "code", "data", "weights", "suites", "plugins", "runs", "cache"
"""Folders of an unpacked bundle; the last two are made there."""


@dataclass(frozen=True)
class Order:
    """Suites and the options of `run_suite` that they are run with.

    Attributes:
        suites: names of suites of the project, and files in the bundle.
        plugins: files in the bundle.
        code: SHA-256 over the code that the bundle holds.
        commit, dirty: of the checkout that it was made in; None outside of one.
    """

    suites: tuple[str, ...]
    code: str
    commit: str | None = None
    dirty: bool | None = None
    overrides: Mapping[str, Any] = field(default_factory=dict)
    limit: str = ""
    datasets: tuple[str, ...] = ()
    corruptions: tuple[str, ...] = ()
    trained_on: tuple[str, ...] = ()
    seeds: tuple[int, ...] = ()
    plugins: tuple[str, ...] = ()
    allow_leak: bool = False

    def options(self, work: Path) -> dict[str, Any]:
        """The options of `plan_suite` where the bundle is unpacked at `work`."""
        return {
            "overrides": dict(self.overrides),
            "limit": self.limit,
            "datasets": self.datasets,
            "corruptions": self.corruptions,
            "trained_on": self.trained_on,
            "seeds": self.seeds,
            "plugins": [work / name for name in self.plugins],
            "allow_leak": self.allow_leak,
        }

    def suites_in(self, work: Path) -> list[str]:
        """The suites' names, or files where the bundle is unpacked at `work`."""
        return [str(work / name) if name.endswith(".toml") else name for name in self.suites]

    def as_bytes(self) -> bytes:
        """The content of the order's file."""
        return (json.dumps(to_plain(self), indent=1, ensure_ascii=False, sort_keys=True) + "\n").encode()


def read_order(work: Path) -> Order:
    """The order of the bundle that is unpacked at `work`.

    Raises:
        StoreError: when the file is missing or broken.
    """
    try:
        order: Order = from_plain(Order, read_json(work / ORDER_FILE))
    except StoreError:
        raise
    except BenchError as error:
        raise StoreError(f"{work / ORDER_FILE}: {error}; remove the folder and start the bundle again") from None
    return order
