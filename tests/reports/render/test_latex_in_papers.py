"""Tables inside papers: in every class inside the text width, with really bold numbers, rounded once."""

from __future__ import annotations

import re
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

from reports.render.csv_markdown import table_to_csv, table_to_markdown
from reports.render.latex import table_to_latex
from reports.results.entries import read_suite
from reports.table import Cell, Line, Table
from reports.tables.ablation import ablation_tables
from reports.tables.comparison import comparison_table
from reports.tables.cross_dataset import cross_table
from reports.tables.published import published_table
from reports.tables.published_matching import compare_published
from reports.tables.robustness import robustness_tables
from reports.tables.rounds import rounds_table
from tests.reports.fake_ablation import ablation_rows, write_ablation_suite
from tests.reports.fake_runs import ACM, DFINET, field_results, result, scores
from tests.reports.render.test_latex import entry, hostile_table, pdflatex, text_of
from tests.reports.tables.test_by_condition import corrupted
from tests.reports.tables.test_by_condition import entry as matrix_entry

__all__ = ["pdflatex"]

CLASSES = {
    "standalone": r"\documentclass[varwidth=516pt]{standalone}\usepackage{lmodern}",
    "article": r"\documentclass{article}\usepackage{lmodern}",
    "two-column article": r"\documentclass[twocolumn]{article}\usepackage{lmodern}",
    "IEEEtran": r"\documentclass[journal]{IEEEtran}",
    "elsarticle": r"\documentclass[final,5p,times,twocolumn]{elsarticle}",
    "elsarticle preprint": r"\documentclass[preprint,12pt]{elsarticle}",
}


def tables_of_every_kind(folder: Path) -> dict[str, Table]:
    """One table of each kind, with seeds, ties, marks, badges and differences in them."""
    seeds = [entry(made) for made in list(field_results(seeds=(1, 2)))[:24]]
    published = published_table(compare_published(seeds))
    write_ablation_suite(folder, ablation_rows(folder, datasets=("NUDT-SIRST",)))
    _, ablations = read_suite(folder, "trial")
    ((_, ablation_of_dfinet),) = ablation_tables(ablations, title="T")
    rounds = rounds_table(ablations, title="T")
    matrix = [*corrupted(result(found=scores(0.8))), *corrupted(result(DFINET, found=scores(0.6)), label="D_1")]
    crossed = [
        matrix_entry(result(info, dataset), trained_on=trained)
        for info in (DFINET, ACM)
        for trained in ("NUAA-SIRST", "NUDT-SIRST")
        for dataset in ("NUAA-SIRST", "NUDT-SIRST")
    ]
    _, robustness, kinds = next(robustness_tables(matrix, title="T"))
    cross = cross_table(crossed, title="T")
    assert published is not None
    assert rounds is not None
    assert cross is not None
    return {
        "main": comparison_table(seeds, title="Main"),
        "published": published,
        "ablation": ablation_of_dfinet,
        "rounds": rounds,
        "robustness": robustness,
        "kinds": kinds,
        "cross": cross,
        "hostile": hostile_table(),
    }


def paper_log(folder: Path, table: Path, *, head: str, program: str) -> str:
    """Log of a paper of some words and one table, with the packages that the table's first line names."""
    needed = re.search(r"\\usepackage\{[a-z,]+\}", table.read_text().splitlines()[0])
    assert needed is not None
    fonts = r"\usepackage[T1]{fontenc}" if program == "pdflatex" else r"\usepackage{fontspec}"
    source = folder / f"paper-{table.stem}.tex"
    body = rf"\begin{{document}}Words.\input{{{table.name}}}\end{{document}}"
    source.write_text(f"{head}{fonts}{needed[0]}{body}", encoding="utf-8")
    command = [program, "-no-shell-escape", "-interaction=nonstopmode", "-halt-on-error", source.name]
    subprocess.run(command, cwd=folder, stdin=subprocess.DEVNULL, capture_output=True, check=True)
    return source.with_suffix(".log").read_text(encoding="utf-8", errors="replace")


@pytest.fixture(scope="module")
def tables(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Table]:
    """One table of each kind."""
    return tables_of_every_kind(tmp_path_factory.mktemp("runs"))


@pytest.mark.usefixtures("pdflatex")
@pytest.mark.parametrize(
    ("title", "program", "names"),
    [
        ("standalone", "pdflatex", ("main",)),
        ("article", "pdflatex", ("main", "ablation")),
        ("two-column article", "pdflatex", ("published",)),
        ("IEEEtran", "pdflatex", ("main", "published", "ablation", "rounds", "robustness", "kinds", "cross")),
        ("IEEEtran", "lualatex", ("main", "hostile")),
        ("elsarticle", "pdflatex", ("main", "cross")),
        ("elsarticle preprint", "pdflatex", ("rounds",)),
    ],
)
def test_tables_compile_in_the_classes_of_papers_inside_the_text_width(
    tmp_path: Path, tables: dict[str, Table], title: str, program: str, names: tuple[str, ...]
):
    for name in names:
        path = tmp_path / f"{name}.tex"
        path.write_text(table_to_latex(tables[name]), encoding="utf-8")
        log = paper_log(tmp_path, path, head=CLASSES[title], program=program)
        assert "Overfull" not in log, (name, log)


def words_with_fonts(pdf: Path) -> tuple[set[str], set[str]]:
    """The words in bold fonts and the other words of a PDF."""
    if shutil.which("pdftohtml") is None:
        pytest.skip("pdftohtml is not on the path")
    command = ["pdftohtml", "-xml", "-i", "-stdout", "-fontfullname", str(pdf)]
    found = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    heavy = {font for font, name in re.findall(r'<fontspec id="(\d+)"[^>]*family="([^"]*)"', found) if is_bold(name)}
    bold, plain = set[str](), set[str]()
    for font, words in re.findall(r'<text [^>]*font="(\d+)">(.*?)</text>', found):
        (bold if font in heavy else plain).update(re.sub("<.*?>", "", words).split())
    return bold, plain


def is_bold(font: str) -> bool:
    """True for Times and Latin Modern in bold."""
    return font.endswith(("-Medi", "-Bold"))


@pytest.mark.usefixtures("pdflatex")
@pytest.mark.parametrize("title", ["article", "IEEEtran", "elsarticle"])
def test_the_best_numbers_and_all_that_tie_with_them_are_set_in_a_bold_font(tmp_path: Path, title: str):
    values = (("A", 0.78125), ("B", 0.6), ("C", 0.78125))
    found = [result(replace(ACM, name=name), found=scores(iou)) for name, iou in values]
    made = comparison_table([entry(each) for each in found], title="T")
    ious = tuple(replace(line, cells=line.cells[:1]) for line in made.lines)
    spread = Line("D", (Cell("55.55", "1.11", marks=("a",)),))
    table = replace(made, columns=made.columns[:1], lines=(*ious, spread), caption="T")
    (tmp_path / "table.tex").write_text(table_to_latex(table), encoding="utf-8")
    paper_log(tmp_path, tmp_path / "table.tex", head=CLASSES[title], program="pdflatex")
    bold, plain = words_with_fonts(tmp_path / "paper-table.pdf")
    assert "78.12" in bold
    assert "78.12" not in plain
    assert {"60.00", "55.55"} <= plain
    assert not bold & {"60.00", "55.55", "1.11"}


@pytest.mark.usefixtures("pdflatex")
def test_a_number_is_rounded_once_and_reads_alike_in_every_output(tmp_path: Path):
    """Half to even: 78.125 is 78.12, which siunitx, told to round, would make 78.13."""
    found = [result(replace(ACM, name=name), found=scores(0.78125)) for name in ("A", "B")]
    table = comparison_table([entry(each) for each in found], title="T")
    (tmp_path / "table.tex").write_text(table_to_latex(table), encoding="utf-8")
    head = CLASSES["article"] + r"\AtBeginDocument{\sisetup{round-mode=places,round-precision=1,group-digits=integer}}"
    paper_log(tmp_path, tmp_path / "table.tex", head=head, program="pdflatex")
    outputs = (text_of(tmp_path / "paper-table.pdf"), table_to_csv(table), table_to_markdown(table))
    for output in outputs:
        assert "78.12" in output
        assert "78.13" not in output
