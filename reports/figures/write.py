"""Figures written to files by processes beside, while the next ones are drawn."""

from __future__ import annotations

import io
import multiprocessing
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from multiprocessing.process import BaseProcess
from pathlib import Path

from matplotlib.figure import Figure

from bench.parallel import CAN_FORK, usable_processors
from reports.figures.figure import CaptionedFigure, FigureFiles, FigureWords
from reports.plots.style import add_panel, empty_figure, house_style, write_figure


@dataclass
class FigureWriter:
    """Writes every figure it is given into a folder; the files are complete once the writer is closed.

    A forked process writes each, as many at a time as there are processors: it has the drawing already, and whatever
    was imported. Where processes cannot be forked, the figure is written at once.
    """

    folder: Path
    files: list[FigureFiles] = field(default_factory=list)
    _running: list[tuple[BaseProcess, CaptionedFigure]] = field(default_factory=list)

    def write(self, drawn: CaptionedFigure) -> None:
        """Write a figure as PDF and PNG, now or beside."""
        stem = self.folder / drawn.name
        width, height = map(float, drawn.figure.get_size_inches())
        words = FigureWords(drawn.name, drawn.caption, drawn.is_wide, (width, height))
        self.files.append(FigureFiles(words, stem.with_name(f"{stem.name}.pdf"), stem.with_name(f"{stem.name}.png")))
        if usable_processors() == 1 or not CAN_FORK:
            write_figure(drawn.figure, stem)
            return
        while len(self._running) >= usable_processors():
            self._wait_for_first()
        process = multiprocessing.get_context("fork").Process(target=_write_beside, args=(drawn.figure, stem))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)  # of threads, of which the child uses none
            process.start()
        self._running.append((process, drawn))

    def close(self) -> None:
        """Wait until every file is written."""
        while self._running:
            self._wait_for_first()

    def stop(self) -> None:
        """Wait for the processes beside, whether they succeed or not; none takes more than a moment."""
        for process, _ in self._running:
            process.join()
        self._running.clear()

    def _wait_for_first(self) -> None:
        process, drawn = self._running.pop(0)
        process.join()
        if process.exitcode:  # here the same error is raised, for whoever called
            write_figure(drawn.figure, self.folder / drawn.name)


@contextmanager
def figure_writer(folder: Path) -> Iterator[FigureWriter]:
    """A writer whose processes end with the block, in whatever way that is left."""
    if CAN_FORK and usable_processors() > 1:
        _load_all()
    writer = FigureWriter(folder)
    try:
        yield writer
        writer.close()
    finally:
        writer.stop()


def _write_beside(figure: Figure, stem: Path) -> None:
    """Write a figure; the exit status alone tells of an error, which the parent process raises."""
    try:
        write_figure(figure, stem)
    except BaseException:  # of a signal, too: the parent has it as well
        sys.exit(1)


def _load_all() -> None:
    """Import and cache what a figure's files take, which every forked process would do again by itself."""
    with house_style():
        figure = empty_figure(1.0, 1.0)
        axes = add_panel(figure, 0.2, 0.2, 0.6, 0.6)
        axes.plot([0.0, 1.0], label="0")
        axes.set_title("A", fontweight="bold")
        for kind in ("pdf", "png"):
            figure.savefig(io.BytesIO(), format=kind)
