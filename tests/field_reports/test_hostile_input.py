"""Numbers, files and plugins that no run can use: refused at once, in one line that names the field or the file."""

from __future__ import annotations

import math
import os
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from commands import caller
from fakes import INPUT, RECIPE

from bench.data.catalogue.cards import load_card
from bench.data.catalogue.splits import read_list
from bench.data.images.decode import decode_grey
from bench.data.importing.archives import open_source
from bench.data.importing.convert import Unread, find_unread
from bench.data.importing.verify import verify_folder
from bench.digest import file_digest
from bench.errors import BenchError, CheckpointError, DataError, RequestError, RuleError, SuiteError
from bench.input_files import DEEPEST, parse_json, parse_toml, whole_number
from bench.protocols.resolve import parse_overrides
from bench.registry import load_plugin
from bench.run.gate_reference import read_reference
from bench.scoring.read_map import read_map
from bench.store.files import load_arrays, read_json
from bench.suites.suite import load_suite, parse_limit
from bench.types import Scoring
from bench.weights.read_checkpoint import read_checkpoint

FLOATS = {
    "recipe": (RECIPE, ("lr", "weight_decay", "gamma", "power", "lr_end", "positive_crop")),
    "input": (INPUT, ("mean", "std")),
    "scoring": (Scoring("native"), ("threshold", "distance")),
}


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf, -1.0])
@pytest.mark.parametrize("section", FLOATS)
def test_every_number_of_a_record_has_a_range(section: str, value: float) -> None:
    record, names = FLOATS[section]
    for name in names:
        with pytest.raises(RequestError, match=f"{section}: {name} is {value}, expected"):
            replace(record, **{name: value})


def test_momentum_patience_and_milestones_have_ranges() -> None:
    with pytest.raises(RequestError, match=r"momentum is 1\.0, expected a number in \[0, 1\)"):
        replace(RECIPE, optimiser="sgd", momentum=1.0)
    with pytest.raises(RequestError, match="patience is -1, expected 0 epochs or more"):
        replace(RECIPE, patience=-1)
    with pytest.raises(RequestError, match="expected epochs from 1 on"):
        replace(RECIPE, schedule="multistep", milestones=(0, 3))


@pytest.mark.parametrize("text", ["test=²", "test=٣", "test=-1", "test=1e3", "test=" + "9" * 30, "train=1_0"])
def test_a_limit_is_written_in_plain_digits(text: str) -> None:
    with pytest.raises(SuiteError, match="expected train=N,test=N with N at least 1"):
        parse_limit(text)


def test_whole_numbers_are_of_ascii_digits() -> None:
    assert [whole_number(text) for text in ("0", "12", "²", "٣", "", " 1", "-1")] == [0, 12, *[None] * 5]


@pytest.mark.parametrize(
    ("row", "told"),
    [
        ('label = ""', "'label' of model 'ACM' is '', expected some text"),
        ('label = "  "', "'label' of model 'ACM' is"),
        ("settings = { width = nan }", "settings.width is nan, expected a number"),
        ("settings = { width = inf }", "settings.width is inf, expected a number"),
    ],
)
def test_a_row_of_a_suite_is_refused_by_its_field(tmp_path: Path, row: str, told: str) -> None:
    path = tmp_path / "own.toml"
    path.write_text(f'datasets = ["synthetic"]\n[[row]]\nmodel = "ACM"\n{row}\n')
    with pytest.raises(SuiteError) as refused:
        load_suite(str(path))
    assert told in str(refused.value)


@pytest.mark.parametrize("value", ["-1", "0", "1.5"])
def test_a_setting_that_no_network_can_be_built_with_is_refused_before_the_run(
    value: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "own.toml"
    path.write_text('datasets = ["synthetic"]\n[[row]]\nmodel = "DFINet"\n' + f"settings = {{ width = {value} }}\n")
    call = caller(monkeypatch, capfd)
    refused = call("run", str(path), "--runs", str(tmp_path / "runs"), "--limit", "train=4,test=2", "--mlflow", "off")
    assert refused.code == 2
    assert len(refused.err.splitlines()) == 1
    assert "width" in refused.err


DEEP = {
    "arrays": "a = " + "[" * 5000 + "]" * 5000,
    "dotted": "a" + ".a" * 5000 + " = 1",
    "header": "[a" + ".a" * 5000 + "]",
    "shallow enough to parse": "a = " + "[" * 100 + "]" * 100,
}


@pytest.mark.parametrize("text", DEEP.values(), ids=DEEP)
def test_deep_toml_is_refused_in_one_line(tmp_path: Path, text: str) -> None:
    with pytest.raises(BenchError, match=f"nested deeper than {DEEPEST} levels"):
        parse_toml(text)
    path = tmp_path / "deep.toml"
    path.write_text(text)
    with pytest.raises(SuiteError, match="nested deeper") as refused:
        load_suite(str(path))
    assert len(str(refused.value)) < 300


def test_deep_json_is_refused_and_a_deep_override_is_text() -> None:
    with pytest.raises(BenchError, match="nested deeper"):
        parse_json("[" * 5000)
    with pytest.raises(BenchError, match="nested deeper"):
        parse_json("[" * 100 + "]" * 100)
    assert isinstance(parse_overrides(["recipe.lr=" + "[" * 5000])["recipe.lr"], str)


READERS = {
    "suite": lambda path: load_suite(str(path)),
    "reference": read_reference,
    "checkpoint": read_checkpoint,
    "digest": file_digest,
    "archive": lambda path: open_source(path, path.parent),
    "plugin": load_plugin,
    "list": read_list,
    "image": decode_grey,
    "map": read_map,
    "json": read_json,
    "arrays": load_arrays,
}


@pytest.mark.parametrize("name", READERS)
def test_a_pipe_or_a_device_is_refused_before_it_is_read(tmp_path: Path, name: str) -> None:
    """Reading either would never end."""
    pipe = tmp_path / "pipe.toml"
    os.mkfifo(pipe)
    device = tmp_path / "device.toml"
    device.symlink_to("/dev/zero")
    for path, kind in ((pipe, "a named pipe"), (device, "a device")):
        with pytest.raises((BenchError, OSError), match=f"{kind}, expected a"):
            READERS[name](path)


def test_a_pipe_in_a_folder_is_refused_or_found_before_it_is_read(tmp_path: Path) -> None:
    for name in ("set/images/a.png", "set/masks/a.png"):
        (tmp_path / name).parent.mkdir(parents=True)
        os.mkfifo(tmp_path / name)
    os.mkfifo(tmp_path / "set/list.txt")
    with pytest.raises(DataError, match=r"(a\.png|list\.txt): a named pipe, expected a plain file"):
        open_source(tmp_path / "set", tmp_path)
    found = verify_folder(replace(load_card("NUAA-SIRST"), digests={}), tmp_path / "set")
    assert any("a.png: a named pipe, expected an image" in line for line in found.broken)
    assert find_unread([tmp_path / "set/images/a.png"]) == Unread((), ())


def test_a_limit_that_is_given_twice_is_refused() -> None:
    with pytest.raises(SuiteError, match="--limit 'train=4,train=5': train is given twice, expected it once"):
        parse_limit("train=4,train=5")


def test_a_byte_order_mark_of_an_editor_is_no_part_of_the_text(tmp_path: Path) -> None:
    """Notepad of Windows writes one; TOML and JSON take it for a broken first line."""
    for name, text in (("a.toml", 'datasets = ["synthetic"]\n[[row]]\nmodel = "ACM"\n'), ("a.json", "{}")):
        (tmp_path / name).write_text(text, encoding="utf-8-sig")
    assert load_suite(str(tmp_path / "a.toml")).name == "a"
    assert read_json(tmp_path / "a.json") == {}


def test_a_plugin_that_exits_is_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "leaves.py"
    path.write_text("import sys\nsys.exit(3)\n")
    call = caller(monkeypatch, capfd)
    refused = call("list", "models", "--plugin", str(path))
    assert (refused.code, refused.err) == (2, f"error: plugin {path}: SystemExit: 3\n")


LEAVES = """
import sys

import torch

from bench import Segmenter, model

class Leaves(Segmenter):
    def __init__(self, channels):
        super().__init__()
        self.conv = torch.nn.Conv2d(channels, 1, 1)

    def forward(self, image, start=None):
        sys.exit(5)

@model("Leaves", cite="none", source="none", licence="none", recipe="basicirstd", channels=1)
def build(channels=1):
    return Leaves(channels)
"""


def test_a_network_that_exits_in_training_fails_its_row_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    plugin, suite = tmp_path / "leaves.py", tmp_path / "own.toml"
    plugin.write_text(LEAVES)
    suite.write_text('datasets = ["synthetic"]\n[set]\n"recipe.epochs" = 1\n[[row]]\nmodel = "Leaves"\n')
    call = caller(monkeypatch, capfd)
    words = ("--runs", str(tmp_path / "runs"), "--limit", "train=4,test=2", "--mlflow", "off", "--plugin", str(plugin))
    made = call("run", str(suite), *words)
    assert made.code == 1
    assert "the model called sys.exit(5)" in made.err + made.out


def test_a_checkpoint_of_more_dimensions_than_any_tensor_has_is_refused(tmp_path: Path) -> None:
    header = b'{"a":{"dtype":"F32","shape":[' + b",".join([b"1"] * 100) + b'],"data_offsets":[0,4]}}'
    path = tmp_path / "odd.safetensors"
    path.write_bytes(len(header).to_bytes(8, "little") + header + bytes(4))
    with pytest.raises(CheckpointError) as refused:
        read_checkpoint(path)
    assert len(str(refused.value).splitlines()) == 1


def test_a_checkpoint_with_compressed_parts_is_refused_unread(tmp_path: Path) -> None:
    import zipfile

    torch.save({"a": torch.zeros(2**16)}, tmp_path / "plain.pth")
    with zipfile.ZipFile(tmp_path / "plain.pth") as source, zipfile.ZipFile(tmp_path / "packed.pth", "w", 8) as packed:
        for name in source.namelist():
            packed.writestr(name, source.read(name))
    with pytest.raises(CheckpointError, match="holds compressed or overlapping parts"):
        read_checkpoint(tmp_path / "packed.pth")


def test_an_override_is_refused_by_its_path() -> None:
    from bench.protocols.resolve import fitted

    with pytest.raises(RuleError, match=r"recipe\.weight_decay is nan, expected a number"):
        fitted(math.nan, float, path="recipe.weight_decay")
