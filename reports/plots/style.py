"""Style, panels and files of every figure: 8-point text, colour-blind colours, embedded fonts."""

from __future__ import annotations

import re
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any, Literal

import matplotlib as mpl
from fontTools.ttLib import TTFont  # type: ignore[import-untyped]
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.font_manager import findfont, findSystemFonts, fontManager, get_font
from matplotlib.ticker import FixedFormatter
from matplotlib.typing import LineStyleType

from bench.part_files import replacing

COLUMN = 3.5
"""Width of one column of an IEEE journal, inches."""

PAGE = 7.16
"""Width of both columns, inches."""

PALETTE = (
    "#0173b2", "#de8f05", "#029e73", "#d55e00", "#cc78bc", "#ca9161", "#fbafe4", "#949494", "#ece133", "#56b4e9"
)  # fmt: skip
"""The colour-blind palette of seaborn 0.13."""

DASHES: tuple[LineStyleType, ...] = (
    "-",
    "--",
    "-.",
    ":",
    (0, (5, 1, 1, 1, 1, 1)),
    (0, (8, 2)),
    (0, (3, 1, 1, 1)),
)
MARKERS = ("o", "s", "^", "D", "v", "P", "X")

FONT = "DejaVu Sans"
"""Comes with matplotlib, so that a figure looks the same everywhere."""

SETTINGS: dict[str, Any] = {
    "font.size": 8,
    "axes.titlesize": 8,
    "axes.labelsize": 8,
    "xtick.labelsize": 7,
    "ytick.labelsize": 7,
    "legend.fontsize": 7,
    "axes.linewidth": 0.6,
    "grid.linewidth": 0.4,
    "grid.color": "0.88",
    "lines.linewidth": 1.1,
    "lines.markersize": 4.5,
    "xtick.major.width": 0.6,
    "ytick.major.width": 0.6,
    "xtick.minor.width": 0.4,
    "ytick.minor.width": 0.4,
    "pdf.fonttype": 42,
    "ps.fonttype": 42,
    "savefig.dpi": 300,
    "image.composite_image": False,
    "text.usetex": False,
    "text.parse_math": False,
    "axes.unicode_minus": False,
}


LAYOUT_TABLES = {"GSUB", "GPOS", "GDEF", "FFTM"}

FALLBACK = "Droid Sans Fallback"
"""Has Chinese and Japanese; in Debian's package fonts-droid-fallback."""


@cache
def font_families() -> tuple[str, ...]:
    """The fonts that letters are taken from, in this order: matplotlib's own, and the fallback if it is installed."""
    for path in findSystemFonts():  # matplotlib's list of fonts may be older than the font
        if Path(path).stem.startswith(FALLBACK.replace(" ", "")):
            fontManager.addfont(path)
            added = fontManager.ttflist[-1]
            fontManager.ttflist.append(replace(added, weight=700))  # bold names take it, too, without a warning
            return FONT, FALLBACK
    return (FONT,)


@cache
def _lean_fonts() -> tempfile.TemporaryDirectory[str]:
    """Make matplotlib take its upright fonts from copies without layout tables, which no figure uses.

    Reading and pruning those tables would take a third of the time of a PDF, in every PDF again.
    """
    folder = tempfile.TemporaryDirectory(prefix="dfinet-bench-fonts-")
    for place, entry in enumerate(fontManager.ttflist):
        if entry.name == FONT and entry.style == "normal" and Path(entry.fname).parent == get_font_folder():
            path = Path(folder.name) / Path(entry.fname).name
            with TTFont(entry.fname, lazy=True, recalcTimestamp=False) as font:
                for table in LAYOUT_TABLES & set(font.keys()):
                    del font[table]
                widest = font["cmap"].getcmap(3, 10)
                font["cmap"].tables = [widest] if widest else font["cmap"].tables
                font.save(path)
            fontManager.ttflist[place] = replace(entry, fname=str(path))
    return folder


def get_font_folder() -> Path:
    """The folder of the fonts that come with matplotlib."""
    return Path(mpl.get_data_path()) / "fonts" / "ttf"


@cache
def _glyphs() -> frozenset[int]:
    return frozenset().union(*(get_font(findfont(family)).get_charmap() for family in font_families()))


def drawable(text: str, *, limit: int = 60) -> str:
    """The text in one line of at most `limit` letters; one that no font has becomes its code point, [U+13000]."""
    flat = " ".join("".join(c if c.isprintable() else " " for c in text).split())
    short = flat if len(flat) <= limit else flat[: limit - 1] + "…"
    return "".join(c if ord(c) in _glyphs() else f"[U+{ord(c):04X}]" for c in short)


def letters_without_font(figure: Figure) -> dict[str, None]:
    """Code points, in hexadecimal, of the letters of a figure that `drawable` had no font for, in their order."""
    texts = [artist.get_text() for artist in figure.texts]
    for axes in figure.axes:
        parts = (axes.title, axes.xaxis.label, axes.yaxis.label, *axes.texts)
        texts += [artist.get_text() for artist in parts]
        formatters = (axes.xaxis.get_major_formatter(), axes.yaxis.get_major_formatter())
        # names on an axis are asked of its formatter, for its ticks are made when they are drawn
        texts += [name for formatter in formatters if isinstance(formatter, FixedFormatter) for name in formatter.seq]
    legends = [*figure.legends, *filter(None, [axes.get_legend() for axes in figure.axes])]
    texts += [artist.get_text() for legend in legends for artist in legend.get_texts()]
    return dict.fromkeys(code for text in texts for code in re.findall(r"\[U\+([0-9A-F]{4,6})\]", text))


def words_without_font(codes: Iterable[str]) -> str:
    """A sentence on letters that are drawn as their code points; empty without any."""
    letters = ", ".join(f"{chr(int(code, 16))} (U+{code})" for code in codes)
    if not letters:
        return ""
    return f"figures show code points for {letters}: no font here has them; install fonts-droid-fallback"


@dataclass(frozen=True)
class Stroke:
    """Colour, dashes and marker of one method, in every panel and figure alike."""

    colour: str
    dashes: LineStyleType
    marker: str


def stroke(index: int) -> Stroke:
    """The stroke of the index-th method: colour, dashes and marker repeat with different periods."""
    return Stroke(PALETTE[index % len(PALETTE)], DASHES[index % len(DASHES)], MARKERS[index % len(MARKERS)])


@contextmanager
def house_style() -> Iterator[None]:
    """Inside the block, matplotlib draws in the style of this module; outside, its settings are untouched."""
    _lean_fonts()
    with mpl.rc_context():
        mpl.rcdefaults()
        mpl.rcParams.update(SETTINGS)  # type: ignore[arg-type]
        mpl.rcParams["font.family"] = list(font_families())
        yield


LEFT, RIGHT, BELOW, ABOVE = 0.58, 0.15, 0.38, 0.22
"""Room around a panel for its labels and title, inches."""

LEGEND_LINE = 0.145


def panel_axes(count: int, *, height: float, legend_rows: int = 0, most: int = 2) -> tuple[Figure, list[Axes]]:
    """A figure of `count` panels: one column of a page wide for one panel, the page's width for more.

    Args:
        height: of one panel with its labels, inches.
        legend_rows: lines of legend to leave room for at the bottom.
        most: panels in a row.
    """
    columns = min(count, most)
    rows = -(-count // columns)
    width, room = (COLUMN if columns == 1 else PAGE), LEGEND_LINE * legend_rows + 0.08
    total, slot = rows * height + room, width / columns
    figure = empty_figure(width, total)
    axes = []
    for index in range(count):
        row, column = divmod(index, columns)
        corner = (column * slot + LEFT, total - (row + 1) * height + BELOW)
        axes.append(add_panel(figure, *corner, slot - LEFT - RIGHT, height - BELOW - ABOVE))
    return figure, axes


def empty_figure(width: float, height: float) -> Figure:
    """A figure of that size, inches, drawn without a display."""
    figure = Figure(figsize=(width, height))
    FigureCanvasAgg(figure)
    return figure


def add_panel(figure: Figure, left: float, bottom: float, width: float, height: float) -> Axes:
    """Add axes to a figure at a place in inches."""
    across, up = figure.get_size_inches()
    return figure.add_axes((left / across, bottom / up, width / across, height / up))


def draw_grid(axes: Axes, *, axis: Literal["both", "x", "y"] = "both") -> None:
    """Draw grid lines at the major ticks, below the data."""
    axes.grid(True, axis=axis, which="major")
    axes.set_axisbelow(True)


def mark_limited(figure: Figure) -> None:
    """Write LIMITED TRIAL across the figure, so that it is not taken for a result without its caption."""
    width, height = figure.get_size_inches()
    with house_style():
        mark = figure.text(0.5, 0.5, "LIMITED TRIAL", ha="center", va="center", rotation=24, zorder=10)
        mark.set(fontsize=min(30.0, 6.5 * width, 9.0 * height), color="0.6", alpha=0.32, fontweight="bold")


def write_figure(figure: Figure, stem: Path) -> tuple[Path, Path]:
    """Write `stem`.pdf and `stem`.png; the same figure gives the same bytes, for no date is stored."""
    pdf, png = stem.with_name(f"{stem.name}.pdf"), stem.with_name(f"{stem.name}.png")
    with house_style():
        undated = {"CreationDate": None, "Producer": None, "Creator": "dfinet-bench"}
        with replacing(pdf) as part:
            figure.savefig(part, format="pdf", metadata=undated)
        with replacing(png) as part:
            figure.savefig(part, format="png", metadata={"Software": None}, pil_kwargs={"compress_level": 4})
    return pdf, png
