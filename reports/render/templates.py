"""Jinja environments of the report's templates: HTML, which escapes every value, and LaTeX, with its own delimiters."""

from __future__ import annotations

from functools import cache

from jinja2 import Environment, PackageLoader, StrictUndefined, select_autoescape
from markupsafe import Markup

from bench.characters import show_steering


@cache
def html_templates() -> Environment:
    """Templates that escape every value for HTML, its steering characters as code points."""
    return Environment(
        loader=PackageLoader("reports"),
        autoescape=select_autoescape(enabled_extensions=("html.j2",), default=True),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=_shown,
    )


def _shown(value: object) -> object:
    """A text without steering characters; what a macro has rendered is markup, and stays."""
    return show_steering(value) if isinstance(value, str) and not isinstance(value, Markup) else value


@cache
def latex_templates() -> Environment:
    """Templates for LaTeX, with `((( value )))` and `((* statement *))`; callers escape the values."""
    return html_templates().overlay(
        autoescape=False,
        finalize=None,
        block_start_string="((*",
        block_end_string="*))",
        variable_start_string="(((",
        variable_end_string=")))",
        comment_start_string="((=",
        comment_end_string="=))",
    )
