"""Files that say what a store has missed: of a suite its results, and folders with its reports.

They lie beside the manifests, one for each suite, or report, and store.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from bench.errors import RecordError, StoreError
from bench.records import from_plain, to_plain
from bench.store.files import manifest_path, read_json, write_json, write_text

UNSENT = ".unsent"


@dataclass(frozen=True)
class UnsentReport:
    """A report that the store does not have: the suite, and the folder of the report's files."""

    suite: str
    folder: str


class UnsentMarkers:
    """The markers of one store in a folder of results.

    Args:
        root: folder of results.
        uri: of the store; only its digest is written, for it may hold a password.
    """

    def __init__(self, root: Path, uri: str) -> None:
        self._root = root
        self._store = _digest(uri)

    def suites(self) -> list[str]:
        """Names of suites of which the store has missed results."""
        ending = self._marker("").name
        return sorted(path.name.removesuffix(ending) for path in self._marker("").parent.glob(f"*{ending}"))

    def mark(self, suite: str) -> None:
        """Note that the store has missed something of a suite.

        Raises:
            WriteError: where the folder of results cannot be written.
        """
        write_text(self._marker(suite), "an MLflow store has missed something of this suite\n")

    def unmark(self, suite: str) -> None:
        """Note that the store has all of a suite."""
        with suppress(OSError):
            self._marker(suite).unlink(missing_ok=True)

    def reports(self) -> Iterator[UnsentReport]:
        """The reports that the store has missed, in the order of their making; a damaged marker is removed."""
        paths = self._marker("").parent.glob(f"*.{self._store}.*{UNSENT}")
        for path in sorted(paths, key=lambda each: (each.stat().st_mtime_ns, each.name)):
            try:
                yield from_plain(UnsentReport, read_json(path))
            except (StoreError, RecordError):
                path.unlink(missing_ok=True)

    def mark_report(self, suite: str, folder: Path) -> None:
        """Note that the store has to be sent a report.

        Raises:
            WriteError: where the folder of results cannot be written.
        """
        report = UnsentReport(suite, str(folder.resolve()))
        write_json(self._report_marker(report), to_plain(report))

    def unmark_report(self, suite: str, folder: Path) -> None:
        """Note that the store has a report, or that its files are gone."""
        with suppress(OSError):
            self._report_marker(UnsentReport(suite, str(folder.resolve()))).unlink(missing_ok=True)

    def _marker(self, suite: str) -> Path:
        return manifest_path(self._root, suite).with_name(f"{suite}.{self._store}{UNSENT}")

    def _report_marker(self, report: UnsentReport) -> Path:
        marker = self._marker(report.suite)
        return marker.with_name(f"{report.suite}.{self._store}.{_digest(report.folder)}{UNSENT}")


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:12]
