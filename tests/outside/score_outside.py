"""Scores of prepared maps by pyirstdmetrics 1.0.2, in an environment of its own: it needs NumPy below 2.

`python score_outside.py maps.npz scores.json`: `maps.npz` holds `<list>|<image>|prob` and `<list>|<image>|mask`; every
list is scored as one, and every image by itself. Nothing of this project is imported here.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from importlib.metadata import version
from typing import Any

import numpy as np
import py_irstd_metrics as outside


def numbers(value: Any) -> Any:
    """Plain values, for JSON."""
    if isinstance(value, dict):
        return {name: numbers(one) for name, one in value.items()}
    return np.asarray(value).tolist()


def matched(kind: Any) -> dict[str, Any]:
    """The sums of a class of objects, and what it makes of them."""
    names = ("tp_objs", "fp_objs", "fn_objs", "fp_area", "total_area", "total_objs")
    return {**numbers(kind.get()), **{name: numbers(getattr(kind, name)) for name in names if hasattr(kind, name)}}


def scores(pairs: list[tuple[Any, Any]]) -> dict[str, Any]:
    """Every score of a list of maps and masks."""
    objects = {
        "PdFa": outside.ProbabilityDetectionAndFalseAlarmRate(),
        "Shooting": outside.ShootingRuleBasedProbabilityDetectionAndFalseAlarmRate(),
        "OPDC": outside.MatchingBasedMetrics(
            matching_method=outside.OPDCMatching(overlap_threshold=0.5, distance_threshold=3)
        ),
        "HIoUError": outside.HierarchicalIoUBasedErrorAnalysis(),
    }
    settings = {"with_dynamic": True, "with_binary": True}
    handlers = {
        "iou": outside.IoUHandler(sample_based=False, **settings),
        "niou": outside.IoUHandler(sample_based=True, **settings),
        "precision": outside.PrecisionHandler(sample_based=False, **settings),
        "recall": outside.RecallHandler(sample_based=False, **settings),
        "f1": outside.FmeasureHandler(sample_based=False, beta=1, **settings),
    }
    pixels = outside.CMMetrics(num_bins=11, threshold=0.5, metric_handlers=handlers)
    for prob, mask in pairs:
        pixels.update(prob, mask)
        for one in objects.values():
            one.update(prob, mask)
    return {"pixels": numbers(pixels.get()), **{name: matched(one) for name, one in objects.items()}}


def lists_of(arrays: Any) -> Iterator[tuple[str, dict[str, tuple[Any, Any]]]]:
    """Every list with its images, in order."""
    names = [key.rsplit("|", 1)[0] for key in arrays.files if key.endswith("|prob")]
    for listed in dict.fromkeys(name.split("|")[0] for name in names):
        mine = [name for name in names if name.split("|")[0] == listed]
        yield listed, {name.split("|")[1]: (arrays[f"{name}|prob"], arrays[f"{name}|mask"]) for name in mine}


def main(maps: str, out: str) -> None:
    """Write the scores of every list and of every image of it."""
    found = {
        listed: {
            "all": scores(list(images.values())),
            "images": {name: scores([pair]) for name, pair in images.items()},
        }
        for listed, images in lists_of(np.load(maps))
    }
    versions = {name: version(name) for name in ("pyirstdmetrics", "numpy", "scipy", "scikit-image")}
    with open(out, "w") as file:  # noqa: PTH123
        json.dump({"versions": versions, "lists": found}, file)


if __name__ == "__main__":
    main(*sys.argv[1:])
