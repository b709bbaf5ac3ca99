"""Cells of CSV files: formulas are guarded, numbers stay numbers, and reading gives back what was written."""

from __future__ import annotations

import csv

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.csv_cells import guard_cell, to_csv, unguard_cell

NUMBERS = ("-0.5", "+1.25", "-3e-06", "1E+5", "-.5", "-7", "12", "+0.10")


@pytest.mark.parametrize("text", NUMBERS)
def test_a_number_stays_a_number(text: str) -> None:
    assert guard_cell(text) == text
    assert float(guard_cell(text)) == float(text)


@pytest.mark.parametrize("text", ["=1+1", "+1+1", "-2+3", "@SUM(A1)", " =1", "＝1", "-x", "=-0.5", "-1 ± 2", "--1"])
def test_a_formula_is_guarded_and_read_back(text: str) -> None:
    assert guard_cell(text) == f"'{text}"
    assert unguard_cell(guard_cell(text)) == text


def test_a_tab_before_a_formula_does_not_hide_it() -> None:
    assert guard_cell("\t=1") == "' =1"
    assert guard_cell("\r@x") == "' @x"


def test_values_that_are_no_text_are_written_as_themselves() -> None:
    assert to_csv([["a", -0.5, None, True], [-1, "=x", "a,b", ""]]) == 'a,-0.5,,True\n-1,\'=x,"a,b",\n'


@given(st.text(alphabet="'=+-@ 1.ex＝", max_size=6))
def test_every_text_is_read_as_it_was_given_and_none_begins_as_a_formula(text: str) -> None:
    ((cell,),) = csv.reader([to_csv([[text]]).removesuffix("\n")]) if text else (("",),)
    assert unguard_cell(cell) == text
    assert cell.strip()[:1] not in ("=", "@", "＝")
    if cell.strip()[:1] in ("+", "-"):
        float(cell)
