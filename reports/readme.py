"""Tables and the picture of the README from `results/`: `python -m reports.readme` writes all of them.

<!-- table: quick -->
... is replaced by the comparison table of results/suites/quick.json ...
<!-- end -->
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

from bench.errors import StoreError
from bench.store.files import write_text
from reports.columns import chosen_metrics
from reports.render.csv_markdown import table_to_markdown
from reports.results.entries import plain_entries, read_suite
from reports.results.image_counts import read_counted
from reports.tables.comparison import comparison_table
from reports.tables.significance import compare_with_best

if TYPE_CHECKING:
    from matplotlib.figure import Figure

ROOT = Path(__file__).parents[1]
MARKED = re.compile(r"(<!-- table: (?P<suite>[\w.-]+) -->\n).*?(<!-- end -->)", re.DOTALL)
PICTURE = ROOT / "docs/images/quick-feedback.png"
PICTURE_DPI = 150


def with_tables(text: str, results: Path) -> str:
    """Replace every marked table of a text by the table of the results.

    Raises:
        StoreError: if a marked suite has no manifest among the results.
    """

    def made(match: re.Match[str]) -> str:
        manifest, entries = read_suite(results, match["suite"])
        shown = plain_entries(entries)
        metrics = chosen_metrics(manifest.columns, [entry.scored.scores for entry in shown if entry.scored])
        compared = compare_with_best(read_counted(shown, mixed="refuse", metrics=metrics))
        table = comparison_table(shown, title=manifest.title, compared=compared, metrics=metrics)
        return f"{match[1]}\n{table_to_markdown(table)}\n{match[3]}"

    return MARKED.sub(made, text)


def draw_feedback(results: Path, suite: str = "quick", row: int = 0) -> Figure:
    """Draw the example images of a row of a suite after some of its feedback rounds.

    Raises:
        StoreError: if the suite has no manifest among the results, or the row stored no examples.
    """
    from reports.figures.examples import read_examples
    from reports.plots.examples import picture_figure

    _, entries = read_suite(results, suite)
    pictures = read_examples(entries[row])
    if not pictures:
        raise StoreError(f"{entries[row].folder}: no examples.npz to draw")
    return picture_figure(pictures, scoring=entries[row].row.scoring)


if __name__ == "__main__":
    readme = ROOT / "README.md"
    write_text(readme, with_tables(readme.read_text(encoding="utf-8"), ROOT / "results"))
    draw_feedback(ROOT / "results").savefig(PICTURE, dpi=PICTURE_DPI, metadata={"Software": None})
