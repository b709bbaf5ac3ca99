"""The rows of a table of published numbers as claims: what each number says, in fractions of one."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from fractions import Fraction

from bench.audit.lists import DatasetCell
from bench.audit.numbers import PERCENT, DigitInterval, PrintedNumber


@dataclass(frozen=True)
class Claim:
    """One printed number with its unit.

    Attributes:
        metric: of `bench.audit.heads.METRICS`.
        printed: the number.
        unit: what a printed 1 is.
        is_guessed: whether the unit is taken from the size of the numbers.
    """

    metric: str
    printed: PrintedNumber
    unit: Fraction
    is_guessed: bool = False

    @property
    def rounded(self) -> DigitInterval:
        """The values that may have been rounded to it, as fractions of one."""
        return self.printed.rounded.scaled(self.unit)

    @property
    def cut(self) -> DigitInterval:
        """The values that may have been truncated to it, as fractions of one."""
        return self.printed.cut.scaled(self.unit)

    @property
    def words(self) -> str:
        """`IoU 2.37 %`, `Fa 28.59e-6`, `Pd 0.953`."""
        number = self.printed.text.strip()
        if self.unit == PERCENT:
            return f"{self.metric} {number.replace('%', '').rstrip()} %"
        power = len(str(self.unit.denominator)) - 1
        return f"{self.metric} {number}" + (f"e-{power}" if power else "")


@dataclass(frozen=True, eq=False)
class ClaimedRow:
    """The claims of one row about one dataset.

    Attributes:
        number: of its line in the file; the head is line 1.
        method, source, split: as printed; empty where no column says.
        dataset: what it was tested on.
        claims: by metric.
        skipped: what of it could not be read, and why.
        is_limited: whether the row says that its lists were shortened.
    """

    number: int
    method: str
    dataset: DatasetCell
    source: str = ""
    split: str = ""
    claims: Mapping[str, Claim] = field(default_factory=dict)
    skipped: tuple[str, ...] = ()
    is_limited: bool = False

    @property
    def words(self) -> str:
        """`row 52 (HBMLCM, SIRST-Aug)`."""
        inside = ", ".join(filter(None, (self.method, self.dataset.printed)))
        return f"row {self.number}" + (f" ({inside})" if inside else "")


@dataclass(frozen=True)
class PublishedTable:
    """A file's rows.

    Attributes:
        file: its name.
        lines: rows below the head; one with several datasets in its columns makes several `rows`.
        rows: one for every line and dataset.
        remarks: what was guessed.
        unused: heads of columns that hold no metric that is checked.
    """

    file: str
    lines: int
    rows: tuple[ClaimedRow, ...]
    remarks: tuple[str, ...]
    unused: tuple[str, ...]
