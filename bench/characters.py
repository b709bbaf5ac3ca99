"""Characters that steer a text instead of standing in it: refused in names, shown as code points everywhere else.

They are those of the Unicode categories Cc (line breaks, tabs, escape codes), Cf (bidirectional marks, overrides and
isolates, invisible spaces), Cs (halves of a pair), Zl and Zp (line and paragraph separators), without the two joiners
that scripts need between letters. A label that holds one can look like another label, or reorder the line it stands in.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Mapping
from typing import Any

from bench.errors import RequestError

CATEGORIES = ("Cc", "Cf", "Cs", "Zl", "Zp")
JOINERS = "\u200c\u200d"


def is_steering(letter: str) -> bool:
    """True for a control, format or separator character, which is not seen itself.

    >>> is_steering("\\u202e"), is_steering("é")
    (True, False)
    """
    return unicodedata.category(letter) in CATEGORIES and letter not in JOINERS


def refuse_steering(content: Any, where: str) -> None:
    """Raise RequestError if a text, or any text within lists and mappings, holds a steering character.

    Args:
        where: name of the content, for the message.
    """
    if isinstance(content, str):
        found = next(filter(is_steering, content), "")
        if found:
            name = unicodedata.name(found, "a control character").lower()
            raise RequestError(
                f"{where} is {content!r}, expected printed characters alone; take out U+{ord(found):04X} ({name})"
            )
    elif isinstance(content, Mapping):
        for key, value in content.items():
            refuse_steering(key, f"a name in {where}")
            refuse_steering(value, f"{where}: {key}")
    elif isinstance(content, list | tuple):
        for value in content:
            refuse_steering(value, where)


def show_steering(text: str) -> str:
    """The text with every steering character as its code point, and line breaks and tabs as spaces.

    >>> show_steering("a\\u202eb\\tc")
    'a[U+202E]b c'
    """
    if text.isprintable() or not any(map(is_steering, text)):  # the first is quick, and true of a picture's base64
        return text
    shown = (" " if letter.isspace() else f"[U+{ord(letter):04X}]" for letter in text)
    return "".join(new if is_steering(old) else old for old, new in zip(text, shown, strict=True))
