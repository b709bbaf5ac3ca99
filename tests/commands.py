"""The command line as a function of its words, for the tests of commands."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass

import pytest

from bench.cli import main


@dataclass(frozen=True)
class Answer:
    """What a command gave: exit code, standard output, standard error."""

    code: int
    out: str
    err: str


Call = Callable[..., Answer]


def caller(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], *first: str) -> Call:
    """`dfinet-bench` with these first words, as a function of the others."""

    def run_words(*words: str) -> Answer:
        monkeypatch.setattr(sys, "argv", ["dfinet-bench", *first, *words])
        code = 0
        try:
            main()
        except SystemExit as end:
            code = int(end.code or 0)
        captured = capfd.readouterr()
        return Answer(code, captured.out, captured.err)

    return run_words
