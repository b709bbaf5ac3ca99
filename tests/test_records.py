"""Typed records: what was written is read back, and anything else is refused with the path of the field."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import pytest

from bench import records
from bench.errors import RecordError
from bench.records import describe_type, fits, from_plain, schema_of, to_plain
from bench.types import RunResult


@dataclass(frozen=True)
class Wheel:
    size: float
    kind: Literal["steel", "wood"] = "steel"


@dataclass(frozen=True)
class Wagon:
    wheels: tuple[Wheel, ...]
    at: tuple[int, int]
    load: Mapping[str, float | None] = field(default_factory=dict)
    pulled_by: Wheel | None = None
    notes: Any = None

    def __post_init__(self) -> None:
        if not self.wheels:
            raise ValueError("a wagon without wheels")


WAGON = Wagon((Wheel(1.5), Wheel(2.0, "wood")), (3, 4), {"hay": 2.5, "coal": None}, Wheel(0.5), {"free": [1]})


def test_a_record_is_read_back() -> None:
    assert from_plain(Wagon, to_plain(WAGON)) == WAGON


def test_a_whole_number_is_taken_where_a_float_is_due() -> None:
    found = from_plain(Wheel, {"size": 2})
    assert found == Wheel(2.0)
    assert type(found.size) is float


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ([], r"^found list, expected an object \(Wagon\)$"),
        ({"wheels": [], "at": [1, 2]}, "^a wagon without wheels$"),
        ({"wheels": [{"size": 1.0}]}, r"^at is None, expected a list of a whole number, a whole number \(Wagon\)$"),
        ({"wheels": [{"size": "1"}], "at": [1, 2]}, "^wheels: 0: size is '1', expected a number$"),
        ({"wheels": [{"size": True}], "at": [1, 2]}, "^wheels: 0: size is True, expected a number$"),
        ({"wheels": [{"size": float("nan")}], "at": [1, 2]}, "^wheels: 0: size is nan, expected a number$"),
        ({"wheels": [{"size": 1, "kind": "tin"}], "at": [1, 2]}, "kind is 'tin', expected 'steel' or 'wood'$"),
        ({"wheels": [{"size": 1}], "at": [1]}, r"^at is \[1\], expected a list of"),
        ({"wheels": [{"size": 1}], "at": [1, 2], "load": 3}, "^load: found int, expected an object$"),
        (
            {"wheels": [{"size": 1}], "at": [1, 2], "load": {"hay": "x"}},
            "^load: hay is 'x', expected a number or none$",
        ),
        ({"wheels": [{"size": 1}], "at": [1, 2], "colour": 1}, "^Wagon has no field colour; was it written by a newer"),
        ({"wheels": [{"size": 1}], "at": [1, 2], "pulled_by": {"sise": 1}}, "^found fields sise, which fit none of"),
    ],
)
def test_other_content_is_refused_by_its_path(content: Any, message: str) -> None:
    with pytest.raises(RecordError, match=message):
        from_plain(Wagon, content)


def test_results_are_read_the_quick_way_as_they_are_with_the_path_of_each_value() -> None:
    files = sorted((Path(__file__).parents[1] / "results").glob("*/result.json"))[:8]
    for content in (json.loads(path.read_text()) for path in files):
        quick = records._reader(RunResult)(content)
        assert repr(quick) == repr(records._checked(RunResult, content, where=""))
    assert len(files) == 8


def test_types_are_checked_and_described() -> None:
    assert fits((1, 2), tuple[int, ...])
    assert not fits((1, 2.0), tuple[int, ...])
    assert not fits(True, int)
    assert describe_type(tuple[int, ...] | None) == "a list of a whole number, … or none"


def test_the_schema_follows_the_same_types() -> None:
    definitions: dict[str, Any] = {}
    assert schema_of(Wagon, definitions) == {"$ref": "#/$defs/Wagon"}
    assert definitions["Wheel"] == {
        "type": "object",
        "properties": {"size": {"type": "number"}, "kind": {"enum": ["steel", "wood"]}},
        "required": ["size", "kind"],
        "additionalProperties": False,
    }
    assert definitions["Wagon"]["properties"]["load"] == {
        "type": "object",
        "additionalProperties": {"anyOf": [{"type": "number"}, {"type": "null"}]},
    }
