"""Expand a suite to its experiments: every row, training set, dataset, seed and corruption, with all rules resolved."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

from bench.data.catalogue.cards import Card, load_card
from bench.data.catalogue.splits import image_list
from bench.digest import file_digest
from bench.errors import BenchError, SuiteError, UnknownNameError
from bench.metrics.registry import metric_info
from bench.protocols.protocols import PROTOCOLS
from bench.protocols.resolve import Rules, resolve_rules
from bench.registry import PLUGIN_ADVICE
from bench.store.files import Manifest
from bench.suites.leak_check import count_leaked, refuse_shared_images
from bench.suites.suite import Limit, Suite, SuiteRow, read_settings
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

HELD_OUT_SHARE = 0.2


@dataclass(frozen=True)
class Job:
    """One experiment of a suite with its table row: label, dataset, protocol, scoring, seed, key."""

    row: Row
    experiment: Experiment


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
        _refuse_unknown_models(suite, info_of)
        for name in suite.columns:
            metric_info(name)  # raises for a typo before anything runs
        for name in (*suite.splits, *(name for row in suite.rows for name in row.splits)):
            load_card(name)  # the split of a misspelt dataset would be passed over
        for card in map(load_card, suite.datasets):
            for row in (row for row in suite.rows if card.name in (row.datasets or suite.datasets)):
                protocol = PROTOCOLS.get(row.protocol or suite.protocol)
                splits = {**dict(protocol.splits), **suite.splits, **row.splits}
                protocol = replace(protocol, splits=freeze_config(splits))
                settings, changes = _parted({**suite.overrides, **row.overrides, **(overrides or {})})
                info, built = info_of(row.model), replace(row, settings={**row.settings, **settings})
                for source in _sources(suite, built, info):
                    learnt = _normalising_card(row, load_card(source) if source else card)
                    rules = resolve_rules(protocol, learnt, info, overrides=changes)
                    rules = replace(rules, recipe=replace(rules.recipe, device=device))
                    plan = _Plan(
                        row=built,
                        info=info,
                        card=card,
                        learnt=learnt,
                        rules=rules,
                        limit=limit or Limit(),
                        protocol=protocol,
                        trained_on=source or _checkpoint_source(suite, built),
                    )
                    jobs.extend(_jobs(plan, suite))
    except BenchError as error:
        raise SuiteError(f"suite {suite.name}: {error}") from error
    _refuse_two_scorings(suite, jobs)
    return jobs


def _refuse_unknown_models(suite: Suite, info_of: Callable[[str], ModelInfo]) -> None:
    errors: dict[str, UnknownNameError] = {}
    for row in suite.rows:
        try:
            info_of(row.model)
        except UnknownNameError as error:
            errors[row.model] = error
    if len(errors) > 1:
        names = ", ".join(map(repr, errors))
        raise UnknownNameError(f"no models are called {names}; {PLUGIN_ADVICE.format(kind='model')}")
    if errors:
        raise next(iter(errors.values()))


def _sources(suite: Suite, row: SuiteRow, info: ModelInfo) -> tuple[str, ...]:
    """The training datasets of a row, one after the other; empty for the test dataset itself, or for none at all."""
    settings = {**dict(info.config), **row.settings}
    learns = not row.is_given and (info.recipe or settings.get("level") == TUNED)
    return suite.trained_on if learns and suite.trained_on else ("",)


def _checkpoint_source(suite: Suite, row: SuiteRow) -> str:
    """The training dataset of a published checkpoint; empty if it is not known, or the suite names no training sets."""
    lists = row.published.learnt_from if row.published is not None and suite.trained_on else ()
    return lists[0].split("/")[0] if lists else ""


def _normalising_card(row: SuiteRow, card: Card) -> Card:
    """The card whose mean and deviation images are normalised with; a published checkpoint brings its own."""
    given = row.published
    if given is None or given.mean is None:
        return card
    return replace(card, mean=given.mean, std=given.std, statistics=f"of {given.name}'s training")


def _parted(overrides: Mapping[str, Any]) -> tuple[dict[str, Setting], dict[str, Any]]:
    """Overrides of the builder's settings (`settings.width`), by the setting's name, and those of rules."""
    prefix = "settings."
    settings = {path.removeprefix(prefix): value for path, value in overrides.items() if path.startswith(prefix)}
    rules = {path: value for path, value in overrides.items() if not path.startswith(prefix)}
    return read_settings({"settings": settings}), rules


def _refuse_two_scorings(suite: Suite, jobs: Sequence[Job]) -> None:
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
    is_trained = not plan.row.is_given and plan.info.recipe
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
    if (given := plan.row.published) is not None:
        lists = tuple(image_list(*path.split("/")) for path in given.learnt_from)
        return Weights(plan.row.model, given.sha256, config=plan.config, name=given.name, learnt_from=lists)
    if plan.row.weights is not None:
        path = plan.row.weights
        return Weights(plan.row.model, sha256=_weights_digest(path), config=plan.config, path=str(path))
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
    if plan.row.is_given:
        raise SuiteError(
            f"{plan.row.label}: {plan.row.model} has no weights to be given; take 'weights' out of its row"
        )
    if dict(plan.config).get("level") != TUNED:
        return Method(plan.row.model, plan.config)
    images = image_list(plan.learnt.name, plan.split_of(plan.learnt), "train", limit=plan.limit.train)
    return Method(plan.row.model, plan.config, images=images, input=plan.rules.input)


def _training_lists(dataset: str, split: str, rules: Rules, limit: Limit) -> tuple[ImageList, ImageList | None]:
    """The training list, and the list that selects the epoch or steers a plateau schedule; None if there is none."""
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


def _weights_digest(path: Path) -> str:
    if not path.is_file():
        raise SuiteError(f"weights {path}: no such file")
    return file_digest(path)


def manifest_of(suite: Suite, jobs: Sequence[Job]) -> Manifest:
    """The record of the rows that a report of the suite expects."""
    return Manifest(
        suite=suite.name,
        title=suite.title,
        rows=tuple(job.row for job in jobs),
        limited=any(job.experiment.is_limited for job in jobs),
        columns=suite.columns,
        mixed=suite.mixed,
    )
