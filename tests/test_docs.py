"""README, CONTRIBUTING.md and docs name files, functions, commands and options that exist."""

from __future__ import annotations

import ast
import importlib
import re
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import typer
from pages import PAGES, ROOT, anchors_of, blocks_of, commands_of, links_of, spans_of

from bench.cli import app
from bench.cli.catalogue import LISTS
from bench.suites.suite import suite_names

PACKAGES = "bench|reports|dfinet|baselines"
PATH = re.compile(rf"(?:{PACKAGES}|tests|datasets|docs|results|\.ci)/[\w./-]*")
MEMBER = re.compile(rf"((?:{PACKAGES}|tests)/[\w./-]+\.py):([\w.]+)")
DOTTED = re.compile(rf"(?<![\w/.])(?:{PACKAGES})(?:\.\w+)+")
PLACEHOLDER = re.compile(r"[<*]|\b(?:NAME|FILE|KEY)\b")

each_page = pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)


@cache
def names_of(module: Path) -> set[str]:
    """What a module defines: functions, classes with their members, constants."""
    found = set()
    for node in ast.parse(module.read_text(encoding="utf-8")).body:
        for name in defined(node):
            found.add(name)
            if isinstance(node, ast.ClassDef):
                found |= {f"{name}.{member}" for child in node.body for member in defined(child)}
    return found


def defined(node: ast.stmt) -> list[str]:
    """Names that a statement defines."""
    if isinstance(node, ast.FunctionDef | ast.ClassDef):
        return [node.name]
    targets = node.targets if isinstance(node, ast.Assign) else [node.target] if isinstance(node, ast.AnnAssign) else []
    return [target.id for target in targets if isinstance(target, ast.Name)]


@each_page
def test_every_link_leads_to_a_file_and_a_heading(page: Path) -> None:
    for link in links_of(page):
        if "://" in link:
            continue
        file, _, anchor = link.partition("#")
        target = (page.parent / file).resolve() if file else page
        assert target.exists(), link
        assert not anchor or anchor in anchors_of(target), link


def test_every_page_of_docs_is_reached_from_the_readme() -> None:
    reached, waiting = set(), [ROOT / "README.md"]
    while waiting:
        page = waiting.pop()
        reached.add(page)
        linked = {(page.parent / link.partition("#")[0]).resolve() for link in links_of(page) if "://" not in link}
        waiting.extend(each for each in linked - reached if each.suffix == ".md")
    assert set(PAGES) <= reached


@each_page
def test_every_path_exists(page: Path) -> None:
    words = {word for span in spans_of(page) for word in span.split() if not word.startswith(("-", "http"))}
    words |= {word for block in blocks_of(page) for word in block.text.split()}
    paths = [PATH.match(word.partition(":")[0]) for word in words if not PLACEHOLDER.search(word)]
    for path in filter(None, paths):
        assert (ROOT / path[0]).exists(), path[0]


@each_page
def test_every_function_after_a_path_is_defined_there(page: Path) -> None:
    for span in spans_of(page):
        for path, name in MEMBER.findall(span):
            assert name in names_of(ROOT / path), span


@each_page
def test_every_dotted_name_can_be_imported(page: Path) -> None:
    for name in {found for span in spans_of(page) for found in DOTTED.findall(span) if "/" not in span}:
        parts = name.split(".")
        if (ROOT / name.replace(".", "/")).with_suffix(".py").is_file() or (ROOT / Path(*parts)).is_dir():
            continue
        module = importlib.import_module(".".join(parts[:-1]))
        assert hasattr(module, parts[-1]), name


def commands_in(command: Any) -> Mapping[str, Any]:
    """The commands of a group; none of a command."""
    return getattr(command, "commands", {})


def command_for(words: list[str]) -> tuple[Any, list[str]]:
    """The command that words begin with, and the words behind it."""
    command = typer.main.get_command(app)
    while (inner := commands_in(command)) and words and not words[0].startswith("-"):
        assert words[0] in inner, f"no command {words[0]!r}; there are {', '.join(inner)}"
        command, words = inner[words[0]], words[1:]
    return command, words


def check_command(text: str) -> None:
    """Raise AssertionError unless the command, its options and the names given to it exist."""
    command, words = command_for([word.strip("[]…,.") for word in text.split()])
    known = {option for parameter in command.params for option in parameter.opts}
    for word in words:
        if word.startswith("--"):
            assert word.partition("=")[0] in {*known, "--help"}, f"{command.name} has no {word}"
    if command.name == "list" and words and not words[0].startswith("-"):
        assert set(words[0].split("|")) <= set(LISTS), words[0]
    if command.name in ("run", "report", "gate") and words and words[0].islower() and "." not in words[0]:
        assert words[0] in suite_names(), words[0]


@each_page
def test_every_command_and_option_exists(page: Path) -> None:
    for text in commands_of(page):
        check_command(text)


def test_the_commands_are_found_and_checked() -> None:
    assert len(commands_of(ROOT / "README.md")) > 4
    for wrong in ("rum quick", "run quick --no-such", "list modles", "run quik", "data verfy NAME"):
        with pytest.raises(AssertionError):
            check_command(wrong)


def test_the_page_of_commands_has_a_section_for_every_command_with_every_option() -> None:
    text = (ROOT / "docs/commands.md").read_text(encoding="utf-8")
    sections = dict(re.findall(r"^## ([^\n]+)\n(.*?)(?=^## |\Z)", text, re.MULTILINE | re.DOTALL))
    commands: dict[str, Any] = {}
    for name, command in commands_in(typer.main.get_command(app)).items():
        inner = {f"{name} {each}": one for each, one in commands_in(command).items()}
        commands |= inner or {name: command}
    assert set(sections) == set(commands)
    for name, command in commands.items():
        options = {option for parameter in command.params for option in parameter.opts if option.startswith("--")}
        missing = {option for option in options if not re.search(rf"{option}(?![\w-])", sections[name])}
        assert not missing, f"{name}: {', '.join(sorted(missing))}"


@pytest.mark.parametrize("name", ["glossary.md", "architecture.md"])
def test_the_maps_name_many_places(name: str) -> None:
    assert sum(bool(MEMBER.search(span)) for span in spans_of(ROOT / "docs" / name)) >= 40


def test_the_readme_fits_on_a_few_screens() -> None:
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    assert len(re.sub(r"<!-- \w+: .*?<!-- end -->", "", text, flags=re.DOTALL).encode()) < 7000


@pytest.mark.parametrize("package", ["dfinet", "baselines"])
def test_docstrings_begin_with_a_noun_phrase_or_a_verb(package: str) -> None:
    opening = re.compile(r"(What|Where|How|Whether|Which|Nothing|When)\b|[^\w`]|\w+ \* |[a-z]")
    for path in sorted((ROOT / package).rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef):
                first = (ast.get_docstring(node) or "").partition("\n")[0]
                assert not opening.match(first), f"{path.relative_to(ROOT)}: {first}"
