"""LaTeX that compiles whatever the labels say, with the same bytes every time."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from bench.data.quality.dataset_statistics import describe
from bench.errors import LatexError
from bench.types import RunResult
from reports.build import build_report
from reports.columns import Column
from reports.datasets.dataset_tables import dataset_table
from reports.render.latex import label_of, table_to_latex
from reports.render.latex_document import (
    FigureFile,
    TableInput,
    compile_document,
    document,
    error_lines,
    missing_letters,
    missing_programs,
    program_for,
)
from reports.render.latex_escape import escape, letters_beyond_pdflatex
from reports.results.entries import Entry, entry_of, read_suite
from reports.table import Cell, Line, Table
from reports.tables.ablation import ablation_tables
from reports.tables.comparison import comparison_table
from reports.tables.published import elsewhere_tables, published_table
from reports.tables.published_matching import compare_published
from reports.tables.rounds import rounds_table
from tests.reports.fake_ablation import FULL, ablation, ablation_rows, variant, write_ablation_suite
from tests.reports.fake_runs import ACM, DATASETS, DFINET, field_results, result, row_of, scores

HOSTILE = r"""[*] \input{/etc/passwd} 100% of_it & $x^2$ #1 ~ {a} }{ `q' "--" <b> | é ß α Λ ✓ 中 \end{tabular} \\ %"""

RESULTS = Path(__file__).parents[3] / "results"


@pytest.fixture
def pdflatex() -> None:
    """Skip without pdflatex and lualatex; in CI their absence is a failure."""
    if not missing_programs("pdflatex") and not missing_programs("lualatex"):
        return
    if os.environ.get("CI"):
        pytest.fail("found no TeX Live in CI; install texlive-latex-extra and texlive-luatex")
    pytest.skip("pdflatex or lualatex is missing")


def entry(made: RunResult, label: str = "") -> Entry:
    return entry_of(row_of(made, label), Path(made.key), made)


def hostile_table() -> Table:
    failed = result(DFINET, "NUAA-SIRST", status="failed", reason=HOSTILE, scores={}, limit=8)
    good = [
        entry(result(info, seed=s, limit=8), label) for info, label in ((ACM, HOSTILE), (DFINET, "D_1")) for s in (1, 2)
    ]
    return comparison_table([*good, entry(failed, "D_1")], title=HOSTILE)


def compiled(folder: Path, table: Table, *, title: str = HOSTILE, limited: bool = False) -> Path:
    folder.mkdir(exist_ok=True)
    latex = table_to_latex(table)
    program = program_for([latex, escape(title)])
    (folder / "table.tex").write_text(latex, encoding="utf-8")
    source = document(
        title=title,
        tables=[TableInput("table.tex", "Table", "tab:results")],
        figures=[],
        limited=limited,
        program=program,
    )
    (folder / "report.tex").write_text(source, encoding="utf-8")
    return compile_document(folder / "report.tex", program=program)


def text_of(pdf: Path) -> str:
    if shutil.which("pdftotext") is None:
        pytest.skip("pdftotext is not on the path")
    done = subprocess.run(["pdftotext", "-layout", str(pdf), "-"], capture_output=True, text=True, check=True)
    return done.stdout


@pytest.mark.parametrize(
    ("text", "latex"),
    [
        ("a_b & 5%", r"a\_b \& 5\%"),
        ("{$#}", r"\{\$\#\}"),
        ("\\input~^", r"\textbackslash{}input\textasciitilde{}\textasciicircum{}"),
        ("--", "-{}-"),
        ("αΛ", r"\ensuremath{\alpha}\ensuremath{\Lambda}"),
        ("中", "中"),
        ("a\n\x00b", "a  b"),
        ("e\u0301", "é"),
    ],
)
def test_every_special_letter_is_escaped(text: str, latex: str):
    assert escape(text) == latex


@pytest.mark.usefixtures("pdflatex")
def test_hostile_labels_titles_and_reasons_compile_and_print_as_they_are(tmp_path: Path):
    text = " ".join(text_of(compiled(tmp_path / "a", hostile_table(), limited=True)).split())
    assert r"\input{/etc/passwd} 100% of_it & $x^2$ #1 ~ {a} }{" in text
    assert "root:" not in text
    assert r"\end{tabular} \\ %" in text
    assert "中" in text


@pytest.mark.usefixtures("pdflatex")
def test_the_same_table_gives_the_same_source_and_pdf(tmp_path: Path):
    first, second = (compiled(tmp_path / name, hostile_table()) for name in "ab")
    assert first.read_bytes() == second.read_bytes()
    assert (tmp_path / "a/table.tex").read_bytes() == (tmp_path / "b/table.tex").read_bytes()
    assert str(tmp_path).encode() not in first.read_bytes()


CJK = "我们的方法"


@pytest.mark.usefixtures("pdflatex")
def test_letters_beyond_pdflatex_are_printed_by_lualatex_and_the_others_as_by_pdflatex(tmp_path: Path):
    """Labels in Chinese printed as [U+6211] were seen in a report of this project; pandas#61296 is on escaping them."""
    plain = comparison_table([entry(result(), "our method é")], title="Å and ≤")
    chinese = comparison_table([entry(result(), f'{CJK} -- "é"')], title="Å and ≤")
    assert [program_for([table_to_latex(table)]) for table in (plain, chinese)] == ["pdflatex", "lualatex"]
    assert letters_beyond_pdflatex(table_to_latex(chinese)) == "".join(sorted(CJK))
    assert f"a font that has {''.join(sorted(CJK))}" in table_to_latex(chinese).splitlines()[1]
    first, second = (compiled(tmp_path / name, chinese, title=CJK) for name in "ab")
    text = " ".join(text_of(first).split())
    assert f'{CJK} -- "é"' in text
    assert "Å and ≤" in text
    assert "U+" not in text
    assert first.read_bytes() == second.read_bytes()


@pytest.mark.usefixtures("pdflatex")
def test_a_letter_that_no_font_has_is_named_and_no_page_without_it_is_left(tmp_path: Path):
    table = comparison_table([entry(result(), "\U00013000")], title="T")
    with pytest.raises(LatexError, match=r"report\.tex: no font here has \U00013000 \(U\+13000\); install fonts-droid"):
        compiled(tmp_path, table, title="T")
    assert not (tmp_path / "report.pdf").exists()
    assert missing_letters("all is well") == ""


def test_a_missing_program_is_named_with_its_package(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(shutil, "which", lambda name: None)
    assert missing_programs("lualatex").startswith("found no lualatex on the path")


def log_of(folder: Path, *tables: Table) -> bytes:
    """What pdflatex says of a document with these tables."""
    folder.mkdir()
    for number, table in enumerate(tables):
        (folder / f"{number}.tex").write_text(table_to_latex(table), encoding="utf-8")
    names = [TableInput(f"{number}.tex", "Table", label_of(table)) for number, table in enumerate(tables)]
    source = document(title="Wide", tables=names, figures=[], limited=False)
    (folder / "report.tex").write_text(source, encoding="utf-8")
    done = subprocess.run(
        ["pdflatex", "-no-shell-escape", "-interaction=nonstopmode", "report.tex"],
        cwd=folder,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        check=True,
    )
    return done.stdout


@pytest.mark.usefixtures("pdflatex")
def test_a_table_of_many_datasets_stays_inside_the_page(tmp_path: Path):
    entries = [entry(result(i, d, seed=s)) for i in (DFINET, ACM) for d in (*DATASETS, "A", "B") for s in (1, 2)]
    table = comparison_table(entries, title="Wide")
    assert table_to_latex(table).count(r"\begin{tabular*}") == 3
    assert b"Overfull" not in log_of(tmp_path / "w", table)


@pytest.mark.usefixtures("pdflatex")
def test_the_tables_of_the_whole_field_stay_inside_their_pages(tmp_path: Path):
    entries = [entry(made) for made in field_results(seeds=(1, 2))]
    comparisons = compare_published(entries)
    beside, elsewhere = published_table(comparisons), elsewhere_tables(comparisons)
    assert beside is not None
    log = log_of(tmp_path / "w", comparison_table(entries, title="Wide"), beside, *elsewhere.values())
    assert b"Overfull" not in log


@pytest.mark.usefixtures("pdflatex")
def test_the_report_of_a_suite_of_twenty_ablations_compiles_and_stays_inside_its_pages(tmp_path: Path):
    rows = ablation_rows(tmp_path / "runs", datasets=("NUDT-SIRST",))
    write_ablation_suite(tmp_path / "runs", rows)
    out = tmp_path / "out"
    report = build_report(tmp_path / "runs", "trial", out=out)
    names = {path.relative_to(out).as_posix() for path in report.paths}
    assert {f"{table}.{kind}" for table in ("table", "ablation", "rounds") for kind in ("tex", "csv", "md")} <= names
    assert {f"figures/{name}.pdf" for name in ("rounds", "rounds-ablation", "mask-changes")} <= names
    page = (out / "index.html").read_text()
    assert page.index("<h2>Ablation of DFINet</h2>") < page.index("<h2>Feedback rounds</h2>")
    text = " ".join(text_of(out / "report.pdf").split())
    for words in (
        "ablation of DFINet",
        "DFINet/no-residual-block",
        "feedback rounds",
        "Not drawn: 18 ablations of DFINet",
    ):
        assert words in text
    _, entries = read_suite(tmp_path / "runs", "trial")
    ((_, ablation),) = ablation_tables(entries, title="T")
    rounds = rounds_table(entries, title="T")
    assert rounds is not None
    assert sum(column.group == "Design choices" for column in ablation.columns) == 12
    assert b"Overfull" not in log_of(tmp_path / "w", ablation, rounds)


def wide_table(columns: int, lines: int) -> Table:
    """One group of columns that is wider than a page from thirty on."""
    heads = tuple(Column(f"head {number}", "Group") for number in range(columns))
    return Table("T", heads, tuple(Line(f"line {n}", (Cell("12.34"),) * columns) for n in range(lines)))


def test_a_group_of_columns_that_is_wider_than_the_page_is_split():
    assert table_to_latex(wide_table(10, 2)).count(r"\begin{tabular*}") == 1
    assert table_to_latex(wide_table(30, 2)).count(r"\begin{tabular*}") == 3


def test_lines_that_fit_one_panel_stay_together_where_a_table_needs_several_pages():
    pages = table_to_latex(wide_table(30, 25)).split(r"\end{table*}")[:-1]
    assert [page.count(r"\begin{tabular*}") for page in pages] == [2, 1]
    assert [page.count("{}line 24 ") for page in pages] == [2, 1]


def test_a_difference_stands_small_behind_its_number_and_leaves_room_where_there_is_none():
    entries = [entry(variant(FULL, iou=0.9)), entry(variant(ablation("no-chpp"), iou=0.85))]
    ((_, table),) = ablation_tables(entries, title="T")
    latex = table_to_latex(table)
    assert r"{\scriptsize\makebox[20.5pt][r]{\ensuremath{-}5.00}}" in latex
    assert r"\bfseries 90.00{\mdseries {\scriptsize\makebox[20.5pt][r]{}}}" in latex


@pytest.mark.parametrize("text", ["2 − 1", "8.0 of 8", "3 px", "12.5"])
def test_words_that_begin_with_a_number_are_printed_once(text: str):
    columns = (Column("Rounds", is_text=True), Column("n"))
    latex = table_to_latex(Table("T", columns, (Line("ACM", (Cell(text), Cell("1"))),)))
    assert rf"{{}}ACM & {escape(text)} & 1" in latex


def test_a_long_table_goes_on_over_the_page_with_the_notes_of_each_part():
    made = [result(replace(ACM, name=f"Net {number}")) for number in range(60)]
    failed = result(replace(ACM, name="Last"), status="failed", reason="boom", scores={})
    first, second = table_to_latex(comparison_table([entry(m) for m in (*made, failed)], title="T")).split(
        r"\end{table*}"
    )[:2]
    assert (first.count(r"{}Net "), second.count(r"{}Net "), second.count(r"{}Last")) == (31, 29, 1)
    assert ("failed: boom" in first, "failed: boom" in second) == (False, True)
    assert r"\label{tab:results}" in first
    assert (r"\label" in second, r"\caption{Continued.}" in second) == (False, True)


@pytest.mark.usefixtures("pdflatex")
def test_a_table_can_be_input_into_an_ieee_paper(tmp_path: Path):
    (tmp_path / "table.tex").write_text(
        table_to_latex(comparison_table([entry(result())], title="T")), encoding="utf-8"
    )
    (tmp_path / "paper.tex").write_text(
        "\\documentclass[journal]{IEEEtran}\\usepackage{booktabs,graphicx,pifont,siunitx,threeparttable}"
        "\\begin{document}Text.\\input{table}\\end{document}",
        encoding="utf-8",
    )
    assert compile_document(tmp_path / "paper.tex").stat().st_size > 0


@pytest.mark.usefixtures("pdflatex")
def test_latex_errors_are_told_in_one_line(tmp_path: Path):
    (tmp_path / "bad.tex").write_text("\\documentclass{article}\\begin{document}\n\\nosuchmacro\n\\end{document}")
    with pytest.raises(LatexError, match=r"^bad\.tex: Undefined control sequence\.; l\.2 \\nosuchmacro$"):
        compile_document(tmp_path / "bad.tex")


@pytest.mark.usefixtures("pdflatex")
def test_a_document_that_never_ends_is_stopped(tmp_path: Path):
    (tmp_path / "loop.tex").write_text("\\documentclass{article}\\begin{document}\\def\\x{\\x}\\x\\end{document}")
    with pytest.raises(LatexError, match="pdflatex took more than 2 s"):
        compile_document(tmp_path / "loop.tex", timeout=2)


def test_an_error_log_without_an_error_line_says_so():
    assert error_lines("This is pdfTeX") == "pdflatex failed without an error line"


def test_best_is_bold_second_is_underlined_and_units_stand_in_the_head():
    found = [result(replace(ACM, name=n), found=scores(v)) for n, v in (("A", 0.6), ("B", 0.7), ("C", 0.5))]
    latex = table_to_latex(comparison_table([entry(made) for made in found], title="T"))
    rows = re.findall(r"^ +\{\}([ABC]) & (.+?) &", latex, flags=re.MULTILINE)
    underlined = r"{\rlap{\underline{\phantom{60.00}}}}60.00"
    assert rows == [("A", underlined), ("B", r"\bfseries 70.00"), ("C", "50.00")]
    assert r"\multicolumn{1}{c}{IoU\,$\uparrow$}" in latex
    assert r"\multicolumn{1}{c}{Fa\,$\downarrow$}" in latex
    assert r"\multicolumn{1}{c}{$\times 10^{-6}$}" in latex
    assert r"\toprule" in latex
    assert r"\hline" not in latex


def test_an_em_dash_refers_to_a_note_with_the_reason():
    failed = result(DFINET, status="failed", reason="loss is NaN", scores={})
    latex = table_to_latex(comparison_table([entry(result()), entry(failed)], title="T"))
    assert r"{}DFINet & {\textemdash{}\rlap{\tnote{a}}}" in latex
    assert r"\item[a] failed: loss is NaN." in latex


def test_a_limited_table_bears_the_notice_and_the_document_the_watermark():
    assert "limited trial: shortened image lists" in table_to_latex(hostile_table())
    assert "LIMITED" in document(title="T", tables=[], figures=[], limited=True)
    assert "LIMITED" not in document(title="T", tables=[], figures=[], limited=False)


@pytest.mark.usefixtures("pdflatex")
def test_a_document_of_a_hundred_figures_compiles(tmp_path: Path):
    Image.new("L", (400, 300), 128).save(tmp_path / "grey.png")
    figures = [FigureFile("grey.png", f"Figure of method {number}.") for number in range(100)]
    source = tmp_path / "report.tex"
    source.write_text(document(title="Many", tables=[], figures=figures, limited=False), encoding="utf-8")
    assert "Figure of method 99." in text_of(compile_document(source))


@pytest.mark.usefixtures("pdflatex")
def test_a_table_of_datasets_stands_in_one_panel_and_compiles(tmp_path: Path):
    table = dataset_table([describe("synthetic")])
    assert table_to_latex(table).count(r"\begin{tabular*}") == 1
    text = " ".join(text_of(compiled(tmp_path, table)).split())
    assert "Dataset and list number height × width level no target number an image area SCR" in text
    assert "synthetic bench/test 80 128 × 128" in text


@pytest.mark.usefixtures("pdflatex")
def test_a_document_has_contents_with_page_numbers_and_narrow_figures_two_in_a_row(tmp_path: Path):
    Image.new("L", (350, 260), 128).save(tmp_path / "grey.png", dpi=(100, 100))
    Image.new("L", (700, 500), 128).save(tmp_path / "wide.png", dpi=(100, 100))
    narrow = [FigureFile("grey.png", f"Narrow one {number}. Words.") for number in range(3)]
    figures = [narrow[0], FigureFile("wide.png", "Wide one. Words.", 7.0, 5.0), *narrow[1:]]
    (tmp_path / "table.tex").write_text(table_to_latex(comparison_table([entry(result())], title="T")))
    tables = [TableInput("table.tex", "Comparison", "tab:results")]
    source = tmp_path / "report.tex"
    source.write_text(document(title="Rows", tables=tables, figures=figures, limited=False), encoding="utf-8")
    assert source.read_text().count("\n\\figurerow{") == 3
    assert r"\includegraphics[height=\half]{wide.png}" in source.read_text()
    text = text_of(compile_document(source))
    assert re.search(r"Table 1\s+Comparison[ .]+1\n", text)
    assert re.search(r"Figure 2\s+Narrow one 1[ .]+\d\n", text)
    assert re.search(r"Figure 1: Narrow one 0. Words.\s+Figure 2: Narrow one 1. Words.", text)
    assert "??" not in text


def fills(pdf: Path) -> list[float]:
    """Share of the height of every page's text block down to its last ink, without the page number."""
    if shutil.which("pdftoppm") is None:
        pytest.skip("pdftoppm is not installed: apt-get install poppler-utils")
    pages = pdf.parent / "pages"
    pages.mkdir()
    subprocess.run(["pdftoppm", "-r", "50", "-gray", "-png", pdf.name, "pages/p"], cwd=pdf.parent, check=True)
    found = []
    for page in sorted(pages.iterdir()):
        text = np.asarray(Image.open(page).convert("L"))[: round(50 * (11 - 0.9))]
        found.append(float((np.flatnonzero((text < 200).any(axis=1)).max() / 50 - 0.8) / (11 - 0.8 - 0.9)))
    return found


def filled_document(folder: Path, *, lines: Sequence[int], wide: Sequence[float], narrow: int = 0) -> Path:
    """Document of tables of so many lines, and figures of these heights in inches."""
    tables, figures = [], []
    for number, count in enumerate(lines):
        (folder / f"{number}.tex").write_text(table_to_latex(replace(wide_table(8, count), label=f"tab:{number}")))
        tables.append(TableInput(f"{number}.tex", "Table", f"tab:{number}"))
    for number, height in enumerate([*wide, *[3.0] * narrow]):
        width = 7.0 if number < len(wide) else 3.5
        Image.new("L", (round(50 * width), round(50 * height)), 128).save(folder / f"{number}.png", dpi=(50, 50))
        figures.append(FigureFile(f"{number}.png", f"Figure of number {number}.", width, height))
    source = folder / "report.tex"
    source.write_text(document(title="Filled", tables=tables, figures=figures, limited=False), encoding="utf-8")
    return compile_document(source)


@pytest.mark.usefixtures("pdflatex")
def test_a_figure_fills_the_page_that_the_next_table_leaves_and_is_made_smaller_for_it(tmp_path: Path):
    pdf = filled_document(tmp_path, lines=(20, 36, 36, 36), wide=(3.8, 3.8), narrow=4)
    filled = fills(pdf)
    assert len(filled) == 4
    assert min(filled[:-1]) > 2 / 3
    text = text_of(pdf)
    numbers = [int(number) for number in re.findall(r"Figure (\d+): Figure of number", text)]
    assert numbers == [1, 2, 3, 4, 5, 6]
    assert [int(number) for number in re.findall(r"Table (\d+):", text)] == [1, 2, 3, 4]


@pytest.mark.usefixtures("pdflatex")
def test_figures_higher_than_half_a_page_stay_apart_and_whole(tmp_path: Path):
    assert len(fills(filled_document(tmp_path, lines=(), wide=(6.4, 6.4)))) == 2


@pytest.mark.usefixtures("pdflatex")
def test_no_page_but_the_last_of_the_report_of_quick_is_under_three_fifths_full(tmp_path: Path):
    build_report(RESULTS, "quick", out=tmp_path)
    filled = sorted(fills(tmp_path / "report.pdf")[:-1])
    assert filled[0] > 3 / 5
    assert filled[1] > 2 / 3
