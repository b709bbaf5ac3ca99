"""The whole report of a suite: every file, nothing missing silently, nothing unescaped."""

from __future__ import annotations

import base64
import hashlib
import re
import subprocess
import sys
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from bench.errors import MixedRulesError, StoreError
from bench.store.files import Manifest, write_manifest
from bench.types import RunResult, Scoring
from reports.build import Report, build_report
from reports.figures.figure import file_stem
from reports.render.latex_document import missing_programs
from reports.results.entries import entry_of
from tests.reports.fake_runs import ACM, DFINET, measured, result, row_of, scores, write_suite

EVIL = '<script>alert(1)</script> " onload=x {{ 7*7 }} \\input{x} ../../up'


class Page(HTMLParser):
    """What a browser would see: tags with their attributes, and text."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.text += data


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A suite of a feedback network, a network without, one that failed and one that was never run."""
    root = tmp_path_factory.mktemp("runs")
    failed = result(replace(DFINET, name="U-Net"), status="failed", reason=f"boom {EVIL}", scores={})
    rows: list[tuple[str, RunResult | None, object]] = [
        ("DFINet", measured(result(DFINET), root, skill=0.9, frames=8), None),
        (EVIL, measured(result(ACM), root, skill=0.5, frames=8), None),
        ("U-Net", failed, None),
        ("RDIAN", None, row_of(result(replace(ACM, name="RDIAN")))),
    ]
    write_suite(root, rows, title=f"Trial {EVIL}")  # type: ignore[arg-type]
    return root


@pytest.fixture(scope="module")
def made(runs: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Report]:
    """The report of that suite, and its folder."""
    folder = tmp_path_factory.mktemp("out")
    return folder, build_report(runs, "trial", out=folder)


@pytest.fixture(scope="module")
def out(made: tuple[Path, Report]) -> Path:
    return made[0]


def test_every_file_of_the_report_is_there_and_listed(made: tuple[Path, Report]):
    folder, report = made
    names = [path.relative_to(folder).as_posix() for path in report.paths]
    assert names[0] == "index.html"
    assert {"table.tex", "table.csv", "table.md", "results.csv", "report.tex"} <= set(names)
    assert {"rounds.tex", "rounds.csv", "rounds.md"} <= set(names)
    assert {"errors.tex", "errors.csv", "errors.md", "figures/errors.pdf", "figures/errors.png"} <= set(names)
    for name in ("intervals-nudt-sirst", "strata-nudt-sirst", "scorings-nudt-sirst"):
        assert {f"{name}.tex", f"{name}.csv", f"{name}.md"} <= set(names)
    for figure in (
        "roc",
        "precision-recall",
        "iou-threshold",
        "pd-fa",
        "strata-nudt-sirst",
        "side-by-side-nudt-sirst",
        "surface-nudt-sirst",
        "rounds",
        "mask-changes",
        "loss",
    ):
        assert {f"figures/{figure}.pdf", f"figures/{figure}.png"} <= set(names)
    assert len([n for n in names if n.startswith("figures/pictures-")]) == 4
    assert all(path.stat().st_size for path in report.paths)
    assert sorted(names) == sorted(p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file())


def test_failed_and_missing_rows_are_in_every_output(out: Path):
    page = Page((out / "index.html").read_text())
    for text in (
        page.text,
        (out / "table.md").read_text(),
        (out / "table.tex").read_text(),
        (out / "table.csv").read_text(),
    ):
        for words in ("U-Net", "failed: boom", "RDIAN", "not run"):
            assert words in text
    frame = pd.read_csv(out / "results.csv")
    assert frame["status"].tolist() == ["done", "done", "failed", "missing"]
    assert "4 rows, 2 done, 1 failed, 1 missing" in page.text


def test_notes_name_what_failed(made: tuple[Path, Report]):
    notes = made[1].notes
    assert any(note.startswith("U-Net on NUDT-SIRST, seed 42: failed: boom") for note in notes)
    assert "RDIAN on NUDT-SIRST, seed 42: not run" in notes


def test_the_page_holds_everything_and_runs_its_own_script_alone(out: Path):
    text = (out / "index.html").read_text()
    page = Page(text)
    assert [attributes.get("type") for tag, attributes in page.tags if tag == "script"] == ["application/json", None]
    script = text.rpartition("<script>")[2].partition("</script>")[0]
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    assert f"script-src 'sha256-{digest}'; base-uri" in text
    assert EVIL in page.text
    assert not any(name.startswith("on") for _, attributes in page.tags for name in attributes)
    anchors = {attributes["id"] for _, attributes in page.tags if "id" in attributes}
    for tag, attributes in page.tags:
        assert (attributes.get("src") or "data:").startswith("data:"), tag
        assert "action" not in attributes
        href = attributes.get("href") or "data:"
        assert href.startswith("data:") or href[1:] in anchors or (out / href).is_file(), href
    images = [attributes for tag, attributes in page.tags if tag == "img" and "src" in attributes]
    assert len(images) == 16
    assert all((image["src"] or "").startswith("data:image/png;base64,iVBOR") for image in images)
    assert not re.search(r"url\(|@import", text)


def test_tables_are_saved_from_the_page_alone(out: Path):
    links = {
        attributes["download"]: attributes["href"] or ""
        for tag, attributes in Page((out / "index.html").read_text()).tags
        if tag == "a" and "download" in attributes
    }
    for name in ("table.csv", "table.tex", "rounds.tex", "results.csv"):
        assert base64.b64decode(links[name].partition("base64,")[2]) == (out / name).read_bytes()
    assert base64.b64decode(links["roc.pdf"].partition("base64,")[2]) == (out / "figures/roc.pdf").read_bytes()
    assert links["roc.png"] == "figures/roc.png"


def test_the_page_spells_out_the_rules_of_every_row(out: Path):
    text = " ".join(Page((out / "index.html").read_text()).text.split())
    for words in (
        "NUDT-SIRST, split basicirstd, test list of 664 images",
        "basicirstd; basicirstd (masks binary (grey > 127), native resolution, probability > 0.5",
        "pillow-grey, 1 channel(s), native, padded to × 32, (grey - 107.8) / 33 from BasicIRSTD",
        "adam 0.0005, multistep, 400 epochs of batch 16, soft-iou, basicirstd augmentation, crop 256, trained on cpu",
        "last epoch; epoch 400",
        "torch 2.13.0",
        "Asymmetric Contextual Modulation",
        "DFINet, width=32; 8 feedback rounds, first mask: Otsu",
    ):
        assert words in text


def test_best_and_second_are_marked_on_the_page(out: Path):
    classes = [
        attributes.get("class") or "" for tag, attributes in Page((out / "index.html").read_text()).tags if tag == "td"
    ]
    assert sum("best" in c.split() for c in classes) >= 5
    assert any("second" in c.split() for c in classes)


def test_no_path_of_the_machine_and_no_hostile_file_name_gets_into_a_report(runs: Path, out: Path):
    for path in out.rglob("*"):
        assert re.fullmatch(r"[A-Za-z0-9.-]+", path.name)
        if path.is_file():
            assert str(runs).encode() not in path.read_bytes()
    assert file_stem(entry_of(row_of(result(), "../../x y"), Path("k"), result())).startswith("x-y-nudt-sirst-")


def test_the_same_results_give_the_same_bytes(runs: Path, out: Path, tmp_path: Path):
    build_report(runs, "trial", out=tmp_path)
    files = sorted(p.relative_to(out) for p in out.rglob("*") if p.is_file())
    assert [name.as_posix() for name in files if (out / name).read_bytes() != (tmp_path / name).read_bytes()] == []
    assert (Path("report.pdf") in files) == (not missing_programs("pdflatex"))


def test_every_figure_of_a_limited_suite_is_watermarked(tmp_path: Path):
    """The same results with and without a limit: each picture differs in its middle, and in size not at all."""
    found: dict[str, dict[str, np.ndarray]] = {}
    for name, limit in (("whole", None), ("limited", 3)):
        root = tmp_path / name
        made = measured(result(DFINET, limit=limit), root, skill=0.9, frames=8)
        write_suite(root, [("DFINet", made, None)])
        build_report(root, "trial", out=root / "out", compile_pdf=False)
        pictures = (root / "out" / "figures").glob("*.png")
        found[name] = {re.sub("-[0-9a-f]{12}", "", p.stem): np.asarray(Image.open(p).convert("RGB")) for p in pictures}
    assert {"roc", "loss", "errors", "rounds"} <= set(found["whole"]) == set(found["limited"])
    for name, picture in found["whole"].items():
        rows, cols = (slice(size * 4 // 10, size * 6 // 10) for size in picture.shape[:2])
        assert (picture[rows, cols] != found["limited"][name][rows, cols]).any(), name


def test_a_limited_suite_is_watermarked_on_the_page(tmp_path: Path):
    write_suite(tmp_path, [("ACM", result(limit=8), None)])
    build_report(tmp_path, "trial", out=tmp_path / "out", compile_pdf=False)
    page = Page((tmp_path / "out/index.html").read_text())
    assert ("body", {"class": "limited"}) in page.tags
    assert "LIMITED TRIAL: limited trial: shortened image lists" in page.text
    assert "LIMITED" in (tmp_path / "out/report.tex").read_text()


def test_the_document_prints_the_best_of_very_many_methods_and_says_so(tmp_path: Path):
    rows = [
        (f"Net {k:02d}", result(replace(ACM, name=f"Net {k:02d}"), found=scores(0.3 + k / 100)), None)
        for k in range(45)
    ]
    write_suite(tmp_path, rows)  # type: ignore[arg-type]
    report = build_report(tmp_path, "trial", out=tmp_path / "out", compile_pdf=False)
    words = "Not drawn: 25 methods whose mean IoU/pooled over datasets and seeds is lower; the tables have them."
    assert f"report.pdf prints the best 20 methods of so many. {words}" in report.notes
    printed, whole = ((tmp_path / f"out/{stem}.tex").read_text() for stem in ("table-printed", "table"))
    assert words in printed
    for source, first in ((whole, 0), (printed, 25)):
        assert [k for k in range(45) if f"Net {k:02d}" in source] == list(range(first, 45))
    document = (tmp_path / "out/report.tex").read_text()
    assert r"\input{table-printed.tex}" in document
    assert r"\input{table.tex}" not in document


def test_results_without_curves_still_make_a_report(tmp_path: Path):
    write_suite(tmp_path, [("ACM", result(), None), ("DFINet", result(DFINET), None)])
    report = build_report(tmp_path, "trial", out=tmp_path / "out", compile_pdf=False)
    drawn = {path.stem for path in (tmp_path / "out/figures").iterdir()}
    assert drawn == {"tradeoff-macs", "tradeoff-latency"}
    uncounted, scorings, curves = report.notes
    assert re.fullmatch(
        r"no intervals and strata for ACM on NUDT-SIRST: [0-9a-f]{12}/counts.npz: no such file, and 1 more", uncounted
    )
    assert re.fullmatch(
        r"no curves drawn for ACM on NUDT-SIRST: [0-9a-f]{12}/curves.npz: no such file, and 1 more", curves
    )
    assert scorings.startswith(
        "not in the table of scorings: ACM on NUDT-SIRST, DFINet on NUDT-SIRST: no scorings.json; `dfinet-bench score"
    )


def test_a_suite_that_was_never_run_is_told_in_one_line(tmp_path: Path):
    with pytest.raises(StoreError, match="run the suite with `dfinet-bench run nosuch`") as caught:
        build_report(tmp_path, "nosuch", out=tmp_path / "out")
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "out").exists()


def test_a_suite_without_rows_is_told_in_one_line(tmp_path: Path):
    write_manifest(tmp_path, Manifest("trial", "Empty", ()))
    with pytest.raises(StoreError, match="its manifest has no rows"):
        build_report(tmp_path, "trial", out=tmp_path / "out")


def test_a_suite_where_nothing_was_run_still_makes_a_report(tmp_path: Path):
    write_suite(tmp_path, [("ACM", None, row_of(result()))])
    report = build_report(tmp_path, "trial", out=tmp_path / "out", compile_pdf=False)
    assert report.notes == ("ACM on NUDT-SIRST, seed 42: not run",)
    assert "—" in (tmp_path / "out/table.md").read_text()


def test_mixed_rules_write_nothing_unless_marked(tmp_path: Path):
    other = result(DFINET, scoring=Scoring("near", distance=5))
    write_suite(tmp_path, [("ACM", result(), None), ("DFINet", other, None)])
    with pytest.raises(MixedRulesError):
        build_report(tmp_path, "trial", out=tmp_path / "out")
    assert not (tmp_path / "out").exists()
    build_report(tmp_path, "trial", out=tmp_path / "out", compile_pdf=False, mixed="mark")
    assert "made under other rules than its neighbours" in (tmp_path / "out/table.md").read_text()
    with pytest.raises(ValueError, match="mixed is 'maybe', expected refuse or mark"):
        build_report(tmp_path, "trial", out=tmp_path / "out", mixed="maybe")


def test_importing_the_report_loads_neither_torch_nor_matplotlib():
    code = (
        "import sys, reports.build; print([m for m in ('torch', 'matplotlib', 'mlflow', 'pandas') if m in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=Path(__file__).parents[2]
    )
    assert done.stdout.strip() == "[]"
