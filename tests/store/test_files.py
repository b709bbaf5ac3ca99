"""Files: written whole or not at all, read back equal, refused in one line when broken."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import jsonschema
import numpy as np
import pytest
from records import EXPERIMENT, RESULT, ROW

from bench.errors import StoreError
from bench.store.files import (
    ArrayWriter,
    Manifest,
    load_arrays,
    read_manifest,
    read_result,
    to_plain,
    write_arrays,
    write_json,
    write_manifest,
    write_result,
    write_text,
)
from bench.store.schema import SCHEMA_FILE, result_schema
from bench.types import Weights


def test_a_result_reads_back_equal(tmp_path: Path) -> None:
    write_result(tmp_path, RESULT)
    assert read_result(tmp_path) == RESULT


def test_a_result_of_given_weights_reads_back_equal(tmp_path: Path) -> None:
    given = replace(RESULT, experiment=replace(EXPERIMENT, weights=Weights("ACM", sha256="0" * 64, path="x")))
    write_result(tmp_path, given)
    assert read_result(tmp_path) == given


def test_a_manifest_reads_back_equal(tmp_path: Path) -> None:
    manifest = Manifest("quick", "Title", rows=(ROW, ROW), limited=True)
    write_manifest(tmp_path, manifest)
    assert read_manifest(tmp_path, "quick") == manifest


def test_the_stored_schema_is_the_records_schema() -> None:
    assert json.loads(SCHEMA_FILE.read_text()) == result_schema(), "run python -m bench.store.schema"


def test_a_stored_result_satisfies_the_schema_and_a_changed_one_does_not() -> None:
    content = json.loads(json.dumps(to_plain(RESULT)))
    jsonschema.validate(content, result_schema())
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate({**content, "status": "perhaps"}, result_schema())
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate({**content, "extra": 1}, result_schema())


def test_a_killed_write_leaves_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "counts.npz"
    write_arrays(path, {"a": np.arange(3)})

    def write_and_die() -> None:
        with ArrayWriter(path) as writer:
            writer.add("a", np.arange(4))
            raise RuntimeError("killed")

    with pytest.raises(RuntimeError, match="killed"):
        write_and_die()
    assert load_arrays(path)["a"].tolist() == [0, 1, 2]
    assert [p.name for p in tmp_path.iterdir()] == ["counts.npz"]


def test_arrays_read_back_equal_and_the_file_is_the_same_every_time(tmp_path: Path) -> None:
    arrays = {"q": np.arange(6, dtype=np.uint16).reshape(2, 3), "names": np.array(["a", "b ü"])}
    first, second = write_arrays(tmp_path / "1.npz", arrays), write_arrays(tmp_path / "2.npz", arrays)
    loaded = load_arrays(first)
    assert loaded["q"].dtype == np.uint16
    assert np.array_equal(loaded["q"], arrays["q"])
    assert loaded["names"].tolist() == ["a", "b ü"]
    assert first.read_bytes() == second.read_bytes()


def test_arrays_that_would_run_code_are_refused(tmp_path: Path) -> None:
    np.savez(tmp_path / "evil.npz", a=np.array([{"an": "object"}], dtype=object))
    with pytest.raises(StoreError, match=r"evil\.npz"):
        load_arrays(tmp_path / "evil.npz")


def test_a_nan_never_gets_into_a_json_file(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="JSON"):
        write_json(tmp_path / "x.json", {"value": float("nan")})
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("content", "named"),
    [
        ("", "not a JSON file"),
        ("[]", "schema None"),
        ('{"schema": 99}', "schema 99"),
        ('{"schema": 1}', "RunResult"),
        ('{"schema": 1, "surprise": 2}', "surprise"),
    ],
)
def test_a_broken_result_is_named_in_one_line(tmp_path: Path, content: str, named: str) -> None:
    write_text(tmp_path / "result.json", content)
    with pytest.raises(StoreError, match=named) as caught:
        read_result(tmp_path)
    assert "result.json" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_suite_that_was_never_run_says_which_were(tmp_path: Path) -> None:
    write_manifest(tmp_path, Manifest("quick", "Title", rows=()))
    with pytest.raises(StoreError, match=r"dfinet-bench run table-main.*quick"):
        read_manifest(tmp_path, "table-main")
