"""Plain text as LaTeX source that prints it letter by letter."""

from __future__ import annotations

import re
import unicodedata

SPECIAL = {
    "\\": r"\textbackslash{}",
    "{": r"\{",
    "}": r"\}",
    "$": r"\$",
    "&": r"\&",
    "%": r"\%",
    "#": r"\#",
    "_": r"\_",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
    '"': r"\symbol{34}",
    "'": r"\textquotesingle{}",
    "`": r"\textasciigrave{}",
    "—": r"\textemdash{}",
    "–": r"\textendash{}",
    "…": r"\ldots{}",
    "’": "'",
    "×": r"\ensuremath{\times}",
    "±": r"\ensuremath{\pm}",
    "·": r"\ensuremath{\cdot}",
    "≤": r"\ensuremath{\leq}",
    "≥": r"\ensuremath{\geq}",
    "→": r"\ensuremath{\rightarrow}",
    "↑": r"\ensuremath{\uparrow}",
    "↓": r"\ensuremath{\downarrow}",
    "†": r"\ensuremath{\dagger}",
    "‡": r"\ensuremath{\ddagger}",
    "§": r"\S{}",
    "¶": r"\P{}",
    "−": r"\ensuremath{-}",
    "✓": r"\ding{51}",
    "✗": r"\ding{55}",
    "⁻": r"\ensuremath{^{-}}",
    "²": r"\ensuremath{^{2}}",
    "⁶": r"\ensuremath{^{6}}",
    "µ": r"\ensuremath{\mu}",
}
PLAIN = re.compile(r"[ A-Za-z0-9.:;()\[\]+/=]*")
"""A text that is its own source, as most numbers and labels are."""

GREEK_LETTERS = "αβγδεζηθικλμνξπρστυφχψωΓΔΘΛΞΠΣΦΨΩ"
LATIN = frozenset("ÀÁÂÃÄÅÆÇÈÉÊËÌÍÎÏÑÒÓÔÕÖØÙÚÛÜÝßàáâãäåæçèéêëìíîïñòóôõöøùúûüýÿŁłŃńŚśŹźŻżĄąĘęĆćČčŠšŽžŘřĚěŐőŰűĞğ")


def escape(text: str) -> str:
    """Escape a text for LaTeX. Letters that pdflatex has no glyph for stay as they are, see `letters_beyond_pdflatex`.

    >>> escape("50 % of a_b")
    '50 \\\\% of a\\\\_b'
    """
    if PLAIN.fullmatch(text):
        return text
    escaped = "".join(_escape_letter(letter) for letter in unicodedata.normalize("NFC", text))
    return re.sub(r"(?<=-)(?=-)|(?<=,)(?=,)", "{}", escaped)  # pdflatex would join -- and ,, into other characters


def _escape_letter(letter: str) -> str:
    if letter in SPECIAL:
        return SPECIAL[letter]
    if letter in GREEK_LETTERS:
        return _greek(letter)
    if " " <= letter <= "~" or letter in LATIN:
        return letter
    if letter.isspace() or not letter.isprintable():
        return " "
    return letter


def letters_beyond_pdflatex(source: str) -> str:
    """The different letters of an escaped text that need lualatex or xelatex, in the order of their code points.

    >>> letters_beyond_pdflatex(escape("Å, μ, 我们的"))
    '们我的'
    """
    return "".join(sorted({letter for letter in source if letter > "~" and letter not in LATIN}))


def _greek(letter: str) -> str:
    """`\\ensuremath{\\alpha}` for α: LaTeX names the macro like the last word of the letter's Unicode name."""
    name = unicodedata.name(letter).split()[-1].replace("LAMDA", "LAMBDA")
    return rf"\ensuremath{{\{name.capitalize() if letter.isupper() else name.lower()}}}"
