"""Suites: TOML files that say which networks meet which datasets under which protocol, and what they expand to.

title = "Comparison on synthetic frames"
protocol = "native"
datasets = ["synthetic"]
seeds = [42]
allow_leak = true                      # run although test images are learnt from; every table then says so
corruptions = ["drift", "defocus@3"]     # test images corrupted, too: kinds (all five levels), `kind@level`, or "all"
columns = ["IoU/pooled", "AP/pixels"]   # metric ids of the tables' columns; default IoU, nIoU, F1, Pd and Fa
trained_on = ["synthetic-sky"]         # every row learns from each of these and is tested on every dataset

[set]                                  # replaces fields of the protocol's records
"recipe.epochs" = 20

[[row]]
model = "DFINet"
label = "DFINet (width 8)"             # default: the model's name
settings = { width = 8 }               # the builder's arguments
set = { "recipe.lr" = 1e-3, start = "zeros" }  # for this row alone
weights = "dfinet.safetensors"         # given weights, relative to the suite's file; nothing is trained
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

from bench.data.catalogue.cards import Card, load_card
from bench.data.catalogue.splits import image_list
from bench.data.images.corruptions import ALL, corruption_names
from bench.digest import file_digest
from bench.errors import BenchError, SuiteError, UnknownNameError
from bench.metrics.registry import metric_info
from bench.protocols.protocols import PROTOCOLS
from bench.protocols.resolve import Rules, resolve_rules
from bench.registry import unknown
from bench.store.files import Manifest
from bench.suites.leak_check import count_leaked, refuse_shared_images
from bench.types import (
    TUNED,
    Config,
    Experiment,
    ImageList,
    Method,
    ModelInfo,
    Protocol,
    Row,
    Setting,
    Training,
    Weights,
    freeze_config,
)

SUITE_FIELDS = (
    "title",
    "protocol",
    "datasets",
    "seeds",
    "allow_leak",
    "corruptions",
    "trained_on",
    "columns",
    "set",
    "row",
)
SUITE_FOLDER = Path(__file__).parent
HELD_OUT_SHARE = 0.2


@dataclass(frozen=True)
class SuiteRow:
    """One network of a suite, with what is particular to it."""

    model: str
    label: str
    settings: Mapping[str, Setting] = field(default_factory=dict)
    overrides: Mapping[str, Any] = field(default_factory=dict)
    weights: Path | None = None


@dataclass(frozen=True)
class Suite:
    """A suite as its file says it.

    Attributes:
        corruptions: of the test images, the clean ones (empty) first; by default these alone.
        trained_on: what each row that learns anything learns from, one after the other; empty: each dataset from its
            own training list.
        columns: metric ids of the tables' columns; empty for the default ones.
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


@dataclass(frozen=True)
class Limit:
    """How many images a trial takes: of each training list (the part held out included) and of each test list."""

    train: int | None = None
    test: int | None = None


@dataclass(frozen=True)
class Job:
    """One experiment of a suite, resolved, with what judges it and what tables call it."""

    row: Row
    experiment: Experiment


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
            raise SuiteError(unknown("suite", name_or_path, suite_names()))
        path = SUITE_FOLDER / f"{name_or_path}.toml"
    try:
        content = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise SuiteError(f"{path}: no such file") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, OSError) as error:
        raise SuiteError(f"{path}: not a readable TOML file ({error})") from None
    try:
        return _suite_from(content, path=path)
    except SuiteError as error:
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
    )
    labels = [row.label for row in suite.rows]
    if twice := sorted({label for label in labels if labels.count(label) > 1}):
        raise SuiteError(f"two rows are labelled {twice[0]!r}; give each its own label")
    return suite


def _row_from(row: Any, *, folder: Path) -> SuiteRow:
    if not isinstance(row, dict):
        raise SuiteError(f"found row = {row!r}, expected [[row]] tables")
    _refuse_unknown(row, ("model", "label", "settings", "set", "weights"), where="row")
    model = _typed(row, "model", str)
    weights = _typed(row, "weights", str, default="")
    return SuiteRow(
        model=model,
        label=_typed(row, "label", str, default=model),
        settings=_settings(row),
        overrides=_typed(row, "set", dict, default={}),
        weights=folder / weights if weights else None,
    )


def _settings(row: Mapping[str, Any]) -> dict[str, Setting]:
    settings: dict[str, Setting] = _typed(row, "settings", dict, default={})
    for name, value in settings.items():
        if not isinstance(value, bool | int | float | str):
            raise SuiteError(f"settings.{name} is {value!r}, expected a number, text or true/false")
    return settings


def _seeds(content: Mapping[str, Any]) -> tuple[int, ...]:
    seeds = _items(content, "seeds", int, default=[42])
    if min(seeds) < 0 or max(seeds) >= 2**32:
        raise SuiteError(f"'seeds' is {list(seeds)}, expected whole numbers from 0 to 4294967295")
    return seeds


def _corruptions(content: Mapping[str, Any]) -> tuple[str, ...]:
    """What is done to the test images, the clean ones first."""
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
        raise SuiteError(f"{name!r} is {value!r}, expected {kind.__name__}")
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
) -> Suite:
    """The suite on other datasets, corruptions and training sets than its own, where any are given.

    Of a suite with training sets, other datasets become these as well, unless others are given.

    Raises:
        SuiteError: with suggestions, when there is no such corruption.
    """
    sources = trained_on or (datasets if suite.trained_on else ()) or suite.trained_on
    try:
        names = corruption_names(corruptions) if corruptions else suite.corruptions
    except UnknownNameError as error:
        raise SuiteError(f"--corruption: {error}") from None
    return replace(
        suite,
        datasets=tuple(dict.fromkeys(datasets or suite.datasets)),
        corruptions=names,
        trained_on=tuple(dict.fromkeys(sources)),
    )


def suite_stem(name_or_path: str) -> str:
    """A suite's name, given the name or its TOML file."""
    return Path(name_or_path).stem if name_or_path.endswith(".toml") else name_or_path


def manifest_of(suite: Suite, jobs: Sequence[Job]) -> Manifest:
    """What a report of the suite will look for."""
    return Manifest(
        suite=suite.name,
        title=suite.title,
        rows=tuple(job.row for job in jobs),
        limited=any(job.experiment.is_limited for job in jobs),
        columns=suite.columns,
    )


def parse_limit(text: str) -> Limit:
    """`train=32,test=32`, or either alone.

    Raises:
        SuiteError: for anything else.
    """
    found: dict[str, int] = {}
    for word in filter(None, (part.strip() for part in text.split(","))):
        name, _, number = word.partition("=")
        if name not in ("train", "test") or not number.isdigit() or int(number) < 1:
            raise SuiteError(f"--limit {text!r}: expected train=N,test=N with N at least 1")
        found[name] = int(number)
    if found.get("train", 2) < 2:
        raise SuiteError("--limit: train must be at least 2, one image to learn from and one to hold out")
    return Limit(**found)


def expand(
    suite: Suite,
    *,
    info_of: Callable[[str], ModelInfo],
    overrides: Mapping[str, Any] | None = None,
    limit: Limit | None = None,
    device: Literal["cpu", "cuda"] = "cpu",
) -> list[Job]:
    """Every experiment of a suite, resolved: by dataset, row, what it learns from, seed, and corruption.

    Args:
        suite: what to run.
        info_of: looks a model up; raises LookupError with suggestions.
        overrides: replaces fields after the suite's own and the row's own; `settings.…` those of every builder.
        limit: shortens the lists for a trial.
        device: kind of device that trains; part of the recipe.

    Raises:
        SuiteError: when a field, model, metric, dataset, protocol or weights file does not exist or does not fit, or a
            list that is learnt from shares an image with the test list and the suite does not allow it.
    """
    jobs: list[Job] = []
    try:
        for name in suite.columns:
            metric_info(name)  # raises for a typo before anything runs
        protocol = PROTOCOLS.get(suite.protocol)
        for card in map(load_card, suite.datasets):
            for row in suite.rows:
                settings, changes = _parted({**suite.overrides, **row.overrides, **(overrides or {})})
                info, built = info_of(row.model), replace(row, settings={**row.settings, **settings})
                for source in _sources(suite, built, info):
                    learnt = load_card(source) if source else card
                    rules = resolve_rules(protocol, learnt, info, overrides=changes)
                    rules = replace(rules, recipe=replace(rules.recipe, device=device))
                    plan = _Plan(built, info, card, learnt, rules, limit or Limit(), protocol, trained_on=source)
                    jobs.extend(_jobs(plan, suite))
    except BenchError as error:
        raise SuiteError(f"suite {suite.name}: {error}") from error
    _refuse_two_judges(suite, jobs)
    return jobs


def _sources(suite: Suite, row: SuiteRow, info: ModelInfo) -> tuple[str, ...]:
    """What a row learns from, one after the other; empty: from the dataset it is tested on, or from nothing at all."""
    settings = {**dict(info.config), **row.settings}
    learns = row.weights is None and (info.recipe or settings.get("level") == TUNED)
    return suite.trained_on if learns and suite.trained_on else ("",)


def _parted(overrides: Mapping[str, Any]) -> tuple[dict[str, Setting], dict[str, Any]]:
    """Overrides of the builder's settings (`settings.width`), by the setting's name, and those of rules."""
    prefix = "settings."
    settings = {path.removeprefix(prefix): value for path, value in overrides.items() if path.startswith(prefix)}
    rules = {path: value for path, value in overrides.items() if not path.startswith(prefix)}
    return _settings({"settings": settings}), rules


def _refuse_two_judges(suite: Suite, jobs: Sequence[Job]) -> None:
    """One experiment has one folder, which holds one result."""
    first: dict[str, Row] = {}
    for row in (job.row for job in jobs):
        other = first.setdefault(row.key, row)
        if other.scoring != row.scoring:
            raise SuiteError(
                f"suite {suite.name}: rows {other.label!r} and {row.label!r} are one experiment on {row.dataset} under "
                "two scorings; put the second into a suite of its own, with another --runs folder"
            )


@dataclass(frozen=True)
class _Plan:
    """One row on one dataset, before its seed and corruption.

    Attributes:
        card: of the dataset it is tested on.
        learnt: of the dataset it learns from, and whose normalisation it keeps.
        trained_on: that one's name, where the suite says what is learnt from.
    """

    row: SuiteRow
    info: ModelInfo
    card: Card
    learnt: Card
    rules: Rules
    limit: Limit
    protocol: Protocol
    trained_on: str = ""

    def split_of(self, card: Card) -> str:
        """The split that the protocol uses of a dataset."""
        return str(dict(self.protocol.splits).get(card.name, card.default_split))

    @property
    def config(self) -> Config:
        """The builder's settings; a design choice that stands at its default is left out, so that keys stay short."""
        settings = {**dict(self.info.config), **self.row.settings}
        defaults = {choice.setting: choice.default for choice in self.info.choices}
        return freeze_config({name: value for name, value in settings.items() if value != defaults.get(name)})


def _jobs(plan: _Plan, suite: Suite) -> Iterator[Job]:
    """The clean test list and every corruption of it, seed by seed; without a seed where nothing is trained."""
    is_trained = plan.row.weights is None and plan.info.recipe
    for seed in suite.seeds if is_trained else suite.seeds[:1]:
        clean = Experiment(
            weights=_weights(plan, seed),
            images=image_list(plan.card.name, plan.split_of(plan.card), "test", limit=plan.limit.test),
            input=plan.rules.input,
            rounds=plan.rules.rounds,
            start=plan.rules.start,
        )
        if not suite.allow_leak:
            refuse_shared_images(clean)
        leaked = count_leaked(clean)
        yield from (_job(plan, replace(clean, corruption=name), seed, leaked=leaked) for name in suite.corruptions)


def _job(plan: _Plan, experiment: Experiment, seed: int, *, leaked: int) -> Job:
    row = Row(
        label=plan.row.label,
        model=plan.row.model,
        dataset=plan.card.name,
        split=experiment.images.split,
        protocol=plan.protocol.name,
        scoring=plan.rules.scoring,
        seed=seed,
        key=experiment.key,
        leaked=leaked,
        corruption=experiment.corruption,
        trained_on=plan.trained_on,
    )
    return Job(row, experiment)


def _weights(plan: _Plan, seed: int) -> Training | Weights | Method:
    if not plan.info.recipe:
        return _method(plan)
    if plan.row.weights is not None:
        path = plan.row.weights
        return Weights(plan.row.model, sha256=_file_digest(path), config=plan.config, path=str(path))
    images, chosen = _training_lists(plan.learnt.name, plan.split_of(plan.learnt), plan.rules, plan.limit)
    return Training(
        model=plan.row.model,
        config=plan.config,
        images=images,
        selection_images=chosen,
        input=plan.rules.input,
        recipe=plan.rules.recipe,
        selection=plan.rules.selection,
        seed=seed,
    )


def _method(plan: _Plan) -> Method:
    if plan.row.weights is not None:
        raise SuiteError(
            f"{plan.row.label}: {plan.row.model} has no weights to be given; take 'weights' out of its row"
        )
    if dict(plan.config).get("level") != TUNED:
        return Method(plan.row.model, plan.config)
    images = image_list(plan.learnt.name, plan.split_of(plan.learnt), "train", limit=plan.limit.train)
    return Method(plan.row.model, plan.config, images=images, input=plan.rules.input)


def _training_lists(dataset: str, split: str, rules: Rules, limit: Limit) -> tuple[ImageList, ImageList | None]:
    """What is learnt from, and what chooses the epoch and steers a plateau schedule (None where nothing needs it)."""
    needed = rules.selection.rule == "best" or rules.recipe.schedule == "plateau"
    if not needed:
        return image_list(dataset, split, "train", limit=limit.train), None
    if rules.selection.on != "held-out":
        chosen_limit = limit.test if rules.selection.on == "test" else limit.train
        chosen = image_list(dataset, split, rules.selection.on, limit=chosen_limit)
        return image_list(dataset, split, "train", limit=limit.train), chosen
    if limit.train is None:
        return image_list(dataset, split, "fit"), image_list(dataset, split, "held-out")
    held_out = max(1, round(HELD_OUT_SHARE * limit.train))
    return (
        image_list(dataset, split, "fit", limit=limit.train - held_out),
        image_list(dataset, split, "held-out", limit=held_out),
    )


def _file_digest(path: Path) -> str:
    if not path.is_file():
        raise SuiteError(f"weights {path}: no such file")
    return file_digest(path)
