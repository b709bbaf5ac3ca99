"""The JSON Schema of `result.json`, made from the records.

`python -m bench.store.schema` writes it beside this file.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from bench.records import schema_of
from bench.store.files import write_text
from bench.types import SCHEMA_VERSION, RunResult

SCHEMA_FILE = Path(__file__).with_name("result.schema.json")


def result_schema() -> dict[str, Any]:
    """The schema of a stored result: every record closed, every field required."""
    definitions: dict[str, Any] = {}
    root = schema_of(RunResult, definitions)
    definitions["RunResult"]["properties"]["schema"] = {"const": SCHEMA_VERSION}
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "DFINet-Bench result",
        **root,
        "$defs": dict(sorted(definitions.items())),
    }


if __name__ == "__main__":
    write_text(SCHEMA_FILE, json.dumps(result_schema(), indent=1) + "\n")
