"""Everything that can be named, as rows of plain values: models, datasets, suites, rules, metrics, corruptions, …

Each list imports what it needs itself, so that the list of protocols does not wait for torch.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from bench.errors import UnknownNameError
from bench.registry import unknown

if TYPE_CHECKING:
    from bench.data.catalogue.cards import Card

CatalogueRows = list[dict[str, str | int]]


def list_rows(what: str) -> CatalogueRows:
    """The rows of one list, each a mapping from column to value.

    Raises:
        UnknownNameError: with suggestions, when there is no such list.
    """
    if what not in LISTS:
        raise UnknownNameError(unknown("list", what, LISTS))
    return LISTS[what]()


BRIEF: Mapping[str, tuple[str, ...]] = {
    "models": ("name", "rounds", "recipe", "licence"),
    "weights": ("name", "model", "fetch", "page"),
    "datasets": ("name", "images", "split names"),
    "layouts": ("name", "folders"),
    "suites": ("name", "title"),
    "protocols": ("name", "recipe", "selection", "defects"),
    "scorings": ("name", "whose", "defects"),
    "metrics": ("id", "printed in", "better"),
    "corruptions": ("name", "levels 1 to 5", "drawn for"),
}
"""Columns of a list on a screen, where all of them would not fit; the row of one name, and JSON, have all."""


def row_called(what: str, name: str, rows: CatalogueRows) -> dict[str, str | int]:
    """The row of that name, which stands in the first column.

    Raises:
        UnknownNameError: with suggestions, when there is none.
    """
    named = {str(next(iter(row.values()))): row for row in rows}
    if name not in named:
        raise UnknownNameError(unknown(what.removesuffix("s"), name, named))
    return named[name]


def list_models() -> CatalogueRows:
    """Every registered network and classical detector with its source and licence."""
    from bench.models.network import find_models

    infos = [find_models().get(name).info for name in sorted(find_models(), key=str.casefold)]
    return [
        {
            "name": info.name,
            "ablates": info.ablates,
            "rounds": info.rounds,
            "channels": info.channels,
            "recipe": info.recipe or "none (classical)",
            "source": info.source,
            "licence": info.licence,
            "cite": info.cite,
        }
        for info in infos
    ]


def list_weights() -> CatalogueRows:
    """Every published checkpoint that suites can name, with what it has learnt from and where it is to be had."""
    from bench.weights.catalogue import weights_catalogue

    return [
        {
            "name": one.name,
            "model": one.model,
            "learnt from": ", ".join(one.learnt_from) or "not known",
            "licence": one.licence,
            "fetch": "yes" if one.url else "by hand",
            "remark": one.remark,
            "SHA-256": one.sha256,
            "page": one.page,
        }
        for one in weights_catalogue().values()
    ]


def list_datasets() -> CatalogueRows:
    """Every dataset card with its splits and the number of images that it has digests of."""
    from bench.data.catalogue.cards import card_names, load_card

    cards = [load_card(name) for name in card_names()]
    return [
        {
            "name": card.name,
            "images": card.images,
            "splits": ", ".join(
                f"{split} ({'/'.join(str(count) for count in parts.values())})" for split, parts in card.splits.items()
            )
            or "no list at hand",
            "split names": ", ".join(card.splits) or "no list at hand",
            "digests": _digest_counts(card),
            "licence": card.licence,
            "source": card.source,
        }
        for card in cards
    ]


def _digest_counts(card: Card) -> str:
    """Number of images with a digest; of masks as well, where it is another one."""
    images = f"{card.digested_images} of {card.images}" if card.digested_images else "none"
    return images if card.digested_masks == card.digested_images else f"{images}; {card.digested_masks} masks"


def list_layouts() -> CatalogueRows:
    """Every folder or archive layout that `data import` recognises."""
    from bench.data.importing.layouts import LAYOUTS

    return [
        {"name": one.name, "folders": one.folders, "mask suffix": one.mask_suffix, "whose": one.whose}
        for one in LAYOUTS
    ]


def list_suites() -> CatalogueRows:
    """Every suite that comes with the project."""
    from bench.suites.suite import load_suite, suite_names

    suites = [load_suite(name) for name in suite_names()]
    return [
        {
            "name": suite.name,
            "title": suite.title,
            "protocol": suite.protocol,
            "datasets": ", ".join(suite.datasets),
            "rows": ", ".join(row.label for row in suite.rows),
        }
        for suite in suites
    ]


def list_protocols() -> CatalogueRows:
    """Every protocol with its rules and what is known to be wrong with it."""
    from bench.protocols.protocols import PROTOCOLS

    protocols = [PROTOCOLS.get(name) for name in PROTOCOLS]
    return [
        {
            "name": one.name,
            "input": f"{one.input.decoder}, "
            + ("native size" if one.input.size is None else " x ".join(map(str, one.input.size))),
            "recipe": one.recipe,
            "selection": one.selection.rule if one.selection.rule == "last" else f"best on {one.selection.on}",
            "ground truth": one.scoring.ground_truth,
            "defects": one.defects or "none known",
        }
        for one in protocols
    ]


def list_metrics() -> CatalogueRows:
    """Every metric id with its column heading, unit and direction, and the table of integers it is computed from."""
    from bench.metrics.registry import TABLES, metric_infos

    infos = (info for table in TABLES for info in metric_infos(table))
    return [
        {
            "id": info.id,
            "head": info.head,
            "unit": info.unit,
            "printed in": info.printed_unit,
            "better": info.better,
            "table": f"{info.table}.npz",
            "meaning": info.summary,
        }
        for info in infos
    ]


def list_starts() -> CatalogueRows:
    """Every first feedback mask at test time, by the name that `start` takes."""
    from bench.data.images.start_masks import STARTS

    return [{"name": name, "meaning": (inspect.getdoc(STARTS.get(name)) or "").partition("\n")[0]} for name in STARTS]


def list_corruptions() -> CatalogueRows:
    """Every kind of corruption of test images by its `--corruption` name, with the settings of its five levels."""
    from bench.data.images.corruptions import CORRUPTIONS

    kinds = [CORRUPTIONS.get(name) for name in CORRUPTIONS]
    return [
        {
            "name": kind.name,
            "level sets": kind.sets,
            "levels 1 to 5": ", ".join(f"{strength:g}" for strength in kind.strengths),
            "drawn for": {"image": "each image", "sensor": "each image size", "nothing": "nothing"}[kind.belongs_to],
            "source": kind.source,
        }
        for kind in kinds
    ]


def list_scorings() -> CatalogueRows:
    """Every named scoring with its rules, the numbers that its code base prints, and what is wrong with it."""
    from bench.protocols.scorings import all_scorings, describe_rules

    return [
        {
            "name": one.name,
            "whose": one.whose,
            "rules": describe_rules(one.scoring),
            "prints": ", ".join(f"{head} {id}" for head, id in one.printed_ids().items()),
            "defects": one.defects or "none known",
        }
        for one in all_scorings()
    ]


LISTS: Mapping[str, Callable[[], CatalogueRows]] = {
    "models": list_models,
    "weights": list_weights,
    "datasets": list_datasets,
    "layouts": list_layouts,
    "suites": list_suites,
    "protocols": list_protocols,
    "scorings": list_scorings,
    "metrics": list_metrics,
    "starts": list_starts,
    "corruptions": list_corruptions,
}
