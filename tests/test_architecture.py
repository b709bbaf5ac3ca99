"""The house: every module says what it is."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGES = ("bench", "dfinet", "baselines", "reports")
MODULES = sorted(path.relative_to(ROOT) for package in PACKAGES for path in (ROOT / package).rglob("*.py"))


@pytest.mark.parametrize("module", MODULES, ids=str)
def test_every_module_says_in_its_first_line_what_it_is(module: Path) -> None:
    text = (ROOT / module).read_text(encoding="utf-8")
    if text.strip():
        first = (ast.get_docstring(ast.parse(text)) or "").partition("\n")[0]
        assert len(first.split()) > 2


def test_the_modules_are_found() -> None:
    assert Path("bench/training/train.py") in MODULES
    assert len(MODULES) > 50
