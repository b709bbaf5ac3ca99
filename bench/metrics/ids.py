"""Metric ids: what an id becomes under a scoring, which ids are one metric, and how an id reads as a heading.

An id says what was done: ids without a prefix are the standard definitions; `legacy:` marks what published code
computes differently; anything taken from a soft mask is `legacy:…/soft-mask…`, so that it cannot pass for the right
one; `legacy:…cumulative-rounds` takes all feedback rounds so far, where the others take each by itself.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Callable

from bench.errors import RequestError
from bench.types import Scoring

LEGACY = "legacy:"
CUMULATIVE = "cumulative-rounds"
DEFAULT_DISTANCE = 3.0
BY_CENTROID = "Pd/centroid-3px"
WITHOUT_DISTANCE = ("overlap", "shooting")
"""Matching rules that ask for no distance of centroids."""

_MATCHING = "(?:nearest|optimal|overlap-priority|overlap|shooting)"
_APART = r"(?:-[\d.]+(?:e[+-]?\d+)?px)?(?:-\d+conn)?"

NamedBy = Callable[[str, Scoring], str]
"""What an id becomes under a scoring, whose rules make another metric of it."""


LONGEST_ID = 200
"""Characters of an id at most: MLflow takes 250, of which the prefix of rounds and the rules of a scoring take some."""

OWN_NAMES = ("cost", "round", "time", "train", "FLOPs", "FPS")
"""First parts of names that MLflow shows beside the metrics."""

_ID = re.compile(r"[/\w.:\- ]+")


def is_mlflow_name(name: str, *, longest: int = 250) -> bool:
    """True if MLflow takes a name of a metric: plain characters, and a relative path in its plain form."""
    is_path = posixpath.normpath(name) == name and not name.startswith(("/", "..")) and name != "."
    return is_path and len(name) <= longest and _ID.fullmatch(name) is not None


def check_id(name: str) -> None:
    """Check that MLflow takes an id as a metric's name, so that one metric cannot cost a suite its mirror.

    Raises:
        RequestError: when it holds other characters than letters, digits, spaces and `_ - . : /`, is no relative
            path in its plain form, is too long, or begins as names of other numbers do.
    """
    expected = "expected family/rule of letters, digits, spaces and _ - . : with at most"
    if not is_mlflow_name(name, longest=LONGEST_ID):
        raise RequestError(f"metric {name!r}: {expected} {LONGEST_ID} characters, which MLflow takes; rename it")
    if name.partition("/")[0] in OWN_NAMES:
        raise RequestError(f"metric {name!r}: {', '.join(OWN_NAMES)} name other numbers in MLflow; rename it")


def as_it_is(name: str, scoring: Scoring) -> str:
    """The id of a metric that no rule about components changes."""
    return name


def by_connectivity(name: str, scoring: Scoring) -> str:
    """The id with 4 neighbours, where the scoring has them.

    >>> by_connectivity("SCRG/local-20px", Scoring("four", connectivity=4))
    'SCRG/local-20px-4conn'
    """
    return name if scoring.connectivity == 8 else f"{name}-{scoring.connectivity}conn"


def by_distance(name: str, scoring: Scoring) -> str:
    """The id with the distance and the neighbours, where the scoring has others than 3 px and 8.

    >>> by_distance("hIoU/loc-IoU", Scoring("near", distance=5))
    'hIoU/loc-IoU-5px'
    """
    if scoring.connectivity == 8 and scoring.distance == DEFAULT_DISTANCE:
        return name
    return by_connectivity(f"{name}-{scoring.distance:g}px", scoring)


def id_under(name: str, scoring: Scoring) -> str:
    """The id of a metric of components with the scoring's matching rule, distance and connectivity.

    >>> id_under("Pd/centroid-3px", Scoring("overlap", matching="overlap"))
    'Pd/overlap'
    >>> id_under("Fa/unmatched-area", Scoring("optimal", matching="optimal", connectivity=4))
    'Fa/unmatched-area-optimal-4conn'
    """
    rule = "" if scoring.matching == "greedy-raster" else scoring.matching
    apart = "" if rule in WITHOUT_DISTANCE else f"{scoring.distance:g}px"
    neighbours = "" if scoring.connectivity == 8 else f"{scoring.connectivity}conn"
    if name == BY_CENTROID:
        name = "Pd/" + (rule or "centroid")
        return "-".join(filter(None, (name, apart, neighbours)))
    if not rule and not neighbours and scoring.distance == DEFAULT_DISTANCE:
        return name
    if rule and scoring.distance == DEFAULT_DISTANCE:
        apart = ""
    return "-".join(filter(None, (name, rule, apart, neighbours)))


def is_variant(name: str, of: str) -> bool:
    """True where `name` is the id `of` under some matching rule, distance and connectivity.

    >>> is_variant("Pd/overlap", "Pd/centroid-3px"), is_variant("Fa/unmatched-area-5px", "Fa/unmatched-area")
    (True, True)
    >>> is_variant("SCRG/local-20px-median", "SCRG/local-20px")
    False
    """
    stem = f"Pd/(?:centroid|{_MATCHING})" if of == BY_CENTROID else f"{re.escape(of)}(?:-{_MATCHING})?"
    return re.fullmatch(stem + _APART, name) is not None


def family_of(name: str) -> str:
    """The quantity an id is about, however it is counted.

    >>> family_of("Fa/unmatched-area"), family_of("legacy:Fa/equal-area")
    ('Fa', 'Fa')
    """
    return name.removeprefix(LEGACY).partition("/")[0]


def default_head(name: str) -> str:
    """A heading that tells an id from others of its family.

    >>> default_head("legacy:IoU/soft-mask"), default_head("nIoU/images-with-targets")
    ('IoU (soft mask)', 'nIoU (images with targets)')
    """
    rule = name.partition("/")[2] or ("legacy" if name.startswith(LEGACY) else "")
    return family_of(name) + (f" ({rule.replace('-', ' ')})" if rule else "")
