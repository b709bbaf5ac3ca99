"""Jinja environments of the report's templates: HTML, which escapes every value, and LaTeX, with its own delimiters."""

from __future__ import annotations

from functools import cache

from jinja2 import Environment, PackageLoader, StrictUndefined, select_autoescape


@cache
def html_templates() -> Environment:
    """Templates that escape every value for HTML."""
    return Environment(
        loader=PackageLoader("reports"),
        autoescape=select_autoescape(enabled_extensions=("html.j2",), default=True),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )


@cache
def latex_templates() -> Environment:
    """Templates for LaTeX, with `((( value )))` and `((* statement *))`; callers escape the values."""
    return html_templates().overlay(
        autoescape=False,
        block_start_string="((*",
        block_end_string="*))",
        variable_start_string="(((",
        variable_end_string=")))",
        comment_start_string="((=",
        comment_end_string="=))",
    )
