"""A gate's report for other readers than the terminal's: JUnit XML for a build server, Markdown for a pull request."""

from __future__ import annotations

from collections.abc import Iterable
from xml.etree import ElementTree

from bench.run.gate import GateCheck, GateReport


def to_junit(report: GateReport) -> str:
    """The report as JUnit XML: one test case for each check, a failure for each one that fails the gate."""
    skipped = sum(check.verdict == "skipped" for check in report.checks)
    suite = ElementTree.Element(
        "testsuite",
        name=f"gate {report.suite}",
        tests=str(len(report.checks)),
        failures=str(len(report.failures)),
        errors="0",
        skipped=str(skipped),
    )
    for check in report.checks:
        case = ElementTree.SubElement(suite, "testcase", classname=check.row, name=check.metric, time="0")
        if check.verdict == "skipped":
            ElementTree.SubElement(case, "skipped", message=check.sentence())
        elif check.passes:
            ElementTree.SubElement(case, "system-out").text = check.sentence()
        else:
            ElementTree.SubElement(case, "failure", type=check.verdict, message=check.sentence())
    ElementTree.indent(suite)
    return ElementTree.tostring(suite, encoding="unicode", xml_declaration=True) + "\n"


def to_markdown(report: GateReport) -> str:
    """The report as Markdown: the verdict, what failed, what moved, and the rest folded away."""
    held = [check for check in report.checks if check.verdict == "kept"]
    moved = [check for check in report.checks if check.passes and check.verdict != "kept"]
    parts = [f"### Gate {_escape(report.suite)}: {'passed' if report.passed else 'failed'}"]
    parts.append(f"{len(report.checks)} checks, {len(report.failures)} failed.")
    if report.failures:
        parts.append("\n".join(f"- ✗ {_escape(check.sentence())}" for check in report.failures))
        parts.append(_table(report.failures))
    if moved:
        parts.append(f"Moved, and passed:\n\n{_table(moved)}")
    sentences = [*(f"{row}: not in the reference, not compared" for row in report.unknown_rows), *report.notes]
    if sentences:
        parts.append("\n".join(f"- {_escape(sentence)}" for sentence in sentences))
    if held:
        parts.append(f"<details><summary>{len(held)} checks kept</summary>\n\n{_table(held)}\n\n</details>")
    return "\n\n".join(parts) + "\n"


HEADS = ("row", "check", "reference", "margin", "measured", "moved", "p", "verdict")


def cells_of(check: GateCheck) -> tuple[str, ...]:
    """A check as the cells of a table with the columns of `HEADS`."""
    exact = check.metric in ("parameters", "MACs")
    digits = ".12g" if exact else ".6g"

    def text(value: float | None, form: str) -> str:
        return "—" if value is None else format(value, form)

    return (
        check.row,
        check.metric,
        text(check.reference, digits),
        "—" if check.reference is None else "0" if exact else f"{check.margin:.3g}",
        text(check.value, digits),
        text(check.moved, "+.12g" if exact else "+.3g"),
        text(check.p, ".2g"),
        check.verdict,
    )


def _table(checks: Iterable[GateCheck]) -> str:
    align = ["---", "---", *["---:"] * 5, "---"]
    rows = [HEADS, tuple(align), *(tuple(map(_escape, cells_of(check))) for check in checks)]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in rows)


def _escape(text: str) -> str:
    """Text that Markdown and the HTML inside it print as it is."""
    for mark, written in (("&", "&amp;"), ("<", "&lt;"), (">", "&gt;"), ("|", "\\|"), ("`", "\\`"), ("*", "\\*")):
        text = text.replace(mark, written)
    return text.replace("\n", " ")
