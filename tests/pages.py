"""The Markdown pages of the project, and what they hold: code blocks, code spans, links and headings."""

from __future__ import annotations

import re
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parents[1]
PAGES = (ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md")))


class Block(NamedTuple):
    """A fenced block of code, with the language behind its fence."""

    language: str
    text: str

    @property
    def file(self) -> str:
        """The file name in the comment on its first line, or nothing."""
        named = re.match(r"# (\w+\.(?:py|toml))\n", self.text)
        return named[1] if named else ""


def blocks_of(page: Path) -> list[Block]:
    """The fenced blocks of a page."""
    text = page.read_text(encoding="utf-8")
    return [Block(*found) for found in re.findall(r"^```(\w*)\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)]


def prose_of(page: Path) -> str:
    """A page without its fenced blocks."""
    return re.sub(r"^```.*?^```$", "", page.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL)


def spans_of(page: Path) -> list[str]:
    """The code spans of a page's prose, each in one line."""
    return [" ".join(found.split()) for found in re.findall(r"`([^`]+)`", prose_of(page))]


def links_of(page: Path) -> list[str]:
    """Targets of the links and pictures of a page."""
    return re.findall(r"\]\(([^)\s]+)\)", prose_of(page))


def anchors_of(page: Path) -> set[str]:
    """The anchors of a page's headings, as GitHub makes them."""
    headings = re.findall(r"^#+ (.+)$", prose_of(page), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def commands_of(page: Path) -> list[str]:
    """Every `dfinet-bench …` that a page names, in blocks and in prose, without remarks behind it."""
    lines = [line for block in blocks_of(page) for line in block.text.splitlines()]
    parts = [part for line in [*lines, *spans_of(page)] for part in re.split(r"&&|\s#\s|\s{3,}", line)]
    found = (re.search(r"(?:^|/|\s)dfinet-bench((?:\s.*)?)$", part.strip()) for part in parts)
    return [match[1].strip() for match in found if match]
