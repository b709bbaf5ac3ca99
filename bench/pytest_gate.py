"""A pytest plugin: with `pytest --dfinet-gate` every check of a gate is a test.

Suite and reference are named by options, or once by settings of pytest (`dfinet_gate_suite`, `dfinet_gate_reference`).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from bench.errors import BenchError

if TYPE_CHECKING:
    from bench.run.gate import GateCheck

SETTINGS: Mapping[str, str] = {
    "suite": "suite of the gate: a name, or a TOML file",
    "reference": "reference file of the gate",
    "data": "folder that holds <NAME>/images and <NAME>/masks",
    "weights": "folder of published checkpoints",
    "device": "cpu or cuda",
    "limit": "test=32: compare on the first images alone",
}
FILES = ("reference", "data", "weights")


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the options and settings."""
    group = parser.getgroup("dfinet-bench", "DFINet-Bench's gate")
    group.addoption("--dfinet-gate", action="store_true", help="make every check of the gate a test")
    for name, meaning in SETTINGS.items():
        group.addoption(f"--dfinet-gate-{name}", default="", metavar=name.upper(), help=meaning)
        parser.addini(f"dfinet_gate_{name}", meaning, default="")


def pytest_collection_modifyitems(session: pytest.Session, config: pytest.Config, items: list[pytest.Item]) -> None:
    """Add the gate's checks behind the tests that were found."""
    if config.getoption("--dfinet-gate"):
        items.extend(Gate.from_parent(session, name="dfinet-gate").collect())


class Gate(pytest.Collector):
    """A gate as a collector of its checks, measured once, when the first of them is run."""

    _checks: dict[tuple[str, str], GateCheck] | None = None
    _error: BenchError | None = None

    def collect(self) -> Iterator[pytest.Item]:
        """One test for each check that the reference holds.

        Raises:
            UsageError: when suite or reference are not named, or the reference is not usable.
        """
        from bench.run.gate import checks_of, refuse_powerless
        from bench.run.gate_reference import read_reference

        for name in ("suite", "reference"):
            if not self.setting(name):
                raise pytest.UsageError(
                    f"--dfinet-gate: no {name}, expected --dfinet-gate-{name}, or dfinet_gate_{name} in the settings"
                )
        try:
            reference = read_reference(Path(self.setting("reference")))
            refuse_powerless(reference)
        except (BenchError, OSError) as error:
            raise pytest.UsageError(f"--dfinet-gate: {error}") from None
        for row, stored in reference.rows.items():
            for check in checks_of(stored):
                yield GateItem.from_parent(self, name=f"{row}: {check}", row=row, check=check)

    def setting(self, name: str) -> str:
        """An option, or the setting of the same name; files in settings are relative to pytest's root folder."""
        if given := str(self.config.getoption(f"--dfinet-gate-{name}")):
            return given
        stored = str(self.config.getini(f"dfinet_gate_{name}"))
        is_file = name in FILES or stored.endswith(".toml")
        return str(self.config.rootpath / stored) if stored and is_file else stored

    def checks(self) -> dict[tuple[str, str], GateCheck]:
        """The checks by row and name.

        Raises:
            BenchError: when the suite cannot be run.
        """
        if self._error is not None:
            raise self._error
        if self._checks is None:
            from bench.api import gate

            try:
                report = gate(
                    self.setting("suite"),
                    self.setting("reference"),
                    data=self.setting("data") or None,
                    weights=self.setting("weights") or None,
                    device=self.setting("device") or "cpu",
                    limit=self.setting("limit"),
                )
            except BenchError as error:
                self._error = error
                raise
            assert report is not None
            self._checks = {(check.row, check.metric): check for check in report.checks}
        return self._checks


class GateError(Exception):
    """A check that failed, in one sentence."""


class GateItem(pytest.Item):
    """One check of a gate as a test."""

    def __init__(self, *, row: str, check: str, **given: Any) -> None:
        super().__init__(**given)
        self._row, self._check = row, check

    def runtest(self) -> None:
        """Measure the gate, unless an earlier check has, and hold this check.

        Raises:
            GateError: when the check failed.
        """
        assert isinstance(self.parent, Gate)
        found = self.parent.checks().get((self._row, self._check))
        if found is None:
            raise GateError(f"{self._row}: {self._check} was not measured, expected as in the reference")
        if found.verdict == "skipped":
            pytest.skip(found.sentence())
        if not found.passes:
            raise GateError(found.sentence())

    def repr_failure(self, excinfo: pytest.ExceptionInfo[BaseException], style: Any = None) -> Any:
        """The sentence alone for failed checks and wrong requests; a traceback for anything else."""
        if isinstance(excinfo.value, GateError | BenchError):
            return str(excinfo.value)
        return super().repr_failure(excinfo, style)

    def reportinfo(self) -> tuple[Path, None, str]:
        """Place and name of the test."""
        assert isinstance(self.parent, Gate)
        return Path(self.parent.setting("reference")), None, self.name
