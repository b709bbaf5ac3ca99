"""Published numbers checked by arithmetic: what cannot be, whoever measured it and how."""

from __future__ import annotations

from pathlib import Path

from bench.audit.across import check_copies, check_f1, check_lists, gather, repeats, tell_repeats
from bench.audit.findings import SEVERITIES, Audit, Finding, RowAudit, in_order
from bench.audit.records import ClaimedRow, PublishedTable
from bench.audit.rows import HOLDS, CheckOutcome, check_row, fitting_lists, fitting_pixels
from bench.audit.table import read_table
from bench.errors import TableFileError

__all__ = ["Audit", "Finding", "TableFileError", "audit_file", "audit_table"]


def audit_file(path: Path, *, dataset: str = "") -> Audit:
    """The audit of a CSV file.

    Args:
        dataset: what rows are about that name none.

    Raises:
        TableFileError: when there is no such file, it is no table, or no column of it is known.
        UnknownNameError: when no test list of `dataset` is known.
    """
    return audit_table(read_table(path, dataset=dataset))


def audit_table(table: PublishedTable) -> Audit:
    """The audit of a table that was read."""
    by_f1, findings = check_f1(table.rows)
    found = [Finding("note", "units", (), text) for text in table.remarks]
    repeated = repeats(table.rows)
    found += [*findings, *check_lists(table.rows), *check_copies(table.rows), *tell_repeats(repeated)]
    outcomes = {row: [*check_row(row), *([by_f1[row]] if row in by_f1 else [])] for row in table.rows}
    again = {row for others in repeated.values() for row in others}
    said = {row: some for row, some in outcomes.items() if row not in again}
    for severity in SEVERITIES:
        told = [(row, one) for row, some in said.items() for one in some if one.verdict == severity and one.text]
        found += gather(told) if severity == "not checked" else [one.finding(row, severity) for row, one in told]
    audited = tuple(_audited(row, some) for row, some in outcomes.items())
    return Audit(table.file, table.lines, audited, in_order(found), table.unused)


def _audited(row: ClaimedRow, outcomes: list[CheckOutcome]) -> RowAudit:
    """The worst outcome of every check."""
    order = (*SEVERITIES, HOLDS)
    checks: dict[str, str] = {}
    for one in sorted(outcomes, key=lambda one: order.index(one.verdict), reverse=True):
        checks[one.check] = one.verdict
    targets = {one.name: count for one, count in fitting_lists(row).items()}
    return RowAudit(row.number, row.method, row.dataset.printed, checks, targets, fitting_pixels(row))
