"""Text from files of unknown origin, made safe to print."""

from __future__ import annotations


def printable(text: object) -> str:
    """The text in one line, quoted if it holds characters that would steer a terminal."""
    text = str(text)
    return text if text.isprintable() else repr(text)
