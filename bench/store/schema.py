"""The JSON Schema of `result.json`, made from the records.

`python -m bench.store.schema` writes it beside this file.
"""

from __future__ import annotations

import dataclasses
import json
import types
import typing
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from bench.store.files import write_text
from bench.types import SCHEMA_VERSION, RunResult

SCHEMA_FILE = Path(__file__).with_name("result.schema.json")
PLAIN = {int: "integer", float: "number", str: "string", bool: "boolean", type(None): "null"}


def result_schema() -> dict[str, Any]:
    """The schema of a stored result: every record closed, every field required."""
    definitions: dict[str, Any] = {}
    root = _schema(RunResult, definitions)
    definitions["RunResult"]["properties"]["schema"] = {"const": SCHEMA_VERSION}
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "DFINet-Bench result",
        **root,
        "$defs": dict(sorted(definitions.items())),
    }


def _schema(kind: Any, definitions: dict[str, Any]) -> dict[str, Any]:
    origin, arguments = typing.get_origin(kind), typing.get_args(kind)
    if isinstance(kind, type) and dataclasses.is_dataclass(kind):
        return _record(kind, definitions)
    if origin is typing.Literal:
        return {"enum": list(arguments)}
    if origin in (typing.Union, types.UnionType):
        return {"anyOf": [_schema(one, definitions) for one in arguments]}
    if origin is tuple:
        if arguments[-1] is Ellipsis:
            return {"type": "array", "items": _schema(arguments[0], definitions)}
        items = [_schema(one, definitions) for one in arguments]
        return {"type": "array", "prefixItems": items, "minItems": len(items), "maxItems": len(items)}
    if isinstance(origin, type) and issubclass(origin, Mapping):
        return {"type": "object", "additionalProperties": _schema(arguments[1], definitions)}
    return {"type": PLAIN[kind]} if kind in PLAIN else {}


def _record(kind: type, definitions: dict[str, Any]) -> dict[str, Any]:
    if kind.__name__ not in definitions:
        definitions[kind.__name__] = {}
        hints = typing.get_type_hints(kind)
        definitions[kind.__name__] = {
            "type": "object",
            "properties": {name: _schema(hint, definitions) for name, hint in hints.items()},
            "required": list(hints),
            "additionalProperties": False,
        }
    return {"$ref": f"#/$defs/{kind.__name__}"}


if __name__ == "__main__":
    write_text(SCHEMA_FILE, json.dumps(result_schema(), indent=1) + "\n")
