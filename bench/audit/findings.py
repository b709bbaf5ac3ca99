"""The outcome of an audit: findings, and the state of every row."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, get_args

Severity = Literal["impossible", "inconsistent", "note", "not checked"]
"""`impossible`: no measurement gives these digits, on any list known here. `inconsistent`: they contradict other digits
of the table under the usual definitions. `note`: what a reader should know. `not checked`: what was passed over."""

SEVERITIES: tuple[Severity, ...] = get_args(Severity)

NAMED_COLUMNS = 10
"""Columns passed over that are named; of more it says how many."""


@dataclass(frozen=True)
class Finding:
    """One thing that an audit found.

    Attributes:
        severity: how bad it is.
        check: which check found it.
        rows: numbers of the lines it is about; none where it is about the whole table.
        text: the sentence, with the numbers.
    """

    severity: Severity
    check: str
    rows: tuple[int, ...]
    text: str

    @property
    def line(self) -> str:
        """As it is printed."""
        return f"{self.severity}: {self.text}"


@dataclass(frozen=True)
class RowAudit:
    """The outcome of one row on one dataset.

    Attributes:
        row: number of its line in the file.
        method, dataset: as printed.
        checks: check to its outcome: `holds`, or a severity.
        targets: the known lists, by name, of which Pd is a whole number of targets, with that number.
        pixels: the same for Fa and pixels.
    """

    row: int
    method: str
    dataset: str
    checks: Mapping[str, str]
    targets: Mapping[str, int]
    pixels: Mapping[str, int]

    @property
    def is_checked(self) -> bool:
        """True if more than ranges could be checked."""
        return any(outcome != "not checked" for check, outcome in self.checks.items() if check != "range")


@dataclass(frozen=True)
class Audit:
    """A table's audit.

    Attributes:
        file: name of the table.
        lines: rows below the head.
        rows: one for every row and dataset.
        findings: worst first, then in the order of the file.
        unused: heads of columns that hold no metric that is checked.
    """

    file: str
    lines: int
    rows: tuple[RowAudit, ...]
    findings: tuple[Finding, ...]
    unused: tuple[str, ...]

    def count(self, severity: Severity) -> int:
        """The number of findings of a severity."""
        return sum(finding.severity == severity for finding in self.findings)

    @property
    def is_sound(self) -> bool:
        """True if nothing is impossible or inconsistent."""
        return not self.count("impossible") and not self.count("inconsistent")

    @property
    def lines_checked(self) -> int:
        """Rows of the file in which something could be checked."""
        return len({row.row for row in self.rows if row.is_checked})

    def sentences(self) -> Iterator[str]:
        """One line a finding, then what was looked at."""
        for finding in self.findings:
            yield finding.line
        if self.unused:
            more = f" and {len(self.unused) - NAMED_COLUMNS} more" if len(self.unused) > NAMED_COLUMNS else ""
            yield f"columns passed over: {', '.join(self.unused[:NAMED_COLUMNS])}{more}"
        yield (
            f"{self.file}: {self.lines} rows, {self.lines_checked} checked, {self.lines - self.lines_checked} not; "
            f"{self.count('impossible')} impossible, {self.count('inconsistent')} inconsistent, "
            f"{self.count('note')} notes"
        )

    def to_plain(self) -> dict[str, Any]:
        """The audit as plain values, for JSON."""
        return {
            "file": self.file,
            "lines": self.lines,
            "checked": self.lines_checked,
            "sound": self.is_sound,
            "counts": {severity: self.count(severity) for severity in SEVERITIES},
            "findings": [
                {"severity": f.severity, "check": f.check, "rows": list(f.rows), "text": f.text} for f in self.findings
            ],
            "rows": [
                {
                    "row": row.row,
                    "method": row.method,
                    "dataset": row.dataset,
                    "checks": dict(row.checks),
                    "targets": dict(row.targets),
                    "pixels": dict(row.pixels),
                }
                for row in self.rows
            ],
            "columns_passed_over": list(self.unused),
        }


def in_order(findings: Sequence[Finding]) -> tuple[Finding, ...]:
    """The worst first, then by row."""
    return tuple(sorted(findings, key=lambda f: (SEVERITIES.index(f.severity), f.rows[:1])))
