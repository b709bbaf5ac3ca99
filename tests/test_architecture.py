"""The house: every module says what it is."""

from __future__ import annotations

import ast
from collections.abc import Iterator
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


def documented() -> Iterator[tuple[str, str]]:
    """Place and first line of every docstring."""
    for module in MODULES:
        for node in ast.walk(ast.parse((ROOT / module).read_text(encoding="utf-8"))):
            if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef):
                text = ast.get_docstring(node)
                if text:
                    yield f"{module}:{getattr(node, 'name', 'module')}", text.partition("\n")[0]


def test_docstrings_begin_with_a_verb_or_a_noun() -> None:
    evasive = ("What", "Where", "How", "Whether", "Nothing")
    found = {place: line for place, line in documented() if line.split()[0].strip(",.:;") in evasive}
    assert found == {}


def public_names(module: Path) -> Iterator[str]:
    """Classes, functions and type aliases of a module, constants in capitals left out."""
    for node in ast.parse((ROOT / module).read_text(encoding="utf-8")).body:
        if isinstance(node, ast.ClassDef | ast.FunctionDef):
            names = [node.name]
        elif isinstance(node, ast.Assign):
            names = [target.id for target in node.targets if isinstance(target, ast.Name)]
        else:
            names = []
        yield from (name for name in names if not name.startswith("_") and not name.isupper())


ONE_A_MODULE = {"app", "log", "T"}  # a command group, a logger, a type variable


def test_a_public_name_means_one_thing() -> None:
    where: dict[str, list[str]] = {}
    for module in MODULES:
        if module.parts[0] != "baselines":  # each rival is a file of its own
            for name in set(public_names(module)) - ONE_A_MODULE:
                where.setdefault(name, []).append(str(module))
    assert {name: modules for name, modules in where.items() if len(modules) > 1} == {}


def test_no_folder_is_crowded() -> None:
    sizes: dict[str, int] = {}
    for module in MODULES:
        sizes[str(module.parent)] = sizes.get(str(module.parent), 0) + 1
    assert max(sizes.values()) <= 20
