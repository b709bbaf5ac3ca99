"""Table columns that a suite or `--columns` chooses: any registered metric, a plugin's too, in every format."""

from __future__ import annotations

import csv
import io
from dataclasses import replace
from pathlib import Path

import pytest

from bench import registry
from bench.errors import RequestError, StoreError, UnknownNameError
from bench.metrics.registry import METRICS, find_metrics, metric_info
from bench.protocols.scorings import HEADS, STANDARD_IDS
from bench.store.files import read_manifest, read_result, write_manifest, write_result
from bench.types import RunResult
from reports.build import build_report
from tests.reports.fake_runs import ACM, DFINET, measured, result, write_suite

PLUGIN = '''
from bench.metrics.registry import metric
from bench.metrics.statistic import Ratio


@metric("Missed/per-target", head="Missed", unit="fraction", scale="1e-3", better="lower", undefined="no targets")
def missed(counts):
    """Share of the targets that nothing was matched with."""
    return Ratio.of(counts.targets - counts.matched, counts.targets)


@metric("Components/per-image", unit="components", better="lower", digits=1)
def components(counts):
    """Predicted components that no target took, an image."""
    return Ratio.of(counts.unmatched, 1)
'''
"""A user's file with two metrics."""

OWN = ("Missed/per-target", "Components/per-image")


@pytest.fixture
def plugin(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A user's file with two metrics, loaded for this test alone."""
    find_metrics()
    monkeypatch.setattr(METRICS, "_entries", dict(METRICS._entries))
    monkeypatch.setattr(registry, "_PLUGINS", {})
    path = tmp_path / "my_metrics.py"
    path.write_text(PLUGIN)
    registry.load_plugin(path)
    return path


def write_runs(root: Path, *, columns: tuple[str, ...] = ()) -> None:
    """Two methods on one dataset, the first one better."""
    rows: list[tuple[str, RunResult | None, None]] = [
        ("Good", measured(result(DFINET), root, skill=0.9, frames=6), None),
        ("Poor", measured(result(ACM), root, skill=0.2, frames=6), None),
    ]
    write_suite(root, rows)  # type: ignore[arg-type]
    write_manifest(root, replace(read_manifest(root, "trial"), columns=columns))


def report(root: Path, *, columns: tuple[str, ...] = ()) -> dict[str, str]:
    """The text of every table of the report, by file name."""
    out = root / "out"
    build_report(root, "trial", out=out, compile_pdf=False, columns=columns)
    return {path.name: path.read_text() for path in out.iterdir() if path.is_file()}


def numbers(text: str, head: str) -> list[str]:
    """A column of a CSV file."""
    rows = list(csv.DictReader(io.StringIO(text)))
    return [row[head] for row in rows]


def heads(text: str) -> list[str]:
    """The headings of a CSV file, without the dataset, unit and direction of metrics."""
    (first, *_) = csv.reader(io.StringIO(text))
    return [head.removeprefix("NUDT-SIRST ").removesuffix(" (1e-2, higher is better)") for head in first]


def test_a_plugins_metric_is_a_column_in_every_format(tmp_path: Path, plugin: Path):
    write_runs(tmp_path)
    made = report(tmp_path, columns=("IoU/pooled", *OWN))
    stored = [read_result(tmp_path / row.key).scores for row in read_manifest(tmp_path, "trial").rows]
    missed = [scores["Missed/per-target"].value or 0.0 for scores in stored]
    assert missed[0] < missed[1]
    texts = [f"{1000 * value:.2f}" for value in missed]
    head = "NUDT-SIRST Missed (1e-3, lower is better)"
    assert numbers(made["table.csv"], head) == texts
    assert "NUDT-SIRST Components (per image) (components, lower is better)" in made["table.csv"]
    assert "NUDT-SIRST nIoU" not in made["table.csv"]
    assert "NUDT-SIRST Missed ↓ (×10⁻³)" in made["table.md"]
    assert "NUDT-SIRST Components (per image) ↓ (components)" in made["table.md"]
    assert f"**{texts[0]}**" in made["table.md"]
    assert f"<ins>{texts[1]}</ins>" in made["table.md"]
    assert r"Missed\,$\downarrow$" in made["table.tex"]
    assert r"$\times 10^{-3}$" in made["table.tex"]
    assert "(components)" in made["table.tex"]
    assert rf"\bfseries {texts[0]}" in made["table.tex"]
    assert r"\underline{\phantom{" + texts[1] + "}}}}" + texts[1] in made["table.tex"]
    assert "Missed ↓" in " ".join(made["index.html"].split())
    assert '<span class="unit">×10⁻³</span>' in made["index.html"]
    assert '<span class="unit">components</span>' in made["index.html"]


def test_a_plugins_metric_has_intervals_and_tests(tmp_path: Path, plugin: Path):
    write_runs(tmp_path)
    intervals = report(tmp_path, columns=("IoU/pooled", *OWN))["intervals-nudt-sirst.csv"]
    assert len(numbers(intervals, "Missed value (1e-3, lower is better) low")) == 2
    assert all(numbers(intervals, "Components (per image) value (components, lower is better) high"))
    assert numbers(intervals, "Missed p")[1]


def test_a_suites_columns_are_those_of_its_report_until_others_are_asked_for(tmp_path: Path):
    write_runs(tmp_path, columns=("Precision/pooled", "hIoU/overlap-priority"))
    own = report(tmp_path)
    assert heads(own["table.csv"])[1:4] == ["Precision (pooled)", "hIoU", "Cost Params (M)"]
    other = report(tmp_path, columns=("Recall/pooled",))
    assert heads(other["table.csv"])[1:3] == ["Recall (pooled)", "Cost Params (M)"]


def test_without_its_plugin_a_column_has_unit_and_direction_of_the_stored_score(
    tmp_path: Path, plugin: Path, monkeypatch: pytest.MonkeyPatch
):
    write_runs(tmp_path)
    ours = {name: entry for name, entry in METRICS._entries.items() if name not in OWN}
    monkeypatch.setattr(METRICS, "_entries", ours)
    made = report(tmp_path, columns=OWN)
    assert "NUDT-SIRST Missed (per target) (1e-2, lower is better)" in made["table.csv"]
    assert "NUDT-SIRST Components (per image) (components, lower is better)" in made["table.csv"]
    assert "no metric here computes Missed/per-target" in made["intervals-nudt-sirst.csv"]


def test_errors_by_cause_have_intervals_and_what_is_no_sum_over_images_says_so(tmp_path: Path):
    write_runs(tmp_path)
    for row in read_manifest(tmp_path, "trial").rows:
        made = read_result(tmp_path / row.key)
        area = replace(made.scores["IoU/pooled"], value=0.5)
        write_result(tmp_path / row.key, replace(made, scores={**made.scores, "AP/pixels": area}))
    made = report(tmp_path, columns=("hIoU/overlap-priority", "AP/pixels"))
    intervals = made["intervals-nudt-sirst.csv"]
    assert all(numbers(intervals, "hIoU value (1e-2, higher is better) low"))
    assert "no interval: AP/pixels is of a curve, of which nothing is kept image by image" in intervals
    assert numbers(made["table.csv"], "NUDT-SIRST AP (pixels) (1e-2, higher is better)") == ["50.00", "50.00"]


def test_a_missing_table_of_errors_is_the_reason_for_no_interval(tmp_path: Path):
    write_runs(tmp_path)
    key = read_manifest(tmp_path, "trial").rows[0].key
    (tmp_path / key / "errors.npz").unlink()
    intervals = report(tmp_path, columns=("hIoU/overlap-priority",))["intervals-nudt-sirst.csv"]
    assert f"no interval: {key}/errors.npz: no such file" in intervals


@pytest.mark.parametrize(
    ("columns", "kind", "said"),
    [
        (("IoU/poled",), UnknownNameError, "columns: no metric is called 'IoU/poled'; did you mean IoU/pooled"),
        (("IoU/pooled", "IoU/pooled"), RequestError, "columns: IoU/pooled is named twice"),
    ],
)
def test_columns_that_cannot_be_are_refused(tmp_path: Path, columns: tuple[str, ...], kind: type, said: str):
    write_runs(tmp_path)
    with pytest.raises(kind, match=said):
        report(tmp_path, columns=columns)
    assert not (tmp_path / "out").exists()


def test_an_id_under_other_rules_is_a_column_of_its_own_heading():
    assert (metric_info("Pd/overlap").head, metric_info("Pd/overlap").scale) == ("Pd (overlap)", "1e-2")
    assert metric_info("Fa/unmatched-area-5px").scale == "1e-6"


def test_the_default_columns_are_registered_under_their_headings():
    assert HEADS == ("IoU", "nIoU", "F1", "Pd", "Fa")
    assert {head: metric_info(name).head for head, name in STANDARD_IDS.items()} == {head: head for head in HEADS}


def test_a_broken_manifest_of_columns_is_a_store_error(tmp_path: Path):
    write_runs(tmp_path)
    path = tmp_path / "suites" / "trial.json"
    path.write_text(path.read_text().replace('"columns": []', '"columns": 3'))
    with pytest.raises(StoreError, match="columns is 3, expected a list"):
        read_manifest(tmp_path, "trial")
