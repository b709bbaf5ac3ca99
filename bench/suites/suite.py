"""Suites: TOML files that name networks, datasets and a protocol.

title = "Comparison on synthetic frames"
protocol = "native"
datasets = ["synthetic"]
seeds = [42]
allow_leak = true                      # run although test images are learnt from; every table then says so
corruptions = ["drift", "defocus@3"]     # test images corrupted, too: kinds (all five levels), `kind@level`, or "all"
columns = ["IoU/pooled", "AP/pixels"]   # metric ids of the tables' columns; default IoU, nIoU, F1, Pd and Fa
mixed = "mark"                         # tables hold rows under different rules, each marked; default "refuse"
absent = "leave-out"                   # rows of datasets whose images are not there get a dash; default "refuse"
splits = { NUAA-SIRST = "sirst-v1" }   # other splits than the protocol's
plugins = ["my_net.py"]                # Python files that register models or metrics, relative to the suite's file
trained_on = ["synthetic-sky"]         # every row learns from each of these and is tested on every dataset

[set]                                  # replaces fields of the protocol's records
"recipe.epochs" = 20

[[row]]
model = "DFINet"
label = "DFINet (width 8)"             # default: the model's name
settings = { width = 8 }               # the builder's arguments
set = { "recipe.lr" = 1e-3, start = "zeros" }  # for this row alone
weights = "dfinet.safetensors"         # given weights, relative to the suite's file, or the name of a published
                                       # checkpoint (dfinet-bench list weights); nothing is trained
protocol = "lesps"                     # for this row alone, as are:
datasets = ["synthetic"]               # some of the suite's
splits = { synthetic = "bench" }
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, get_args

from bench.characters import refuse_steering
from bench.data.images.corruptions import ALL, corruption_names
from bench.errors import BenchError, RecordError, SuiteError, UnknownNameError
from bench.input_files import parse_toml, read_utf8, whole_number
from bench.records import fits, show_value
from bench.registry import unknown
from bench.types import Absent, Mixed, Setting
from bench.weights.catalogue import PublishedWeights, weights_catalogue

SUITE_FIELDS = (
    "title",
    "protocol",
    "datasets",
    "seeds",
    "allow_leak",
    "corruptions",
    "trained_on",
    "columns",
    "mixed",
    "absent",
    "plugins",
    "splits",
    "set",
    "row",
)
ROW_FIELDS = ("model", "label", "settings", "set", "weights", "protocol", "datasets", "splits")
SUITE_FOLDER = Path(__file__).parent


@dataclass(frozen=True)
class SuiteRow:
    """One network of a suite, with what is particular to it.

    Attributes:
        weights: file of given weights.
        published: the published checkpoint that stands in its place.
        protocol, datasets, splits: its own; empty for the suite's.
    """

    model: str
    label: str
    settings: Mapping[str, Setting] = field(default_factory=dict)
    overrides: Mapping[str, Any] = field(default_factory=dict)
    weights: Path | None = None
    published: PublishedWeights | None = None
    protocol: str = ""
    datasets: tuple[str, ...] = ()
    splits: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        refuse_steering(vars(self), "row")

    @property
    def is_given(self) -> bool:
        """True if its weights are given, so that nothing is trained."""
        return self.weights is not None or self.published is not None


@dataclass(frozen=True)
class Suite:
    """A suite as its file says it.

    Attributes:
        corruptions: of the test images, the clean ones (empty) first; by default these alone.
        trained_on: what each row that learns anything learns from, one after the other; empty: each dataset from its
            own training list.
        columns: metric ids of the tables' columns; empty for the default ones.
        mixed: what a report does with a table that would mix rules on one dataset.
        absent: what a run does about a dataset whose images are not there: nothing of the suite runs, or all the rest.
        plugins: Python files that register what it names.
        splits: dataset to split, where it is not the protocol's.
    """

    name: str
    title: str
    protocol: str
    datasets: tuple[str, ...]
    seeds: tuple[int, ...]
    rows: tuple[SuiteRow, ...]
    overrides: Mapping[str, Any] = field(default_factory=dict)
    allow_leak: bool = False
    corruptions: tuple[str, ...] = ("",)
    trained_on: tuple[str, ...] = ()
    columns: tuple[str, ...] = ()
    mixed: Mixed = "refuse"
    absent: Absent = "refuse"
    plugins: tuple[Path, ...] = ()
    splits: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        refuse_steering(vars(self), "suite")


@dataclass(frozen=True)
class Limit:
    """Number of images in a trial: of each training list (the held-out part included) and of each test list."""

    train: int | None = None
    test: int | None = None


def suite_names() -> tuple[str, ...]:
    """Names of the suites that come with the project."""
    return tuple(sorted(path.stem for path in SUITE_FOLDER.glob("*.toml")))


def load_suite(name_or_path: str) -> Suite:
    """The suite of that name, or in that TOML file.

    Raises:
        SuiteError: naming the file and what is wrong in it.
    """
    path = Path(name_or_path)
    if path.suffix != ".toml":
        if name_or_path not in suite_names():
            advice = "a suite of your own is named by its file, which ends in .toml"
            raise SuiteError(unknown("suite", name_or_path, suite_names(), advice=advice))
        path = SUITE_FOLDER / f"{name_or_path}.toml"
    try:
        content = parse_toml(read_utf8(path))
    except FileNotFoundError as error:
        raise SuiteError(f"{path}: not a readable TOML file (a folder)" if path.is_dir() else str(error)) from None
    except (RecordError, OSError) as error:
        raise SuiteError(f"{path}: not a readable TOML file ({error})") from None
    try:
        return _suite_from(content, path=path)
    except BenchError as error:
        raise SuiteError(f"{path}: {error}") from None


def _suite_from(content: Mapping[str, Any], *, path: Path) -> Suite:
    if not re.fullmatch(r"[A-Za-z0-9][\w.-]*", path.stem):
        raise SuiteError(f"the file's name {path.stem!r} becomes a folder: use letters, digits, '.', '_' and '-'")
    _refuse_unknown(content, SUITE_FIELDS, where="suite")
    rows = _typed(content, "row", list, default=[])
    if not rows:
        raise SuiteError("no [[row]]: a suite names at least one model")
    suite = Suite(
        name=path.stem,
        title=_typed(content, "title", str, default=path.stem),
        protocol=_typed(content, "protocol", str, default="native"),
        datasets=_items(content, "datasets", str),
        seeds=_seeds(content),
        rows=tuple(_row_from(row, folder=path.parent) for row in rows),
        overrides=_typed(content, "set", dict, default={}),
        allow_leak=_typed(content, "allow_leak", bool, default=False),
        corruptions=_corruptions(content),
        trained_on=_items(content, "trained_on", str) if "trained_on" in content else (),
        columns=_items(content, "columns", str) if "columns" in content else (),
        mixed=_choice(content, "mixed", Mixed),
        absent=_choice(content, "absent", Absent),
        plugins=tuple(path.parent / each for each in _items(content, "plugins", str)) if "plugins" in content else (),
        splits=_splits(content),
    )
    labels = [row.label for row in suite.rows]
    for row in suite.rows:
        if absent := [name for name in row.datasets if name not in suite.datasets]:
            raise SuiteError(f"row {row.label!r}: dataset {absent[0]!r} is none of the suite's; add it to 'datasets'")
    if twice := sorted({label for label in labels if labels.count(label) > 1}):
        raise SuiteError(f"two rows are labelled {twice[0]!r}; give each its own label")
    return suite


def _row_from(row: Any, *, folder: Path) -> SuiteRow:
    if not isinstance(row, dict):
        raise SuiteError(f"found row = {row!r}, expected [[row]] tables")
    _refuse_unknown(row, ROW_FIELDS, where="row")
    model = _typed(row, "model", str)
    weights = _typed(row, "weights", str, default="")
    published = weights_catalogue().get(weights)
    if re.fullmatch(r"[\w-]+", weights) and published is None and not (folder / weights).is_file():
        advice = unknown("published checkpoint", weights, weights_catalogue())
        raise SuiteError(f"weights {weights!r}: no such file, and {advice}")
    if published is not None and published.model != model:
        raise SuiteError(f"weights {weights!r} are of {published.model}, not of model {model!r}")
    return SuiteRow(
        model=model,
        label=_label(row, model),
        settings=read_settings(row),
        overrides=_typed(row, "set", dict, default={}),
        weights=folder / weights if weights and published is None else None,
        published=published,
        protocol=_typed(row, "protocol", str, default=""),
        datasets=_items(row, "datasets", str) if "datasets" in row else (),
        splits=_splits(row),
    )


def _label(row: Mapping[str, Any], model: str) -> str:
    label: str = _typed(row, "label", str, default=model)
    if not label.strip():
        raise SuiteError(
            f"'label' of model {model!r} is {label!r}, expected some text; leave it out for the model's name"
        )
    return label


def _splits(content: Mapping[str, Any]) -> dict[str, str]:
    splits: dict[str, str] = _typed(content, "splits", dict, default={})
    for name in splits:
        _typed(splits, name, str)
    return splits


def _choice(content: Mapping[str, Any], name: str, words: Any) -> Any:
    found = content.get(name, "refuse")
    if not fits(found, words):
        raise SuiteError(f"{name!r} is {found!r}, expected {' or '.join(get_args(words))}")
    return found


def read_settings(row: Mapping[str, Any]) -> dict[str, Setting]:
    settings: dict[str, Setting] = _typed(row, "settings", dict, default={})
    for name, value in settings.items():
        if not isinstance(value, bool | int | float | str) or (isinstance(value, float) and not math.isfinite(value)):
            raise SuiteError(f"settings.{name} is {show_value(value)}, expected a number, text or true/false")
    return settings


def _seeds(content: Mapping[str, Any]) -> tuple[int, ...]:
    return _in_range(_items(content, "seeds", int, default=[42]), "'seeds'")


def _in_range(seeds: tuple[int, ...], name: str) -> tuple[int, ...]:
    if min(seeds) < 0 or max(seeds) >= 2**32:
        raise SuiteError(f"{name} is {list(seeds)}, expected whole numbers from 0 to 4294967295")
    return seeds


def _corruptions(content: Mapping[str, Any]) -> tuple[str, ...]:
    """The corruptions of the test images, clean images first."""
    found = content.get("corruptions", [])
    words = [ALL] if found == ALL else _typed({"corruptions": found}, "corruptions", list)
    try:
        return corruption_names([_typed({"corruptions": word}, "corruptions", str) for word in words])
    except UnknownNameError as error:
        raise SuiteError(f"'corruptions': {error}") from None


def _refuse_unknown(content: Mapping[str, Any], known: Sequence[str], *, where: str) -> None:
    for name in content:
        if name not in known:
            raise SuiteError(unknown(f"field of a {where}", name, known))


def _typed(content: Mapping[str, Any], name: str, kind: type, default: Any = None) -> Any:
    value = content.get(name, default)
    if value is None:
        raise SuiteError(f"{name!r} is missing")
    if not isinstance(value, kind) or (kind is int and isinstance(value, bool)):
        raise SuiteError(f"{name!r} is {show_value(value)}, expected {kind.__name__}")
    return value


def _items(content: Mapping[str, Any], name: str, kind: type, default: Any = None) -> tuple[Any, ...]:
    values = _typed(content, name, list, default)
    if not values or len(set(map(repr, values))) != len(values):
        raise SuiteError(f"{name!r} is {values!r}, expected a list of different values, at least one")
    return tuple(_typed({name: value}, name, kind) for value in values)


def restricted(
    suite: Suite,
    *,
    datasets: Sequence[str] = (),
    corruptions: Sequence[str] = (),
    trained_on: Sequence[str] = (),
    seeds: Sequence[int] = (),
) -> Suite:
    """The suite on other datasets, corruptions, training sets and seeds than its own, where any are given.

    Of a suite with training sets, other datasets become these as well, unless others are given. Rows that have
    datasets of their own keep those that are left, and rows without any are left out.

    Raises:
        SuiteError: with suggestions, when there is no such corruption; when a seed is out of range; or when no row is
            left.
    """
    sources = trained_on or (datasets if suite.trained_on else ()) or suite.trained_on
    try:
        names = corruption_names(corruptions) if corruptions else suite.corruptions
    except UnknownNameError as error:
        raise SuiteError(f"--corruption: {error}") from None
    left = [
        replace(row, datasets=tuple(name for name in row.datasets if name in datasets)) if datasets else row
        for row in suite.rows
        if not datasets or not row.datasets or set(row.datasets) & set(datasets)
    ]
    if not left:
        raise SuiteError(f"suite {suite.name}: no row is of {', '.join(datasets)}, each has datasets of its own")
    return replace(
        suite,
        rows=tuple(left),
        datasets=tuple(dict.fromkeys(datasets or suite.datasets)),
        corruptions=names,
        trained_on=tuple(dict.fromkeys(sources)),
        seeds=_in_range(tuple(dict.fromkeys(seeds)), "--seed") if seeds else suite.seeds,
    )


def suite_stem(name_or_path: str) -> str:
    """A suite's name, given the name or its TOML file."""
    return Path(name_or_path).stem if name_or_path.endswith(".toml") else name_or_path


def stored_suite(name_or_path: str, root: Path) -> str:
    """The name of a suite that was run below `root`, or of one of the project that can be.

    Raises:
        UnknownNameError: with suggestions, when it is neither.
    """
    name = suite_stem(name_or_path)
    run = [path.stem for path in (root / "suites").glob("*.json")]
    if name not in (*run, *suite_names()):
        advice = "run the suite first, or name the folder of its results with --from"
        raise UnknownNameError(unknown(f"suite in {root}", name, run, advice=advice))
    return name


def parse_limit(text: str) -> Limit:
    """`train=32,test=32`, or either alone.

    Raises:
        SuiteError: for anything else.
    """
    found: dict[str, int] = {}
    for word in filter(None, (part.strip() for part in text.split(","))):
        name, _, number = word.partition("=")
        if name not in ("train", "test") or not (count := whole_number(number)):
            raise SuiteError(f"--limit {text!r}: expected train=N,test=N with N at least 1")
        if name in found:
            raise SuiteError(f"--limit {text!r}: {name} is given twice, expected it once")
        found[name] = count
    if found.get("train", 2) < 2:
        raise SuiteError("--limit: train must be at least 2, one image to learn from and one to hold out")
    return Limit(**found)
